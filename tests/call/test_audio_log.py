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


# Going back -------------------------------------------------------------------------------------------------------

SHIPS, TREES = (Update(adaptation=Adaptation(context=context)) for context in ("ships", "trees"))


async def all_read(*pieces: bytes | Commit | Update, kept_packets: int = 100) -> tuple[AudioLog, list[Mark]]:
    """A log whose reader has read all of it, and the marks among that."""
    made, marks = log(kept_packets=kept_packets), []
    for piece in pieces:
        await (made.append(piece) if isinstance(piece, bytes) else made.mark(piece))
        while (item := made.read(PACKET)) is not None:
            marks += [item] if isinstance(item, Mark) else []
    return made, marks


def left(made: AudioLog) -> list[object]:
    """All that can be read."""
    items: list[object] = []
    while (item := made.read(PACKET)) is not None:
        items.append(item)
    return items


async def test_audio_is_read_again_from_a_position() -> None:
    made, _ = await all_read(*PACKETS[:3])
    made.rewind(PACKET, ())
    assert made.is_replaying
    assert left(made) == PACKETS[1:3]
    assert not made.is_replaying


async def test_new_audio_follows_what_is_read_again() -> None:
    made, _ = await all_read(*PACKETS[:2])
    made.rewind(PACKET, ())
    await made.append(PACKETS[2])
    assert made.read(PACKET) == PACKETS[1]
    assert not made.is_replaying
    assert left(made) == [PACKETS[2]]


@pytest.mark.parametrize("released", [PACKET, 2 * PACKET])
async def test_released_audio_is_not_read_again(released: int) -> None:
    made, _ = await all_read(*PACKETS[:3])
    made.release(released)
    made.rewind(0, ())
    assert (made.start_samples, made.read_samples) == (released, released)
    assert left(made) == PACKETS[released // PACKET : 3]


async def test_no_audio_is_passed_over_that_nobody_has_read() -> None:
    made = await filled(*PACKETS[:3])
    made.read(PACKET)
    made.rewind(3 * PACKET, ())
    assert left(made) == PACKETS[1:3]


async def test_unread_audio_is_not_given_up() -> None:
    made = await filled(*PACKETS[:3])
    made.read(PACKET)
    assert made.kept_bytes == 2 * PACKET
    made.release(3 * PACKET)
    assert (made.start_samples, made.kept_bytes) == (PACKET, 0)
    assert left(made) == PACKETS[1:3]


async def test_a_position_that_was_released_before_releases_nothing() -> None:
    made, _ = await all_read(*PACKETS[:3])
    made.release(2 * PACKET)
    made.release(PACKET)
    assert made.start_samples == 2 * PACKET


async def test_the_oldest_audio_goes_when_too_much_is_kept() -> None:
    made, _ = await all_read(*PACKETS, kept_packets=2)
    made.rewind(0, ())
    assert left(made) == PACKETS[-2:]


async def test_the_memory_counts_what_is_held_until_the_log_is_closed() -> None:
    memory = ReplayMemory(math.inf)
    made = log(memory=memory)
    await made.append(PACKETS[0])
    await made.append(PACKETS[1])
    assert memory.held_bytes == 4 * PACKET
    made.read(PACKET)
    made.release(PACKET)
    assert memory.held_bytes == 2 * PACKET
    made.close()
    assert memory.held_bytes == 0


async def test_a_memory_that_is_full_takes_audio_that_was_read() -> None:
    memory = ReplayMemory(4 * PACKET)
    made = log(memory=memory)
    for packet in PACKETS[:3]:
        await made.append(packet)
        assert made.read(PACKET) == packet
    assert made.start_samples > 0
    assert memory.held_bytes <= 4 * PACKET


async def test_a_writer_is_not_held_up_by_audio_that_is_read_again() -> None:
    made = log(2)
    for packet in PACKETS[:4]:
        await made.append(packet)
        made.read(PACKET)
    made.rewind(0, ())
    async with asyncio.timeout(60):
        await made.append(PACKETS[4])
    assert left(made) == PACKETS[:5]


async def test_marks_are_read_again_only_where_that_is_asked_for() -> None:
    made, (first, second) = await all_read(PACKETS[0], Commit(), PACKETS[1], Commit(), PACKETS[2])
    made.rewind(0, (second,))
    assert left(made) == [*PACKETS[:2], second, PACKETS[2]]
    made.rewind(0, (second, first))
    assert left(made) == [PACKETS[0], first, PACKETS[1], second, PACKETS[2]]


async def test_a_mark_before_the_position_is_read_at_once() -> None:
    made, (commit,) = await all_read(PACKETS[0], Commit(), PACKETS[1])
    made.rewind(PACKET + 1, (commit,))
    assert made.read(PACKET) == commit
    assert made.read(PACKET - 1) == PACKETS[1][2:]


async def test_marks_that_are_still_unread_come_after_those_that_are_read_again() -> None:
    made, (first,) = await all_read(PACKETS[0], Commit())
    await made.mark(Commit())
    made.rewind(0, (first,))
    assert [made.read(PACKET), *left(made)] == [
        PACKETS[0],
        first,
        Mark(position_samples=PACKET, number=2, item=Commit()),
    ]


async def test_an_update_is_in_force_once_it_was_read() -> None:
    made = log()
    await made.mark(SHIPS)
    in_force = [made.adaptation]
    made.read(PACKET)
    assert [*in_force, made.adaptation] == [None, SHIPS.adaptation]


async def test_updates_after_the_position_are_read_again_by_themselves() -> None:
    made, (ships, trees) = await all_read(PACKETS[0], SHIPS, PACKETS[1], TREES, PACKETS[2])
    assert made.adaptation == TREES.adaptation
    made.rewind(PACKET, ())
    assert made.adaptation == SHIPS.adaptation
    assert left(made) == [PACKETS[1], trees, PACKETS[2]]
    assert made.adaptation == TREES.adaptation
    made.rewind(0, ())
    assert left(made) == [PACKETS[0], ships, PACKETS[1], trees, PACKETS[2]]


async def test_before_the_first_update_none_is_in_force() -> None:
    made, _ = await all_read(PACKETS[0], SHIPS)
    made.rewind(0, ())
    assert made.adaptation is None


async def test_of_many_updates_the_last_ones_are_kept() -> None:
    made, _ = await all_read(*(Update(adaptation=Adaptation(context=f"{number}")) for number in range(30)))
    assert made.adaptation == Adaptation(context="29")


# One channel of several -------------------------------------------------------------------------------------------


async def test_audio_is_added_whether_there_is_room_or_not() -> None:
    made = log(2)
    for packet in PACKETS[:3]:
        made.add(packet)
    assert made.is_full
    waiting = asyncio.create_task(made.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    assert [made.read(PACKET), made.read(PACKET)] == PACKETS[:2]
    await waiting


async def test_a_log_that_may_lag_has_room_until_its_reader_has_caught_up() -> None:
    made = log(2)
    made.may_lag(10 * PACKET)
    for packet in PACKETS[:4]:
        made.add(packet)
    assert not made.is_full
    assert [made.read(PACKET) for _ in range(3)] == PACKETS[:3]
    made.add(PACKETS[4])
    assert made.is_full


async def test_what_other_logs_keep_does_not_make_room_for_one_that_lags() -> None:
    memory = ReplayMemory(40 * 2 * PACKET)
    other, made = log(memory=memory), log(2, memory=memory)
    for packet in PACKETS:
        await other.append(packet)
        other.read(PACKET)
    made.may_lag(1_000 * PACKET)
    for packet in PACKETS * 10:
        if not made.is_full:
            made.add(packet)
    assert made.is_full
    assert (other.start_samples, memory.held_bytes) == (0, 20 * 2 * PACKET)


async def test_a_log_that_lags_in_a_memory_without_room_goes_on_with_its_reader() -> None:
    made = log(2, memory=ReplayMemory(0))
    made.may_lag(1_000 * PACKET)
    made.add(PACKETS[0])
    assert not made.is_full
    made.add(PACKETS[1])
    waiting = asyncio.create_task(made.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    assert made.read(PACKET) == PACKETS[0]
    await waiting


@pytest.mark.parametrize("limit_bytes", [math.inf, 0])
async def test_the_writer_does_not_wait_for_a_log_that_was_abandoned(limit_bytes: float) -> None:
    memory = ReplayMemory(limit_bytes)
    made = log(2, memory=memory)
    for packet in PACKETS[:3]:
        made.add(packet)
    waiting = asyncio.create_task(made.room())
    await asyncio.sleep(0)
    made.abandon()
    await waiting
    assert memory.held_bytes == 0
