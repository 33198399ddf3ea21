"""A wait for an event that ends in time, also in a task that was cancelled before."""

from __future__ import annotations

import asyncio


async def is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event; return whether it came within so many seconds.

    In a task that was cancelled before, ``asyncio.timeout`` of Python 3.11.2 and older raises CancelledError once its
    time is over, and whatever stops there would be left half-way.
    """
    waiting = asyncio.create_task(event.wait(), name="wait for an event")
    try:
        await asyncio.wait((waiting,), timeout=seconds)
    finally:
        waiting.cancel()
    return event.is_set()
