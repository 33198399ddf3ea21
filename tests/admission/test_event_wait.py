from __future__ import annotations

import asyncio

from asrgateway_server.admission.event_wait import is_set_within


async def test_a_set_event_ends_the_wait() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    assert await is_set_within(event, 600)


async def test_the_wait_ends_at_its_timeout() -> None:
    assert not await is_set_within(asyncio.Event(), 0.01)
    assert not await is_set_within(asyncio.Event(), -1.0)


async def test_a_task_that_was_cancelled_before_waits_too() -> None:
    """With ``asyncio.timeout`` in its place this fails on Python 3.11.2."""

    async def wait_at_the_end() -> bool:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return await is_set_within(asyncio.Event(), 0.01)
        return True

    waiting = asyncio.create_task(wait_at_the_end())
    await asyncio.sleep(0)
    waiting.cancel()
    assert await waiting is False
    assert len(asyncio.all_tasks()) == 1
