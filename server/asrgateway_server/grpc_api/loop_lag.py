"""Measures how late the event loop is; everything that keeps it busy delays every call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def observed_loop(observe: Callable[[float], None], interval_seconds: float) -> AsyncIterator[None]:
    """Set a timer repeatedly, and pass to ``observe`` by how many seconds each was late."""
    observer = asyncio.create_task(_measure(observe, interval_seconds), name="observe loop")
    try:
        yield
    finally:
        observer.cancel()
        await asyncio.gather(observer, return_exceptions=True)


async def _measure(observe: Callable[[float], None], interval_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + interval_seconds
        await asyncio.sleep(interval_seconds)
        observe(max(0.0, loop.time() - due))
