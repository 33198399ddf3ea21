"""What the backend hears next: live audio, or silence while the client is quiet."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from asrgateway_server.audio.chunk import PcmChunk
from asrgateway_server.audio.chunker import CHUNK_MS
from asrgateway_server.backends.base import Commit
from asrgateway_server.call.quiet import QuietDetector
from asrgateway_server.config import Update

_SILENCE_SECONDS: Final = CHUNK_MS / 1000
# A backend that was slow is not owed the silence that it missed.
_MOST_OWED_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Silence:
    """``CHUNK_MS`` of silence in the client's place."""


Live = PcmChunk | Commit | Update


class Outbox:
    """A bounded queue between the client's side and the backend's, filled up with silence at the pace of the clock.

    Full, it makes its writer wait, who then reads nothing more from gRPC, whose flow control slows the client.

    Args:
        capacity: Items that may wait.
        lead: Tells when the client is quiet; None: no silence is ever added.
        drain: Returns the audio that waits to fill a chunk; it goes before the first silence.
    """

    def __init__(self, capacity: int, lead: QuietDetector | None, drain: Callable[[], list[PcmChunk]]) -> None:
        self._queue: asyncio.Queue[Live | None] = asyncio.Queue(capacity)
        self._quiet = lead
        self._drain = drain
        self._rest: deque[PcmChunk] = deque()
        self._next_silence = 0.0
        self._taker: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._is_writing = False

    async def put(self, item: Live) -> None:
        """Add what the backend shall hear after everything before; wait while there is no room."""
        await self.put_all((item,))

    async def put_all(self, items: Iterable[Live | None]) -> None:
        """Add one after the other, and ask for each only when there is room; for one writer at a time."""
        self._is_writing = True
        try:
            for item in items:
                await self._queue.put(item)
                self._wake_taker()
        finally:
            self._is_writing = False
        if self._quiet:
            # A client whose audio had to wait here could not send more meanwhile: that was not its silence.
            self._quiet.hold(asyncio.get_running_loop().time())
            # Audio too short to fill a chunk has added nothing, and yet silence may be due after it from now on.
            self._wake_taker()

    async def close(self) -> None:
        """Add the end."""
        await self.put_all((None,))
        self._cancel_alarm()

    async def take(self) -> Live | Silence | None:
        """Return the next item, None at the end; wait until there is one, or silence is due."""
        while not self._rest:
            due = self._silence_due()
            # An empty queue is no silence while its writer holds more: one large message is many chunks.
            if self._is_writing or not self._queue.empty():
                return await self._queue.get()
            if due is None or asyncio.get_running_loop().time() < due:
                await self._item_or_alarm(due)
                continue
            self._rest.extend(self._drain())
            if not self._rest:
                return self._silence(due)
        return self._rest.popleft()

    async def _item_or_alarm(self, due: float | None) -> None:
        """Wait until an item is there, or silence may be due; None: it will not be, as things are.

        The alarm is set anew only once it has rung, at times too early: every message puts silence off, and setting
        and cancelling a timer for each is a third of what the way from message to backend costs.
        """
        loop = asyncio.get_running_loop()
        if self._alarm is None and due is not None:
            self._alarm = loop.call_at(due, self._ring)
        self._taker = taker = loop.create_future()
        try:
            await taker
        finally:
            self._taker = None
            if taker.cancelled():
                self._cancel_alarm()

    def _ring(self) -> None:
        self._alarm = None
        self._wake_taker()

    def _wake_taker(self) -> None:
        if self._taker and not self._taker.done():
            self._taker.set_result(None)

    def _cancel_alarm(self) -> None:
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None

    def _silence_due(self) -> float | None:
        quiet_at = self._quiet.quiet_at if self._quiet else None
        return None if quiet_at is None else max(quiet_at, self._next_silence)

    def _silence(self, due: float) -> Silence:
        if self._quiet:
            self._quiet.add_silence(CHUNK_MS)
        now = asyncio.get_running_loop().time()
        self._next_silence = max(due, now - _MOST_OWED_SECONDS) + _SILENCE_SECONDS
        return Silence()
