"""What the recognisers of the emulator have in common: PCM in, sentences out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dashscope_emulator.journal import Journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word of a sentence.

    Attributes:
        text: As the vendor writes it: with the blank before it.
        begin_ms: Where it begins, counted from the first audio of the task.
        end_ms: Where it ends, on the same scale.
        punctuation: The mark after it, or nothing.
        is_fixed: The recogniser will not change it again.
    """

    text: str
    begin_ms: int
    end_ms: int
    punctuation: str = ""
    is_fixed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence as far as it has been recognised.

    Attributes:
        words: The words so far; they replace those of the state before.
        begin_ms: Where the sentence begins, counted from the first audio of the task.
        end_ms: Where it ends, or how far it has been recognised.
        is_final: The sentence is over.
        stash: Of a final: the beginning of the next sentence, if it has begun already.
    """

    words: tuple[Word, ...]
    begin_ms: int
    end_ms: int
    is_final: bool
    stash: Sentence | None = None

    @property
    def text(self) -> str:
        """The words with their punctuation."""
        return "".join(word.text + word.punctuation for word in self.words)


Emit = Callable[[Sentence], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """The audio that a recogniser is going to get: mono, 16-bit little-endian.

    Attributes:
        sample_rate_hertz: Samples per second.
        sentence_silence_ms: The silence that ends a sentence.
        journal: Where a recogniser notes what it receives.
        hotwords: Words to expect, with their weights.
    """

    sample_rate_hertz: int
    sentence_silence_ms: int
    journal: Journal
    hotwords: Mapping[str, int] = field(default_factory=dict, repr=False)

    @property
    def bytes_per_second(self) -> int:
        """Bytes of one second of the audio."""
        return self.sample_rate_hertz * 2


class NoRecognizerLeft(Exception):
    """All recognisers are busy; the task cannot start."""


class RecognizerFailed(Exception):
    """The recogniser died or did not answer in time; the task is lost."""


class Recognizer(Protocol):
    """Recognises the audio of one task."""

    async def feed(self, pcm: bytes) -> None:
        """Take whole samples; wait while the recogniser is behind.

        Raises:
            RecognizerFailed: It does not answer any more.
        """

    async def commit(self) -> None:
        """End the open sentence, if there is one; its final has been emitted on return.

        Raises:
            RecognizerFailed: It does not answer any more.
        """

    async def adapt(self, sentence_silence_ms: int, hotwords: Mapping[str, int]) -> None:
        """Change, for the audio that follows, what the stream was opened with.

        Raises:
            RecognizerFailed: It does not answer any more.
        """

    async def close(self) -> None:
        """Emit nothing more, and give back what it holds."""


class Recognizers(Protocol):
    """Where recognisers come from: one per emulator."""

    @property
    def delay_seconds(self) -> float:
        """How long a result takes after the audio that caused it."""

    async def open(self, stream: Stream, emit: Emit) -> Recognizer:
        """Begin to recognise a stream.

        Raises:
            NoRecognizerLeft: All are busy.
            RecognizerFailed: It did not start.
        """

    async def close(self) -> None:
        """Give back what is kept between streams."""
