"""The client's audio, with its commits and updates in their places: read by one task, and again by the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from asrgateway_server.audio.pcm import BYTES_PER_SAMPLE
from asrgateway_server.backends.base import Commit
from asrgateway_server.call.replay_memory import ReplayMemory
from asrgateway_server.config import Adaptation, Update

# Marks that may wait to be read.
_MOST_MARKS: Final = 3
# Updates that are kept for tasks that begin before them; a task that goes back further begins with the first of them.
_MOST_UPDATES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A commit or an update in its place.

    Attributes:
        position_samples: The audio before it, from the call's first sample.
        number: Counts the marks of a call.
        item: What it is.
    """

    position_samples: int
    number: int
    item: Commit | Update


@dataclass(frozen=True, slots=True)
class End:
    """The client has half-closed: nothing follows."""


class AudioLog:
    """A bounded log of audio with one writer and one reader, who may go back to audio that was not released.

    While too much has never been read the writer waits; it then reads nothing more from gRPC, whose flow control
    slows the client. Positions are in samples from the call's first one.

    Attributes:
        start_samples: The first audio that can be read again.
        read_samples: Where the reader is.
        end_samples: The audio so far.
        is_writing: The writer has more audio and waits for room: the client is not quiet.

    Args:
        capacity_samples: The writer waits while at least so many have never been read.
        kept_samples: The most that is kept to be read again; the oldest goes first.
        memory: Bounds what all logs of the process keep.
    """

    def __init__(self, capacity_samples: int, kept_samples: int, memory: ReplayMemory) -> None:
        self.start_samples = 0
        self.read_samples = 0
        self.end_samples = 0
        self.is_writing = False
        self._furthest_samples = 0
        self._capacity_samples = self._room_samples = capacity_samples
        self._most_bytes = capacity_samples * BYTES_PER_SAMPLE
        self._kept_bytes = kept_samples * BYTES_PER_SAMPLE
        self._memory = memory
        self._held = bytearray()
        self._marks: deque[Mark] = deque()
        self._mark_count = 0
        self._updates: dict[int, tuple[int, Update]] = {}  # Those that were read, by number, with their positions.
        self._is_ended = False
        self._wanted_samples = 1
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._on_audio: Callable[[], None] | None = None

    # Writing ----------------------------------------------------------------------------------------------------

    async def append(self, pcm: bytes) -> None:
        """Add audio; wait while there is no room."""
        if self.is_full or len(pcm) > self._most_bytes:
            self.is_writing = True
            try:
                await self._append_in_parts(pcm)
            finally:
                self.go_on()
        elif pcm:
            self._add(pcm)
        if self._alarm is None:
            # Audio that is shorter than a packet wakes no reader, but silence may be due after it from now on.
            self._wake_reader()

    def add(self, pcm: bytes) -> None:
        """Add audio whether there is room or not; the writer then waits for ``room``."""
        if pcm:
            self._add(pcm)
        if self._alarm is None:
            self._wake_reader()

    async def room(self) -> None:
        """Wait until there is room."""
        while self.is_full:
            await self._room()

    def go_on(self) -> None:
        """Note that the writer waits no more: from now on silence may be due."""
        self.is_writing = False
        self._wake_reader()

    def may_lag(self, samples: int) -> None:
        """Let the writer be so far ahead of the reader while the memory has room, from now until it has caught up."""
        self._room_samples = max(samples, self._capacity_samples)
        self._wake_writer()

    def abandon(self) -> None:
        """Give up everything: nobody reads any more, and the writer need not wait."""
        self._marks.clear()
        self._capacity_samples = 1 << 62
        self._wake_writer()
        self.close()

    async def mark(self, item: Commit | Update) -> None:
        """Add a commit or an update after all audio so far."""
        while len(self._marks) >= _MOST_MARKS or self.is_full:
            await self._room()
        self._mark_count += 1
        self._marks.append(Mark(position_samples=self.end_samples, number=self._mark_count, item=item))
        self._wake_reader()

    def end(self) -> None:
        """End the audio."""
        self._is_ended = True
        self._wake_reader()
        self._cancel_alarm()

    async def _append_in_parts(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), self._most_bytes):
            await self.room()
            self._add(pcm[start : start + self._most_bytes])

    def _add(self, pcm: bytes) -> None:
        is_first = not self.end_samples  # From then on the reader waits for other things.
        self._held += pcm
        self.end_samples += len(pcm) // BYTES_PER_SAMPLE
        self._memory.grown(self, len(pcm))
        if (excess := len(self._held) - self._kept_bytes) > 0:
            self.drop(excess)
        if is_first or self.end_samples - self.read_samples >= self._wanted_samples:
            self._wake_reader()
        if self._on_audio:
            self._on_audio()

    @property
    def is_full(self) -> bool:
        """Whether the writer has to wait."""
        unread_samples = self.end_samples - self._furthest_samples
        if unread_samples < self._capacity_samples:
            return False
        return unread_samples >= self._room_samples or not self._memory.has_spare_room

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
        return self._available_samples > 0

    @property
    def has_more(self) -> bool:
        """Whether anything is left to read now."""
        return bool(self._marks) or self._is_ended or self.end_samples > self.read_samples

    @property
    def is_replaying(self) -> bool:
        """Whether what comes next was read before."""
        return self.read_samples < self._furthest_samples

    @property
    def _available_samples(self) -> int:
        until = self._marks[0].position_samples if self._marks else self.end_samples
        return until - self.read_samples

    def read(self, packet_samples: int, *, is_partial_wanted: bool = False) -> bytes | Mark | End | None:
        """Return the next item; None while there is less than a packet and more may follow.

        Args:
            packet_samples: The most audio to return. Less is returned before a mark and before the end.
            is_partial_wanted: Return less audio at any time.
        """
        available = self._available_samples
        if available >= packet_samples:
            return self._take(packet_samples)
        is_complete = bool(self._marks) or self._is_ended
        if available > 0:
            return self._take(available) if is_complete or is_partial_wanted else None
        if self._marks:
            return self._take_mark()
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
        start = (self.read_samples - self.start_samples) * BYTES_PER_SAMPLE
        pcm = bytes(memoryview(self._held)[start : start + samples * BYTES_PER_SAMPLE])
        self.read_samples += samples
        if self.read_samples > self._furthest_samples:
            self._furthest_samples = self.read_samples
            if self.end_samples - self.read_samples < self._capacity_samples:
                self._room_samples = self._capacity_samples
            self._wake_writer()
        return pcm

    def _take_mark(self) -> Mark:
        mark = self._marks.popleft()
        if isinstance(mark.item, Update):
            self._updates[mark.number] = (mark.position_samples, mark.item)
            if len(self._updates) > _MOST_UPDATES:
                del self._updates[min(self._updates)]
        self._wake_writer()
        return mark

    # Going back -------------------------------------------------------------------------------------------------

    def rewind(self, position_samples: int, again: Iterable[Mark]) -> None:
        """Go back to a position, or to the first audio that is still there.

        Args:
            position_samples: Audio from there on is read again.
            again: Marks that were read and have to be read again: at once, where they lie before that.
        """
        self.read_samples = max(min(position_samples, self._furthest_samples), self.start_samples)
        later = [
            Mark(position_samples=position, number=number, item=update)
            for number, (position, update) in self._updates.items()
            if position > self.read_samples
        ]
        for mark in later:
            del self._updates[mark.number]
        unread = {mark.number: mark for mark in (*again, *later, *self._marks)}
        self._marks = deque(unread[number] for number in sorted(unread))

    @property
    def adaptation(self) -> Adaptation | None:
        """The one that the last update before the reader's position put in force; None if there was none."""
        before = [number for number, (position, _) in self._updates.items() if position <= self.read_samples]
        return self._updates[max(before)][1].adaptation if before else None

    def release(self, position_samples: int) -> None:
        """Give up the audio before a position: it need not be read again."""
        self.drop((position_samples - self.start_samples) * BYTES_PER_SAMPLE)

    def drop(self, size: int) -> None:
        """Give up the oldest audio, of what the reader has read."""
        size = min(size, (self.read_samples - self.start_samples) * BYTES_PER_SAMPLE)
        if size <= 0:
            return
        del self._held[:size]
        self.start_samples += size // BYTES_PER_SAMPLE
        self._memory.shrunk(size)

    @property
    def kept_bytes(self) -> int:
        """How much could be given up."""
        return (self.read_samples - self.start_samples) * BYTES_PER_SAMPLE

    def close(self) -> None:
        """Give up everything."""
        self._memory.closed(self, len(self._held))
        self._held.clear()

    # Waking -----------------------------------------------------------------------------------------------------

    def _wake_reader(self) -> None:
        if self._reader and not self._reader.done():
            self._reader.set_result(None)

    def _wake_writer(self) -> None:
        if self._writer and not self._writer.done() and not self.is_full:
            self._writer.set_result(None)

    def _wake_by_alarm(self) -> None:
        self._alarm = None
        self._wake_reader()

    def _cancel_alarm(self) -> None:
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None
