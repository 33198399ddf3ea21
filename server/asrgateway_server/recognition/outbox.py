"""What the backend hears next."""

from __future__ import annotations

import asyncio

from asrgateway_server.audio.chunk import PcmChunk
from asrgateway_server.transports.base import Commit


class Outbox:
    """A bounded queue of live audio between the client's side and the backend's.

    Full, it makes its writer wait, who then reads nothing more from gRPC, whose flow control slows the client.
    """

    def __init__(self, capacity_chunks: int) -> None:
        self._queue: asyncio.Queue[PcmChunk | Commit | None] = asyncio.Queue(capacity_chunks)

    async def put(self, item: PcmChunk | Commit) -> None:
        """Add what the backend shall hear after everything before; wait while there is no room."""
        await self._queue.put(item)

    async def close(self) -> None:
        """Add the end."""
        await self._queue.put(None)

    async def take(self) -> PcmChunk | Commit | None:
        """Return the next item, None at the end; wait until there is one."""
        return await self._queue.get()
