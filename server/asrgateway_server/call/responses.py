"""What a caller is told, on the caller's own clock."""

from __future__ import annotations

from dataclasses import dataclass

from asrgateway_server.events import (
    CommitEmpty,
    Emotion,
    OptionWarning,
    SpeechEnded,
    SpeechStarted,
    UpdateApplied,
    Word,
)
from asrgateway_server.models import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far the call has come; milliseconds of audio.

    Attributes:
        received_ms: The client's audio received.
        sent_ms: The client's audio handed to the backend.
        final_ms: End of the last final result.
        silence_ms: Silence that the gateway added.
    """

    received_ms: int
    sent_ms: int
    final_ms: int
    silence_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The backend takes audio.

    Attributes:
        model: What recognizes.
        sample_rate_hertz: The rate at which it hears the call.
        upstream_request_id: The upstream's name for the task; empty if it has none.
        downgrades: What was asked for and is not given.
    """

    model: Model
    sample_rate_hertz: int
    upstream_request_id: str
    downgrades: tuple[OptionWarning, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Text of one utterance, numbered.

    Attributes:
        index: Number of the utterance in the call.
        revision: Number of this text among those of the utterance, from 1.
        is_final: No other text of this utterance follows.
        text: The whole text.
        committed: The beginning of ``text`` that the backend promises to keep.
        stability: Share of the last revision's words that this one kept, 0 to 1; None where ``committed`` says more,
            or there is nothing to compare.
        start_ms: Where the utterance begins; None where the backend has no times.
        end_ms: Where it ends, or how far it has been heard.
        words: With their times; empty unless asked for.
        language_code: The language heard; empty where the backend does not tell.
        emotion: How the speaker sounded; None unless asked for and heard.
        is_forced: A commit ended it.
    """

    index: int
    revision: int
    is_final: bool
    text: str
    committed: str
    stability: float | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    words: tuple[Word, ...] = ()
    language_code: str = ""
    emotion: Emotion | None = None
    is_forced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GoingAway:
    """The gateway is going to end the call.

    Attributes:
        left_ms: When.
    """

    left_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFinished:
    """Everything was told. Delays as ``Delays`` defines them; None where an instant is missing.

    Attributes:
        audio_ms: The client's audio.
        silence_ms: Silence that the gateway added.
        billed_ms: The audio that the vendor bills; None where it does not tell.
        estimated_cost_cny: By the catalogue's price of what is billed, or was sent; None without a price.
        final_results: How many final results were told.
    """

    first_package_delay_seconds: float | None
    last_package_delay_seconds: float | None
    upstream_first_package_delay_seconds: float | None
    upstream_last_package_delay_seconds: float | None
    audio_ms: int
    silence_ms: int
    billed_ms: int | None
    estimated_cost_cny: float | None
    final_results: int
    upstream_request_ids: tuple[str, ...]


Response = (
    Started
    | Result
    | SpeechStarted
    | SpeechEnded
    | CommitEmpty
    | UpdateApplied
    | OptionWarning
    | GoingAway
    | CallFinished
)
