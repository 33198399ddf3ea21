"""Waits for an event with a timeout that also works in a task that was cancelled before."""

from __future__ import annotations

import asyncio


async def is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event; return whether it was set within some seconds.

    In a task that was cancelled before, ``asyncio.timeout`` of Python 3.11.2 and older raises CancelledError instead of
    TimeoutError, so that a shutdown would stop half-way.
    """
    waiting = asyncio.create_task(event.wait(), name="wait for an event")
    try:
        await asyncio.wait((waiting,), timeout=seconds)
    finally:
        waiting.cancel()
    return event.is_set()
