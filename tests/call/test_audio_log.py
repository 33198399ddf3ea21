"""The way of audio, commits and updates from the reader of requests to the task that runs."""

from __future__ import annotations

import asyncio
import math

import pytest

from asrgateway_server.backends.base import Commit
from asrgateway_server.call.audio_log import AudioLog, End, Mark
from asrgateway_server.call.replay_memory import ReplayMemory
from asrgateway_server.config import Adaptation, Update

PACKET = 4
PACKETS = [bytes([number]) * 2 * PACKET for number in range(6)]


def log(packets: int = 100, kept_packets: int = 100, memory: ReplayMemory | None = None) -> AudioLog:
    return AudioLog(packets * PACKET, kept_packets * PACKET, memory or ReplayMemory(math.inf))


async def filled(*pieces: bytes, packets: int = 100) -> AudioLog:
    made = log(packets)
    for piece in pieces:
        await made.append(piece)
    return made


async def test_audio_is_read_in_packets_however_it_came() -> None:
    made = await filled(PACKETS[0], PACKETS[1][:3], PACKETS[1][3:] + PACKETS[2] + PACKETS[3][:2])
    assert [made.read(PACKET) for _ in range(4)] == [*PACKETS[:3], None]


async def test_less_than_a_packet_is_read_on_request() -> None:
    made = await filled(PACKETS[0][:2])
    assert made.read(PACKET) is None
    assert made.read(PACKET, is_partial_wanted=True) == PACKETS[0][:2]
    assert made.read(PACKET, is_partial_wanted=True) is None


async def test_marks_are_read_in_their_places_after_all_audio_before_them() -> None:
    made = await filled(PACKETS[0][:2])
    await made.mark(Commit())
    await made.append(PACKETS[1])
    update = Update(adaptation=Adaptation(context="ships"))
    await made.mark(update)
    assert [made.read(PACKET) for _ in range(5)] == [
        PACKETS[0][:2],
        Mark(position_samples=1, number=1, item=Commit()),
        PACKETS[1],
        Mark(position_samples=1 + PACKET, number=2, item=update),
        None,
    ]


async def test_the_end_comes_after_the_last_audio_and_stays() -> None:
    made = await filled(PACKETS[0][:2])
    made.end()
    assert [made.read(PACKET) for _ in range(3)] == [PACKETS[0][:2], End(), End()]


async def test_has_audio_says_whether_audio_comes_next() -> None:
    made = log()
    await made.mark(Commit())
    await made.append(PACKETS[0])
    assert not made.has_audio
    assert isinstance(made.read(PACKET), Mark)
    assert made.has_audio


async def test_a_writer_waits_while_too_much_is_unread() -> None:
    made = log(2)
    writing = asyncio.create_task(append_all(made))
    await asyncio.sleep(0)
    assert (made.end_samples, made.is_writing) == (2 * PACKET, True)
    assert [await read(made) for _ in PACKETS] == PACKETS
    await writing
    assert not made.is_writing


async def append_all(made: AudioLog) -> None:
    for packet in PACKETS:
        await made.append(packet)


async def test_a_long_piece_is_taken_in_as_there_is_room() -> None:
    made = log(2)
    writing = asyncio.create_task(made.append(b"".join(PACKETS)))
    await asyncio.sleep(0)
    assert made.end_samples == 2 * PACKET
    assert [await read(made) for _ in PACKETS] == PACKETS
    await writing


async def test_commits_without_audio_wait_for_room_too() -> None:
    made = log()

    async def commits() -> None:
        for _ in range(10):
            await made.mark(Commit())

    writing = asyncio.create_task(commits())
    await asyncio.sleep(0)
    assert not writing.done()
    assert [await read(made) for _ in range(10)] == [
        Mark(position_samples=0, number=number, item=Commit()) for number in range(1, 11)
    ]
    await writing


async def read(made: AudioLog) -> object:
    """What comes next; lets the writer go on first if it waits."""
    while (item := made.read(PACKET)) is None:  # noqa: ASYNC110 the writer goes on in another task
        await asyncio.sleep(0)
    return item


# Waiting ----------------------------------------------------------------------------------------------------------


async def waiting(made: AudioLog, until: float | None = None) -> asyncio.Task[None]:
    task = asyncio.create_task(made.wait(PACKET, until))
    await asyncio.sleep(0)
    return task


@pytest.mark.parametrize("what", ["a packet", "a mark", "the end", "the first audio"])
async def test_a_reader_waits_until_there_is_something(what: str) -> None:
    made = log()
    reader = await waiting(made)
    assert not reader.done()
    match what:
        case "a packet":
            await made.append(PACKETS[0])
        case "a mark":
            await made.mark(Commit())
        case "the end":
            made.end()
        case _:
            await made.append(PACKETS[0][:2])
    async with asyncio.timeout(60):
        await reader


async def test_a_reader_waits_no_longer_than_it_wants() -> None:
    async with asyncio.timeout(60):
        await log().wait(PACKET, asyncio.get_running_loop().time() + 0.01)


async def test_an_earlier_time_replaces_a_later_one() -> None:
    made = log()
    now = asyncio.get_running_loop().time()
    first = await waiting(made, now + 3600)
    await made.append(PACKETS[0])
    await first
    made.read(PACKET)
    async with asyncio.timeout(60):
        await made.wait(PACKET, now + 0.01)


async def test_a_cancelled_reader_has_read_nothing() -> None:
    made = log()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await made.wait(PACKET, None)
    await made.append(PACKETS[0])
    assert made.read(PACKET) == PACKETS[0]


async def test_a_callback_is_called_when_audio_arrives() -> None:
    made = log()
    calls: list[int] = []
    made.call_at_audio(lambda: calls.append(made.end_samples))
    await made.append(PACKETS[0])
    made.call_at_audio(None)
    await made.append(PACKETS[1])
    assert calls == [PACKET]
