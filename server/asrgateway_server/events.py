"""What a task finds in its audio, in its own time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word of a result.

    Attributes:
        text: The word, without blanks around it.
        punctuation: The mark that follows it; empty if none does.
        start_ms: Where it begins, on the scale of its result.
        end_ms: Where it ends; never before ``start_ms``.
    """

    text: str
    start_ms: int
    end_ms: int
    punctuation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emotion:
    """How the speaker sounded.

    Attributes:
        label: The vendor's word for it.
        confidence: 0 to 1; None where it is not known.
    """

    label: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The backend takes audio from now on.

    Attributes:
        request_id: The upstream's name for the task; empty if it has none.
    """

    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStarted:
    """Speech began at ``offset_ms``."""

    offset_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechEnded:
    """Speech ended at ``offset_ms``."""

    offset_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InterimResult:
    """Text of an utterance that is still spoken; the next result replaces it.

    Attributes:
        text: The whole text so far.
        committed: The beginning of ``text`` that the backend promises to keep; empty where it promises nothing.
        start_ms: Where the utterance begins, counted from the first audio byte: of the connection when an adapter
            returns it, of the call once the recognizer has moved it. None where the backend has no times.
        end_ms: How far the utterance has been recognised, on the same scale.
        words: The words with their times; empty where the backend has none.
        language_code: BCP-47 code of the language spoken; empty where the upstream does not say.
    """

    text: str
    committed: str = ""
    start_ms: int | None = None
    end_ms: int | None = None
    words: tuple[Word, ...] = ()
    language_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalResult:
    """Text the backend will not change again.

    Attributes:
        text: Transcript with punctuation, without surrounding blanks; empty if the utterance was only a noise.
        start_ms: Where it begins, counted as in ``InterimResult``.
        end_ms: Where it ends; never before ``start_ms``.
        words: The words with their times; empty where the backend has none.
        language_code: BCP-47 code of the language spoken; empty where the upstream does not say.
        emotion: How the speaker sounded; None where the upstream does not say.
        is_forced: A commit ended it, not the speaker.
    """

    text: str
    start_ms: int | None = None
    end_ms: int | None = None
    words: tuple[Word, ...] = ()
    language_code: str = ""
    emotion: Emotion | None = None
    is_forced: bool = False


@dataclass(frozen=True, slots=True)
class CommitEmpty:
    """A commit found no open utterance."""


@dataclass(frozen=True, slots=True)
class UpdateApplied:
    """An update is in force for the audio that follows."""


class WarningCode(Enum):
    """What becomes of an option; named as in the contract."""

    OPTION_IGNORED = auto()
    OPTION_CHANGED = auto()
    LANGUAGE_UNSUPPORTED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionWarning:
    """An option is not honoured, or not as it stands.

    Attributes:
        code: Which of the two.
        field: The option, as a path within the request.
        message: What happens in its place, in a sentence.
    """

    code: WarningCode
    field: str
    message: str


#: What a task sends about the audio, in its own time.
BackendEvent = (
    Ready | SpeechStarted | SpeechEnded | InterimResult | FinalResult | CommitEmpty | UpdateApplied | OptionWarning
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The task has sent everything.

    Attributes:
        billed_ms: The audio that the vendor bills for it; None where it does not say.
    """

    billed_ms: int | None = None
