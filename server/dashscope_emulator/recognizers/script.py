"""The recogniser that emits the texts of a script when so much audio has come: for load and exact tests.

``docs/emulator.md`` describes the file. A text may have ``{monotonic_ns}``, which becomes the monotonic clock when it
is sent, always as 19 digits. Without a script there is a workload for load tests: ten words every 300 ms, a final
every 4 s.
"""

from __future__ import annotations

import functools
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import NonNegativeInt

from dashscope_emulator.documents import read_document
from dashscope_emulator.recognizers.base import Emit, Recognizer, Sentence, Stream, Word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_WORD: Final = re.compile(r"\s*\S+")
_PUNCTUATION: Final = ".,!?;:。，！？；：、"  # noqa: RUF001  (full-width marks are meant)
_CACHED_LINES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One event of a script.

    Attributes:
        at_ms: Audio that makes it due.
        sentence: What is emitted then.
    """

    at_ms: int
    sentence: Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What to emit, and when.

    Attributes:
        lines: The events, in the order of ``at_ms``.
        delay_ms: Time from the audio that makes a line due to its message.
        repeat_ms: After so much audio the lines begin again; 0 = they do not.
    """

    lines: tuple[Line, ...]
    delay_ms: int = 0
    repeat_ms: int = 0

    def __post_init__(self) -> None:
        """Check that the lines are in order, and the period not shorter than the script."""
        times = [line.at_ms for line in self.lines]
        if times != sorted(times):
            raise ValueError(f"the events of a script must be in the order of at_ms, not {times}")
        if self.repeat_ms and times and self.repeat_ms < times[-1]:
            raise ValueError(f"repeat_ms must not be below the last at_ms, {times[-1]}, not {self.repeat_ms}")

    def line(self, index: int) -> Line | None:
        """Return the line of that number, from 0, moved by its repetitions; None after the last one."""
        round_, position = divmod(index, len(self.lines)) if self.lines else (1, 0)
        if round_ == 0:
            return self.lines[position]
        if not self.repeat_ms or not self.lines:
            return None
        return _moved(self.lines[position], round_ * self.repeat_ms)


def say(
    at_ms: int,
    text: str,
    *,
    begin_ms: int = 0,
    end_ms: int | None = None,
    final: bool = False,
    fixed: int = 0,
    stash: str = "",
) -> Line:
    """Return one line of a script, whose words share the time from ``begin_ms`` to ``end_ms`` evenly.

    Args:
        at_ms: Audio that makes it due.
        text: The sentence so far; may hold ``{monotonic_ns}``.
        begin_ms: Where the sentence begins.
        end_ms: Where it ends, or how far it has been recognised; ``at_ms`` by default.
        final: The sentence is over.
        fixed: How many of the words will not change; all of a final.
        stash: Of a final: the beginning of the next sentence, from ``end_ms`` to ``at_ms``.
    """
    end_ms = at_ms if end_ms is None else end_ms
    words = _words(text, begin_ms, end_ms, fixed_count=len(text) if final else fixed)
    sentence = Sentence(words=words, begin_ms=begin_ms, end_ms=end_ms, is_final=final)
    if stash:
        begun = _words(stash, end_ms, at_ms, fixed_count=0)
        sentence = replace(sentence, stash=Sentence(words=begun, begin_ms=end_ms, end_ms=at_ms, is_final=False))
    return Line(at_ms=at_ms, sentence=sentence)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    """One event of a script file."""

    at_ms: NonNegativeInt
    text: str
    begin_ms: NonNegativeInt | None = None
    end_ms: NonNegativeInt | None = None
    final: bool = False
    fixed: NonNegativeInt = 0
    stash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    events: tuple[_Event, ...]
    delay_ms: NonNegativeInt = 0
    repeat_ms: NonNegativeInt = 0


def load_script(path: Path) -> Script:
    """Read a script file.

    Raises:
        ValueError: It is no script; the message says where.
    """
    file = read_document(path, _File)
    lines: list[Line] = []
    begin_ms = 0
    for event in file.events:
        given = asdict(event)
        if event.begin_ms is None:
            given["begin_ms"] = min(begin_ms, event.at_ms)
        line = say(**given)
        lines.append(line)
        begin_ms = line.sentence.end_ms if line.sentence.is_final else line.sentence.begin_ms
    return Script(lines=tuple(lines), delay_ms=file.delay_ms, repeat_ms=file.repeat_ms)


def load_workload() -> Script:
    """Return the load tests' workload: ten words after 200 ms of audio, then every 300 ms; a final every 4 s."""
    words = "{monotonic_ns} one two three four five six seven eight nine"
    return Script(
        lines=(
            *(say(at_ms, words) for at_ms in range(200, 4000, 300)),
            say(4000, f"{words}.", final=True),
        ),
        delay_ms=30,
        repeat_ms=4000,
    )


class ScriptRecognizers:
    """Recognisers that share one script and its lines."""

    def __init__(self, script: Script) -> None:
        self._line = functools.lru_cache(maxsize=_CACHED_LINES)(script.line)
        self.delay_seconds = script.delay_ms / 1000

    async def open(self, stream: Stream, emit: Emit) -> Recognizer:
        """Begin the script for a new task."""
        return _ScriptRecognizer(self._line, stream, emit)

    async def close(self) -> None:
        """Nothing is kept between streams."""


class _ScriptRecognizer:
    def __init__(self, line: functools._lru_cache_wrapper[Line | None], stream: Stream, emit: Emit) -> None:
        self._line = line
        self._emit = emit
        self._bytes_per_ms = stream.bytes_per_second / 1000
        self._pcm_bytes = 0
        self._index = 0
        self._next = line(0)
        self._open: Sentence | None = None
        self._committed_ms = 0

    async def feed(self, pcm: bytes) -> None:
        """Emit all lines that have become due."""
        self._pcm_bytes += len(pcm)
        while self._next and self._next.at_ms * self._bytes_per_ms <= self._pcm_bytes:
            await self._emit_sentence(self._next.sentence)
            self._index += 1
            self._next = self._line(self._index)

    async def commit(self) -> None:
        """End the sentence as it is; the rest of it in the script is the next sentence."""
        if self._open:
            end_ms = int(self._pcm_bytes / self._bytes_per_ms)
            words = tuple(replace(word, is_fixed=True) for word in self._open.words)
            end_ms = max(self._open.begin_ms, end_ms)
            await self._emit_sentence(replace(self._open, words=words, end_ms=end_ms, is_final=True))
            self._committed_ms = end_ms

    async def adapt(self, sentence_silence_ms: int, hotwords: Mapping[str, int]) -> None:
        """Change nothing: a script is a script."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def _emit_sentence(self, sentence: Sentence) -> None:
        if sentence.begin_ms < self._committed_ms:
            sentence = _cut(sentence, self._committed_ms)
        self._open = None if sentence.is_final else sentence
        await self._emit(sentence)


def _words(text: str, begin_ms: int, end_ms: int, *, fixed_count: int) -> tuple[Word, ...]:
    parts: Sequence[str] = _WORD.findall(text)
    edges = [begin_ms + (end_ms - begin_ms) * i // max(len(parts), 1) for i in range(len(parts) + 1)]
    words = []
    for i, part in enumerate(parts):
        bare = part.rstrip(_PUNCTUATION) or part
        word = Word(
            text=bare,
            punctuation=part[len(bare) :],
            begin_ms=edges[i],
            end_ms=edges[i + 1],
            is_fixed=i < fixed_count,
        )
        words.append(word)
    return tuple(words)


def _moved(line: Line, by_ms: int) -> Line:
    return Line(at_ms=line.at_ms + by_ms, sentence=_retimed(line.sentence, lambda ms: ms + by_ms))


def _cut(sentence: Sentence, floor_ms: int) -> Sentence:
    """Return the sentence, with nothing of it before ``floor_ms``."""
    return _retimed(sentence, lambda ms: max(ms, floor_ms))


def _retimed(sentence: Sentence, time: Callable[[int], int]) -> Sentence:
    words = tuple(replace(word, begin_ms=time(word.begin_ms), end_ms=time(word.end_ms)) for word in sentence.words)
    return replace(
        sentence,
        words=words,
        begin_ms=time(sentence.begin_ms),
        end_ms=time(sentence.end_ms),
        stash=sentence.stash and _retimed(sentence.stash, time),
    )
