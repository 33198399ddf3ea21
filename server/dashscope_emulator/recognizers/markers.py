"""The recogniser of test audio whose samples carry a number, so that what is lost, repeated or moved shows.

Marked audio consists of blocks of 10 ms. Each block begins, 16-bit little-endian, with the four samples ::

    0x4D52  0x4B31  number & 0xFFFF  number >> 16       (as bytes: "RM1K", then the number as 32 bits)

and goes on with a tone of about -20 dBFS, so that it counts as speech. Zeros are silence. Blocks are found by their
first bytes, so that audio may be cut anywhere. Word ``k`` of the *whole* recording covers the blocks ``30 k`` to
``30 k + 29`` and reads ``w{k}`` unless a script names it; ``docs/emulator.md`` describes the file.

A word is recognised once half of its blocks came in one unbroken run; a second run is the word again.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dashscope_emulator.documents import read_document
from dashscope_emulator.recognizers.base import Emit, Recognizer, Sentence, Stream, Word

BLOCK_MS: Final = 10
_MAGIC: Final = b"RM1K"
_HEADER: Final = struct.Struct("<4sI")
_TONE: Final = struct.pack("<8h", 2000, 3000, 2000, 0, -2000, -3000, -2000, 0)


def marker_audio(first_block: int, count: int, sample_rate_hertz: int = 16_000) -> bytes:
    """Generate marked audio: mono, 16-bit little-endian.

    Args:
        first_block: Number of the first block, from 0.
        count: How many blocks of 10 ms.
        sample_rate_hertz: A multiple of 100.
    """
    size = _block_bytes(sample_rate_hertz)
    tail = (_TONE * (size // len(_TONE) + 1))[: size - _HEADER.size]
    return b"".join(_HEADER.pack(_MAGIC, number) + tail for number in range(first_block, first_block + count))


def silent_audio(count: int, sample_rate_hertz: int = 16_000) -> bytes:
    """Generate ``count`` blocks of 10 ms of silence."""
    return bytes(count * _block_bytes(sample_rate_hertz))


def _block_bytes(sample_rate_hertz: int) -> int:
    return sample_rate_hertz * BLOCK_MS // 1000 * 2


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkerScript:
    """The words of the whole recording.

    Attributes:
        words: Texts of the first words; later ones read ``w{k}``.
        blocks_per_word: Blocks of 10 ms that one word covers.
    """

    words: tuple[str, ...] = ()
    blocks_per_word: int = 30

    def __post_init__(self) -> None:
        """Check that a word covers audio."""
        if self.blocks_per_word < 1:
            raise ValueError(f"blocks_per_word must be at least 1, not {self.blocks_per_word}")

    def word(self, number: int) -> str:
        """The text of the word of that number."""
        return self.words[number] if number < len(self.words) else f"w{number}"


def load_markers(path: Path) -> MarkerScript:
    """Read a script from a file.

    Raises:
        ValueError: It is no such script; the message says where.
    """
    return read_document(path, MarkerScript)


class MarkerRecognizers:
    """Recognisers that share one script."""

    delay_seconds = 0.0

    def __init__(self, script: MarkerScript) -> None:
        self._script = script

    async def open(self, stream: Stream, emit: Emit) -> Recognizer:
        """Begin to read the blocks of a new task."""
        return _MarkerRecognizer(self._script, stream, emit)

    async def close(self) -> None:
        """Nothing is kept between streams."""


@dataclass(slots=True, kw_only=True)
class _Run:
    """Blocks of one word that came one after the other; ``begin`` and ``end`` are bytes of the task's audio."""

    word: int
    last_block: int
    blocks: int
    begin: int
    end: int


class _MarkerRecognizer:
    def __init__(self, script: MarkerScript, stream: Stream, emit: Emit) -> None:
        self._script = script
        self._journal = stream.journal
        self._emit = emit
        self._bytes_per_second = stream.bytes_per_second
        self._block_bytes = _block_bytes(stream.sample_rate_hertz)
        self._silence_bytes = stream.sentence_silence_ms * self._bytes_per_second // 1000
        self._pending = b""
        self._position = 0  # of the first pending byte, in the task's audio
        self._runs: list[_Run] = []  # of the open sentence

    async def feed(self, pcm: bytes) -> None:
        """Read the blocks; emit what has changed."""
        self._pending += pcm
        while (at := self._pending.find(_MAGIC)) >= 0:
            await self._skip(at)
            if len(self._pending) < self._block_bytes:
                return
            await self._read_block()
        await self._skip(len(self._pending) - self._begun_magic_bytes())

    async def commit(self) -> None:
        """End the open sentence."""
        await self._skip(len(self._pending))
        await self._end_sentence()

    async def adapt(self, sentence_silence_ms: int, hotwords: Mapping[str, int]) -> None:  # noqa: ARG002  (no words)
        """End sentences after this silence from now on."""
        self._silence_bytes = sentence_silence_ms * self._bytes_per_second // 1000

    async def close(self) -> None:
        """Nothing to give back."""

    def _begun_magic_bytes(self) -> int:
        """Count the last pending bytes that may be the beginning of a block."""
        return next((n for n in (3, 2, 1) if self._pending.endswith(_MAGIC[:n])), 0)

    async def _read_block(self) -> None:
        cut = self._pending.find(_MAGIC, len(_MAGIC), self._block_bytes)
        if cut >= 0:  # the next block begins too early: the end of this one is lost
            self._journal.damaged_bytes += cut
            self._advance(cut)
            return
        _, number = _HEADER.unpack_from(self._pending)
        self._journal.blocks.append(number)
        run = self._run_with(number)
        self._advance(self._block_bytes)
        if self._is_word(run.blocks) and not self._is_word(run.blocks - 1):
            await self._emit_sentence(is_final=False)

    def _run_with(self, number: int) -> _Run:
        """Return the last run with this block added, or a new run if it does not follow."""
        word = number // self._script.blocks_per_word
        end = self._position + self._block_bytes
        last = self._runs[-1] if self._runs else None
        if last is None or last.word != word or last.last_block + 1 != number:
            last = _Run(word=word, last_block=number, blocks=0, begin=self._position, end=end)
            self._runs.append(last)
        last.blocks += 1
        last.last_block = number
        last.end = end
        return last

    async def _skip(self, size: int) -> None:
        """Skip bytes that are no block: silence, or damage."""
        if not size:
            return
        zeros = self._pending.count(0, 0, size)
        self._journal.silent_bytes += zeros
        self._journal.damaged_bytes += size - zeros
        self._advance(size)
        if self._runs and self._position - self._runs[-1].end >= self._silence_bytes:
            await self._end_sentence()

    def _advance(self, size: int) -> None:
        self._pending = self._pending[size:]
        self._position += size

    async def _end_sentence(self) -> None:
        if self._words():
            await self._emit_sentence(is_final=True)
        self._runs = []

    async def _emit_sentence(self, *, is_final: bool) -> None:
        runs = self._words()
        words = tuple(
            Word(
                text=self._script.word(run.word) if i == 0 else f" {self._script.word(run.word)}",
                begin_ms=self._ms(run.begin),
                end_ms=self._ms(run.end),
                is_fixed=is_final or i + 1 < len(runs),
            )
            for i, run in enumerate(runs)
        )
        sentence = Sentence(
            words=words,
            begin_ms=self._ms(self._runs[0].begin),
            end_ms=self._ms(self._runs[-1].end),
            is_final=is_final,
        )
        await self._emit(sentence)

    def _words(self) -> list[_Run]:
        """Return the runs that are long enough to be words."""
        return [run for run in self._runs if self._is_word(run.blocks)]

    def _is_word(self, blocks: int) -> bool:
        return blocks * 2 >= self._script.blocks_per_word

    def _ms(self, position: int) -> int:
        return position * 1000 // self._bytes_per_second
