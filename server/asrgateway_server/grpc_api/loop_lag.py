"""How late the event loop is: whatever keeps it busy keeps every call waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def observed_loop(observe: Callable[[float], None], interval_seconds: float) -> AsyncIterator[None]:
    """Set a timer again and again, and tell ``observe`` by how many seconds each rang too late."""
    observer = asyncio.create_task(_ring(observe, interval_seconds), name="observe loop")
    try:
        yield
    finally:
        observer.cancel()
        await asyncio.gather(observer, return_exceptions=True)


async def _ring(observe: Callable[[float], None], interval_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + interval_seconds
        await asyncio.sleep(interval_seconds)
        observe(max(0.0, loop.time() - due))
