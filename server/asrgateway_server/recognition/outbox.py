"""What the backend hears next: live audio, or silence while the client is quiet."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from asrgateway_server.audio.chunk import PcmChunk
from asrgateway_server.audio.chunker import CHUNK_MS
from asrgateway_server.config import Update
from asrgateway_server.recognition.lead import Lead
from asrgateway_server.transports.base import Commit

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

    def __init__(self, capacity: int, lead: Lead | None, drain: Callable[[], list[PcmChunk]]) -> None:
        self._queue: asyncio.Queue[Live | None] = asyncio.Queue(capacity)
        self._lead = lead
        self._drain = drain
        self._rest: deque[PcmChunk] = deque()
        self._next_silence = 0.0

    async def put(self, item: Live) -> None:
        """Add what the backend shall hear after everything before; wait while there is no room."""
        await self._queue.put(item)

    async def close(self) -> None:
        """Add the end."""
        await self._queue.put(None)

    async def take(self) -> Live | Silence | None:
        """Return the next item, None at the end; wait until there is one, or silence is due."""
        while not self._rest:
            due = self._silence_due()
            if due is None or not self._queue.empty():
                return await self._queue.get()
            try:
                async with asyncio.timeout_at(due):
                    return await self._queue.get()
            except TimeoutError:
                if due == self._silence_due():
                    self._rest.extend(self._drain())
                    if not self._rest:
                        return self._silence(due)
        return self._rest.popleft()

    def _silence_due(self) -> float | None:
        quiet_at = self._lead.quiet_at if self._lead else None
        return None if quiet_at is None else max(quiet_at, self._next_silence)

    def _silence(self, due: float) -> Silence:
        now = asyncio.get_running_loop().time()
        self._next_silence = max(due, now - _MOST_OWED_SECONDS) + _SILENCE_SECONDS
        return Silence()
