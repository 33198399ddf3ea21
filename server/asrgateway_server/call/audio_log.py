"""The client's audio, with its commits and updates in their places, on its way to the task that runs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from asrgateway_server.audio.pcm import BYTES_PER_SAMPLE
from asrgateway_server.backends.base import Commit
from asrgateway_server.config import Update

Mark = Commit | Update
_MOST_MARKS: Final = 3


@dataclass(frozen=True, slots=True)
class End:
    """The client has half-closed: nothing follows."""


class AudioLog:
    """A bounded log of audio with one writer and one reader.

    While too much is unread the writer waits; it then reads nothing more from gRPC, whose flow control slows the
    client.

    Attributes:
        end_samples: The audio so far, in samples from the call's first one.
        is_writing: The writer has more audio and waits for room: the client is not quiet.

    Args:
        capacity_samples: The writer waits while at least so many are unread.
    """

    def __init__(self, capacity_samples: int) -> None:
        self.end_samples = 0
        self.is_writing = False
        self._capacity_samples = capacity_samples
        self._most_bytes = capacity_samples * BYTES_PER_SAMPLE
        self._position = 0
        self._pieces: deque[bytes] = deque()
        self._read_bytes = 0  # Of the first piece.
        self._marks: deque[tuple[int, Mark]] = deque()
        self._is_ended = False
        self._wanted_samples = 1
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._on_audio: Callable[[], None] | None = None

    # Writing ----------------------------------------------------------------------------------------------------

    async def append(self, pcm: bytes) -> None:
        """Add audio; wait while there is no room."""
        if self._is_full or len(pcm) > self._most_bytes:
            self.is_writing = True
            try:
                await self._append_in_parts(pcm)
            finally:
                self.is_writing = False
        elif pcm:
            self._add(pcm)
        if self._alarm is None:
            # Audio that is shorter than a packet wakes no reader, but silence may be due after it from now on.
            self._wake_reader()

    async def mark(self, mark: Mark) -> None:
        """Add a commit or an update after all audio so far."""
        while len(self._marks) >= _MOST_MARKS or self._is_full:
            await self._room()
        self._marks.append((self.end_samples, mark))
        self._wake_reader()

    def end(self) -> None:
        """End the audio."""
        self._is_ended = True
        self._wake_reader()
        self._cancel_alarm()

    async def _append_in_parts(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), self._most_bytes):
            while self._is_full:
                await self._room()
            self._add(pcm[start : start + self._most_bytes])

    def _add(self, pcm: bytes) -> None:
        is_first = not self.end_samples  # From then on the reader waits for other things.
        self._pieces.append(pcm)
        self.end_samples += len(pcm) // BYTES_PER_SAMPLE
        if is_first or self.end_samples - self._position >= self._wanted_samples:
            self._wake_reader()
        if self._on_audio:
            self._on_audio()

    @property
    def _is_full(self) -> bool:
        return self.end_samples - self._position >= self._capacity_samples

    async def _room(self) -> None:
        self._writer = asyncio.get_running_loop().create_future()
        try:
            await self._writer
        finally:
            self._writer = None

    def call_at_audio(self, callback: Callable[[], None] | None) -> None:
        """Call ``callback`` whenever audio is appended, in place of an earlier callback; None: call nothing."""
        self._on_audio = callback

    # Reading ----------------------------------------------------------------------------------------------------

    @property
    def has_audio(self) -> bool:
        """Whether audio comes next."""
        return (self._marks[0][0] if self._marks else self.end_samples) > self._position

    def read(self, packet_samples: int, *, is_partial_wanted: bool = False) -> bytes | Mark | End | None:
        """Return the next item; None while there is less than a packet and more may follow.

        Args:
            packet_samples: The most audio to return. Less is returned before a mark and before the end.
            is_partial_wanted: Return less audio at any time.
        """
        available = (self._marks[0][0] if self._marks else self.end_samples) - self._position
        if available >= packet_samples:
            return self._take(packet_samples)
        is_complete = bool(self._marks) or self._is_ended
        if available:
            return self._take(available) if is_complete or is_partial_wanted else None
        if self._marks:
            _, mark = self._marks.popleft()
            self._wake_writer()
            return mark
        return End() if self._is_ended else None

    async def wait(self, wanted_samples: int, until: float | None) -> None:
        """Wait until so much audio, a mark or the end is there; return by ``until``, and sometimes sooner.

        The alarm is set again only after it has fired, and may fire too early: every message moves the time at which
        silence is due, and setting and cancelling a timer for each takes a third of the time from message to backend.
        """
        loop = asyncio.get_running_loop()
        if self._alarm and until is not None and until < self._alarm.when():
            self._cancel_alarm()
        if self._alarm is None and until is not None:
            self._alarm = loop.call_at(until, self._wake_by_alarm)
        self._wanted_samples = wanted_samples
        self._reader = reader = loop.create_future()
        try:
            await reader
        finally:
            self._reader = None
            if reader.cancelled():
                self._cancel_alarm()

    def _take(self, samples: int) -> bytes:
        size = samples * BYTES_PER_SAMPLE
        is_whole = len(self._pieces[0]) == size and not self._read_bytes
        pcm = self._pieces.popleft() if is_whole else self._gather(size)
        self._position += samples
        self._wake_writer()
        return pcm

    def _gather(self, size: int) -> bytes:
        parts = []
        while size:
            first = self._pieces[0]
            part = first[self._read_bytes : self._read_bytes + size]
            parts.append(part)
            size -= len(part)
            self._read_bytes += len(part)
            if self._read_bytes == len(first):
                self._pieces.popleft()
                self._read_bytes = 0
        return b"".join(parts)

    # Waking -----------------------------------------------------------------------------------------------------

    def _wake_reader(self) -> None:
        if self._reader and not self._reader.done():
            self._reader.set_result(None)

    def _wake_writer(self) -> None:
        if self._writer and not self._writer.done() and not self._is_full:
            self._writer.set_result(None)

    def _wake_by_alarm(self) -> None:
        self._alarm = None
        self._wake_reader()

    def _cancel_alarm(self) -> None:
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None
