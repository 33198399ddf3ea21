"""The recogniser of real speech: US English, in a process of its own for each task."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dashscope_emulator.recognizers.base import (
    Emit,
    NoRecognizerLeft,
    Recognizer,
    RecognizerFailed,
    Sentence,
    Stream,
    Word,
)
from dashscope_emulator.recognizers.sentences import Segment, SentenceBuilder

# As in pocketsphinx_worker, which is not imported: it would load the decoder here as well.
_FRAME: Final = struct.Struct("<cI")
_RATE: Final = struct.Struct("<I")
_PROGRAM: Final = Path(__file__).with_name("pocketsphinx_worker.py")
_START_SECONDS: Final = 30.0
_ANSWER_SECONDS: Final = 60.0
_END_SECONDS: Final = 5.0
_KEPT_IDLE: Final = 2
_FIXED_MS: Final = 1500
# What Python and the libraries under it read. Where the emulator runs beside a gateway, keys stand next to it.
_ENVIRONMENT: Final = re.compile(r"PATH|HOME|TZ|TMPDIR|LANG|LANGUAGE|LC_\w+|LD_LIBRARY_PATH|PYTHON\w+")


class PocketSphinxRecognizers:
    """Decoder processes, some kept warm between streams.

    Args:
        limit: How many may be busy.
        fixed_ms: After how much audio a word is fixed; see ``SentenceBuilder``.
    """

    delay_seconds = 0.0

    def __init__(self, limit: int, fixed_ms: int = _FIXED_MS) -> None:
        self._limit = limit
        self._fixed_ms = fixed_ms
        self._busy = 0
        self._idle: list[_Worker] = []

    async def open(self, stream: Stream, emit: Emit) -> Recognizer:
        """Take a process, or start one."""
        if self._busy >= self._limit:
            raise NoRecognizerLeft(f"all {self._limit} decoders are busy")
        self._busy += 1
        worker = None
        try:
            worker = self._idle.pop() if self._idle else await _Worker.start()
            await worker.begin(stream.sample_rate_hertz, stream.hotwords)
        except BaseException:
            self._busy -= 1
            if worker is not None:
                await worker.end()
            raise
        return _PocketSphinxRecognizer(self, worker, SentenceBuilder(stream.sentence_silence_ms, self._fixed_ms), emit)

    async def give_back(self, worker: _Worker) -> None:
        """Take a process back; keep it if it is well and few are idle."""
        self._busy -= 1
        if worker.is_well and len(self._idle) < _KEPT_IDLE:
            self._idle.append(worker)
        else:
            await worker.end()

    async def close(self) -> None:
        """End the processes that wait."""
        while self._idle:
            await self._idle.pop().end()


class _PocketSphinxRecognizer:
    def __init__(self, home: PocketSphinxRecognizers, worker: _Worker, sentences: SentenceBuilder, emit: Emit) -> None:
        self._home = home
        self._worker = worker
        self._sentences = sentences
        self._emit = emit
        self._is_done = asyncio.Event()
        self._is_closed = False
        self._receiving = asyncio.create_task(self._receive_loop(), name="emulator decoder receive loop")

    async def feed(self, pcm: bytes) -> None:
        """Send the audio to the process."""
        await self._worker.send(b"A", pcm)

    async def commit(self) -> None:
        """End the open sentence; wait until its final has been emitted."""
        await self._in_step(b"C")

    async def adapt(self, sentence_silence_ms: int, hotwords: Mapping[str, int]) -> None:
        """Send the process other words, which it expects from the next silence on; wait for all audio before."""
        self._sentences.silence_ms = sentence_silence_ms
        await self._in_step(b"H", json.dumps(dict(hotwords)).encode())

    async def _in_step(self, kind: bytes, data: bytes = b"") -> None:
        """Send a frame; wait until it and all audio before it are answered."""
        self._is_done.clear()
        await self._worker.send(kind, data)
        waiting = asyncio.create_task(self._is_done.wait())
        try:
            await asyncio.wait((waiting, self._receiving), timeout=_ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if not self._is_done.is_set():
            raise RecognizerFailed("the decoder did not answer")

    async def close(self) -> None:
        """Give the process back."""
        if self._is_closed:
            return
        self._is_closed = True
        self._receiving.cancel()
        await asyncio.gather(self._receiving, return_exceptions=True)
        await self._home.give_back(self._worker)

    async def _receive_loop(self) -> None:
        while (answer := await self._worker.answer()) is not None:
            match answer:
                case ["done"]:
                    await self._emit_all(self._sentences.commit())
                    self._is_done.set()
                case ["expects"]:
                    self._is_done.set()
                case ["audio", int(audio_ms)]:
                    await self._emit_all(self._sentences.silence(audio_ms))
                case [bool(is_final), int(begin), int(end), list(words)]:
                    spoken = tuple(Word(text=text, begin_ms=first, end_ms=last) for text, first, last in words)
                    segment = Segment(words=spoken, begin_ms=begin, end_ms=end, is_final=is_final)
                    await self._emit_all(self._sentences.segment(segment))

    async def _emit_all(self, sentences: list[Sentence]) -> None:
        for sentence in sentences:
            await self._emit(sentence)


class _Worker:
    """One decoder process; ``pocketsphinx_worker`` describes its frames."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise RecognizerFailed("the decoder has no pipes")
        self._process = process
        self._input = process.stdin
        self._output = process.stdout

    @classmethod
    async def start(cls) -> _Worker:
        """Start a process."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # beside the program lie modules named like libraries
            str(_PROGRAM),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if _ENVIRONMENT.fullmatch(name)},
            limit=1024 * 1024,
        )
        return cls(process)

    @property
    def is_well(self) -> bool:
        """Whether it runs and takes input."""
        return self._process.returncode is None and not self._input.is_closing()

    async def begin(self, rate_hertz: int, hotwords: Mapping[str, int]) -> None:
        """Begin a stream; drop the answers that belong to the last one.

        Raises:
            RecognizerFailed: The process did not start.
        """
        await self.send(b"R", _RATE.pack(rate_hertz) + json.dumps(dict(hotwords)).encode())
        try:
            async with asyncio.timeout(_START_SECONDS):
                while (answer := await self.answer()) != ["ready"]:
                    if answer is None:
                        raise RecognizerFailed("the decoder did not start")
        except TimeoutError:
            raise RecognizerFailed(f"the decoder did not start within {_START_SECONDS} s") from None

    async def send(self, kind: bytes, data: bytes = b"") -> None:
        """Send a frame; wait while the process is behind.

        Raises:
            RecognizerFailed: It is dead, or stuck.
        """
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                self._input.write(_FRAME.pack(kind, len(data)) + data)
                await self._input.drain()
        except (OSError, TimeoutError) as error:
            raise RecognizerFailed("the decoder does not read") from error

    async def answer(self) -> object | None:
        """Return its next answer; None when there will be none."""
        line = await self._output.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    async def end(self) -> None:
        """Kill it and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._input.close()
        # Not with a timeout around it: in a cancelled task that of Python 3.11.2 becomes another cancellation.
        rest = asyncio.create_task(self._process.communicate(), name="decoder's end")
        try:
            await asyncio.wait({rest}, timeout=_END_SECONDS)
        finally:
            rest.cancel()
