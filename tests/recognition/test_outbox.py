from __future__ import annotations

import asyncio
import contextlib

import pytest

from asrgateway_server.audio.chunk import PcmChunk
from asrgateway_server.recognition.lead import Lead
from asrgateway_server.recognition.outbox import Outbox, Silence
from asrgateway_server.transports.base import Commit

CHUNKS = [PcmChunk(bytes(2), position) for position in range(3)]


async def test_what_is_put_is_taken_in_order_to_the_end() -> None:
    outbox = Outbox(10, None, list)
    await outbox.put(CHUNKS[0])
    await outbox.put(Commit())
    await outbox.put(CHUNKS[1])
    await outbox.close()
    assert [await outbox.take() for _ in range(4)] == [CHUNKS[0], Commit(), CHUNKS[1], None]


async def test_who_takes_from_an_empty_outbox_waits() -> None:
    outbox = Outbox(1, None, list)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await outbox.take()


async def test_who_puts_into_a_full_outbox_waits() -> None:
    outbox = Outbox(2, None, list)
    await outbox.put(CHUNKS[0])
    await outbox.put(CHUNKS[1])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await outbox.put(CHUNKS[2])


async def test_a_taker_that_gave_up_has_taken_nothing() -> None:
    outbox = Outbox(1, None, list)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await outbox.take()
    await outbox.put(CHUNKS[0])
    assert await outbox.take() == CHUNKS[0]


async def test_room_lets_the_one_who_waits_go_on() -> None:
    outbox = Outbox(1, None, list)
    await outbox.put(CHUNKS[0])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(outbox.put(CHUNKS[1]))
        assert [await outbox.take(), await outbox.take()] == CHUNKS[:2]


# Silence ----------------------------------------------------------------------------------------------------------


def quiet(*, after_seconds: float = 0.0) -> Lead:
    """A lead that has been used up."""
    lead = Lead(after_seconds)
    lead.add(asyncio.get_running_loop().time(), 0.0)
    return lead


async def test_a_quiet_client_is_filled_up_with_silence() -> None:
    outbox = Outbox(3, quiet(), list)
    assert await outbox.take() == Silence()


async def test_silence_keeps_the_pace_of_the_clock() -> None:
    outbox = Outbox(3, quiet(), list)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert [await outbox.take() for _ in range(3)] == [Silence()] * 3
    assert loop.time() - began >= 0.19


async def test_audio_that_waits_to_fill_a_chunk_goes_before_the_silence() -> None:
    waiting = [CHUNKS[0]]

    def drain() -> list[PcmChunk]:
        drained = waiting[:]
        waiting.clear()
        return drained

    outbox = Outbox(3, quiet(), drain)
    assert [await outbox.take(), await outbox.take()] == [CHUNKS[0], Silence()]


async def test_audio_goes_before_silence_that_is_due() -> None:
    outbox = Outbox(3, quiet(), list)
    await outbox.put(CHUNKS[0])
    assert await outbox.take() == CHUNKS[0]


async def test_nothing_is_added_before_the_first_audio() -> None:
    outbox = Outbox(3, Lead(0.0), list)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await outbox.take()


async def test_audio_in_the_meantime_puts_silence_off() -> None:
    lead = quiet(after_seconds=0.02)
    outbox = Outbox(3, lead, list)
    taking = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    lead.add(asyncio.get_running_loop().time(), 2.0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await taking


async def test_silence_that_a_slow_backend_missed_is_not_made_up_for() -> None:
    lead = Lead(0.0)
    lead.add(asyncio.get_running_loop().time() - 60.0, 0.0)
    outbox = Outbox(3, lead, list)
    taken = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            while await outbox.take():
                taken += 1
    assert taken <= 11
