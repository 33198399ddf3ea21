from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from asrgateway_server.audio.chunk import PcmChunk
from asrgateway_server.backends.base import Commit
from asrgateway_server.call.outbox import Outbox, Silence
from asrgateway_server.call.quiet import QuietDetector

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


def quiet(*, after_seconds: float = 0.0) -> QuietDetector:
    """A lead that has been used up."""
    lead = QuietDetector(after_seconds)
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


async def writer(outbox: Outbox, chunks: list[PcmChunk]) -> asyncio.Task[None]:
    """Return what puts all chunks and waits for room already."""
    writing = asyncio.create_task(outbox.put_all(chunks))
    await asyncio.sleep(0)
    return writing


async def test_a_writer_that_holds_more_is_not_quiet() -> None:
    outbox = Outbox(3, quiet(), list)
    chunks = [PcmChunk(bytes(2), position) for position in range(20)]
    writing = await writer(outbox, chunks)
    assert [await outbox.take() for _ in chunks] == chunks
    await writing
    assert await outbox.take() == Silence()


async def test_audio_that_waits_to_fill_a_chunk_stays_behind_what_its_writer_holds() -> None:
    waiting = [PcmChunk(bytes(2), 20)]

    def drain() -> list[PcmChunk]:
        drained = waiting[:]
        waiting.clear()
        return drained

    outbox = Outbox(3, quiet(), drain)
    chunks = [PcmChunk(bytes(2), position) for position in range(20)]
    writing = await writer(outbox, chunks)
    assert [await outbox.take() for _ in range(21)] == [*chunks, PcmChunk(bytes(2), 20)]
    await writing


async def test_a_client_that_had_to_wait_for_room_was_not_quiet_meanwhile() -> None:
    lead = quiet(after_seconds=60.0)
    outbox = Outbox(1, lead, list)
    writing = await writer(outbox, CHUNKS)
    room_at = asyncio.get_running_loop().time()
    assert [await outbox.take() for _ in CHUNKS] == CHUNKS
    await writing
    assert lead.quiet_at is not None
    assert lead.quiet_at >= room_at + 60.0


async def test_items_are_asked_for_only_when_there_is_room() -> None:
    asked: list[PcmChunk] = []

    def pieces() -> Iterator[PcmChunk]:
        for chunk in CHUNKS:
            asked.append(chunk)
            yield chunk

    outbox = Outbox(1, None, list)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await outbox.put_all(pieces())
    assert asked == CHUNKS[:2]


async def test_nothing_is_added_before_the_first_audio() -> None:
    outbox = Outbox(3, QuietDetector(0.0), list)
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
    lead = QuietDetector(0.0)
    lead.add(asyncio.get_running_loop().time() - 60.0, 0.0)
    outbox = Outbox(3, lead, list)
    taken = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            while await outbox.take():
                taken += 1
    assert taken <= 11


async def test_after_so_much_silence_in_a_row_no_more_is_added_until_audio_comes() -> None:
    loop = asyncio.get_running_loop()
    lead = QuietDetector(0.0, max_silence_seconds=0.2)
    lead.add(loop.time(), 0.01)
    outbox = Outbox(3, lead, list)
    assert [await outbox.take(), await outbox.take()] == [Silence()] * 2
    taking = asyncio.create_task(outbox.take())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await asyncio.shield(taking)
    lead.add(loop.time(), 0.01)
    await outbox.put(CHUNKS[0])
    assert [await taking, await outbox.take()] == [CHUNKS[0], Silence()]


@pytest.mark.parametrize("spent_ms", [0, 200], ids=["first audio", "audio after much silence"])
async def test_audio_too_short_for_a_chunk_is_followed_by_silence_too(spent_ms: int) -> None:
    waiting: list[PcmChunk] = []

    def drain() -> list[PcmChunk]:
        drained = waiting[:]
        waiting.clear()
        return drained

    lead = QuietDetector(0.01, max_silence_seconds=0.2)
    lead.add_silence(spent_ms)
    outbox = Outbox(3, lead, drain)
    taking = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    waiting.append(CHUNKS[0])
    lead.add(asyncio.get_running_loop().time(), 0.01)
    await outbox.put_all(())
    assert [await taking, await outbox.take()] == [CHUNKS[0], Silence()]
