from __future__ import annotations

import asyncio

import pytest

from asrgateway_server.audio.chunk import PcmChunk
from asrgateway_server.recognition.outbox import Outbox
from asrgateway_server.transports.base import Commit

CHUNKS = [PcmChunk(bytes(2), position) for position in range(3)]


async def test_what_is_put_is_taken_in_order_to_the_end() -> None:
    outbox = Outbox(10)
    await outbox.put(CHUNKS[0])
    await outbox.put(Commit())
    await outbox.put(CHUNKS[1])
    await outbox.close()
    assert [await outbox.take() for _ in range(4)] == [CHUNKS[0], Commit(), CHUNKS[1], None]


async def test_who_takes_from_an_empty_outbox_waits() -> None:
    outbox = Outbox(1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await outbox.take()


async def test_who_puts_into_a_full_outbox_waits() -> None:
    outbox = Outbox(2)
    await outbox.put(CHUNKS[0])
    await outbox.put(CHUNKS[1])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await outbox.put(CHUNKS[2])


async def test_a_taker_that_gave_up_has_taken_nothing() -> None:
    outbox = Outbox(1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await outbox.take()
    await outbox.put(CHUNKS[0])
    assert await outbox.take() == CHUNKS[0]


async def test_room_lets_the_one_who_waits_go_on() -> None:
    outbox = Outbox(1)
    await outbox.put(CHUNKS[0])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(outbox.put(CHUNKS[1]))
        assert [await outbox.take(), await outbox.take()] == CHUNKS[:2]
