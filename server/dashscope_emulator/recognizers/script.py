"""The recogniser that says what a script tells it, when so much audio has come: for load and exact tests.

A script is a YAML or JSON file; times are milliseconds of the task's audio::

    delay_ms: 30          # from the audio that makes an event due to its message; 0 by default
    repeat_ms: 4000       # say it all again, that much later, without end; once by default
    events:
      - {at_ms: 200, text: "please open"}
      - {at_ms: 900, text: "please open the", fixed: 2}       # the first two words will not change
      - {at_ms: 2000, text: "Please open the door.", begin_ms: 120, end_ms: 1700, final: true}

``begin_ms`` is by default where the last sentence ended, ``end_ms`` is ``at_ms``; the words share the time between
them evenly. A final may have ``stash: "thanks"``, the beginning of the next sentence as far as it has been heard.
A text may hold ``{monotonic_ns}``, which becomes the emulator's monotonic clock when it is sent, always as 19 digits.
Without a script there is a workload for load tests: ten words every 300 ms, a final every 4 s.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dashscope_emulator.documents import Fields, read_document
from dashscope_emulator.recognizers.base import Emit, Heard, Recognizer, Stream, Word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WORD: Final = re.compile(r"\s*\S+")
_PUNCTUATION: Final = ".,!?;:。，！？；：、"  # noqa: RUF001  (full-width marks are meant)
_CACHED_MOMENTS: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One event of a script.

    Attributes:
        at_ms: Audio that makes it due.
        heard: What is said then.
    """

    at_ms: int
    heard: Heard


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What to say, and when.

    Attributes:
        lines: The events, in the order of ``at_ms``.
        delay_ms: Time from the audio that makes a line due to its message.
        repeat_ms: After so much audio the lines begin again; 0 = they do not.
    """

    lines: tuple[Line, ...]
    delay_ms: int = 0
    repeat_ms: int = 0

    def __post_init__(self) -> None:
        """Refuse lines out of order and a period shorter than the script."""
        times = [line.at_ms for line in self.lines]
        if times != sorted(times):
            raise ValueError(f"the events of a script must be in the order of at_ms, not {times}")
        if self.repeat_ms and times and self.repeat_ms < times[-1]:
            raise ValueError(f"repeat_ms must not be below the last at_ms, {times[-1]}, not {self.repeat_ms}")

    def moment(self, index: int) -> Line | None:
        """The line number ``index``, moved by as many repetitions as that takes; None after the last one."""
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
    """Write one line of a script: its words share the time from ``begin_ms`` to ``end_ms`` evenly.

    Args:
        at_ms: Audio that makes it due.
        text: The sentence so far; may hold ``{monotonic_ns}``.
        begin_ms: Where the sentence begins.
        end_ms: Where it ends or how far it has been heard; ``at_ms`` by default.
        final: The sentence is over.
        fixed: How many of the words will not change; all of a final.
        stash: Of a final: how the next sentence begins, which fills the time from ``end_ms`` to ``at_ms``.
    """
    end_ms = at_ms if end_ms is None else end_ms
    words = _words(text, begin_ms, end_ms, fixed_count=len(text) if final else fixed)
    heard = Heard(words=words, begin_ms=begin_ms, end_ms=end_ms, is_final=final)
    if stash:
        begun = _words(stash, end_ms, at_ms, fixed_count=0)
        heard = replace(heard, stash=Heard(words=begun, begin_ms=end_ms, end_ms=at_ms, is_final=False))
    return Line(at_ms=at_ms, heard=heard)


def load_script(path: Path) -> Script:
    """Read a script file.

    Raises:
        ValueError: It is no script; the message says where.
    """
    fields = Fields(read_document(path), where=str(path))
    lines: list[Line] = []
    begin_ms = 0
    for event in fields.records("events"):
        at_ms = event.integer("at_ms")
        line = say(
            at_ms,
            event.text("text"),
            begin_ms=event.integer("begin_ms", min(begin_ms, at_ms)),
            end_ms=event.integer("end_ms", at_ms),
            final=event.flag("final"),
            fixed=event.integer("fixed", 0),
            stash=event.text("stash", ""),
        )
        event.done()
        lines.append(line)
        begin_ms = line.heard.end_ms if line.heard.is_final else line.heard.begin_ms
    script = Script(
        lines=tuple(lines), delay_ms=fields.integer("delay_ms", 0), repeat_ms=fields.integer("repeat_ms", 0)
    )
    fields.done()
    return script


def load_workload() -> Script:
    """The load tests' workload: after 200 ms of audio and 30 ms ten words, then each 300 ms; a final each 4 s."""
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
        self._moment = functools.lru_cache(maxsize=_CACHED_MOMENTS)(script.moment)
        self.delay_seconds = script.delay_ms / 1000

    async def open(self, stream: Stream, emit: Emit) -> Recognizer:
        """Begin the script for a new task."""
        return _ScriptRecognizer(self._moment, stream, emit)

    async def close(self) -> None:
        """Nothing is kept between streams."""


class _ScriptRecognizer:
    def __init__(self, moment: functools._lru_cache_wrapper[Line | None], stream: Stream, emit: Emit) -> None:
        self._moment = moment
        self._emit = emit
        self._bytes_per_ms = stream.bytes_per_second / 1000
        self._heard_bytes = 0
        self._index = 0
        self._next = moment(0)
        self._open: Heard | None = None
        self._committed_ms = 0

    async def hear(self, pcm: bytes) -> None:
        """Say all lines that have become due."""
        self._heard_bytes += len(pcm)
        while self._next and self._next.at_ms * self._bytes_per_ms <= self._heard_bytes:
            await self._say(self._next.heard)
            self._index += 1
            self._next = self._moment(self._index)

    async def commit(self) -> None:
        """End the sentence as it is; the rest of it in the script becomes the next sentence."""
        if self._open:
            end_ms = int(self._heard_bytes / self._bytes_per_ms)
            words = tuple(replace(word, is_fixed=True) for word in self._open.words)
            end_ms = max(self._open.begin_ms, end_ms)
            await self._say(replace(self._open, words=words, end_ms=end_ms, is_final=True))
            self._committed_ms = end_ms

    async def adapt(self, sentence_silence_ms: int, hotwords: Mapping[str, int]) -> None:
        """A script says what it says."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def _say(self, heard: Heard) -> None:
        if heard.begin_ms < self._committed_ms:
            heard = _begun(heard, self._committed_ms)
        self._open = None if heard.is_final else heard
        await self._emit(heard)


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
    heard = line.heard
    moved = _heard_later(heard, by_ms)
    if heard.stash:
        moved = replace(moved, stash=_heard_later(heard.stash, by_ms))
    return Line(at_ms=line.at_ms + by_ms, heard=moved)


def _heard_later(heard: Heard, by_ms: int) -> Heard:
    words = tuple(replace(word, begin_ms=word.begin_ms + by_ms, end_ms=word.end_ms + by_ms) for word in heard.words)
    return replace(heard, words=words, begin_ms=heard.begin_ms + by_ms, end_ms=heard.end_ms + by_ms)


def _begun(heard: Heard, floor_ms: int) -> Heard:
    """The same sentence, nothing of it before ``floor_ms``."""
    words = tuple(
        replace(word, begin_ms=max(word.begin_ms, floor_ms), end_ms=max(word.end_ms, floor_ms)) for word in heard.words
    )
    return replace(heard, words=words, begin_ms=floor_ms, end_ms=max(heard.end_ms, floor_ms))
