"""Every fault of an open connection, as a client meets it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest

from dashscope_emulator.faults import (
    Close,
    Delay,
    Drop,
    Duplicate,
    Fail,
    Fault,
    Garbage,
    Garble,
    Phase,
    SlowRead,
    Stall,
    Throttle,
)
from dashscope_emulator.recognizers.script import Script, say

SPEECH_100_MS = b"\x01\x02" * 1600
COUNT = Script(lines=tuple(say(100 * n, f"word{n}") for n in range(1, 10)))


def fault(action: Any, **where: Any) -> dict[str, Any]:
    """The options of an emulator with this fault only."""
    return {"faults": (Fault(action=action, **where),), "script": COUNT}


async def test_a_task_is_never_answered(start: Any, connect: Any, payload: Any) -> None:
    client = await connect(await start(**fault(Stall(), phase=Phase.START)))
    await client.send("run-task", payload())
    with pytest.raises(TimeoutError):
        await client.socket.receive(timeout=0.05)


async def test_nothing_is_sent_after_so_much_audio(start: Any, connect: Any) -> None:
    client = await connect(await start(**fault(Stall(), audio_ms=200)))
    await client.run()
    await client.audio(SPEECH_100_MS)
    await client.event()
    await client.audio(SPEECH_100_MS)
    await client.audio(SPEECH_100_MS)
    assert (await client.event())["payload"]["output"]["sentence"]["text"] == "word2"
    with pytest.raises(TimeoutError):
        await client.socket.receive(timeout=0.05)


async def test_a_stall_for_ever_is_not_ended_by_a_later_one(start: Any, connect: Any) -> None:
    faults = (
        Fault(action=Stall(), phase=Phase.SPEECH, packets=1),
        Fault(action=Stall(seconds=0.01), phase=Phase.SPEECH, packets=2),
    )
    client = await connect(await start(faults=faults, script=COUNT))
    await client.run()
    await client.audio(SPEECH_100_MS)
    await client.event()
    for _ in range(3):
        await client.audio(SPEECH_100_MS)
    with pytest.raises(TimeoutError):
        await client.socket.receive(timeout=0.2)


async def test_a_stall_ends(start: Any, connect: Any) -> None:
    client = await connect(await start(**fault(Stall(seconds=0.1), packets=1)))
    await client.run()
    await client.audio(SPEECH_100_MS)
    await client.event()
    begun = time.monotonic()
    await client.audio(SPEECH_100_MS)
    await client.event()
    assert time.monotonic() - begun > 0.05


async def test_a_connection_is_dropped_after_some_packets(start: Any, connect: Any) -> None:
    client = await connect(await start(**fault(Drop(), packets=3)))
    await client.run()
    for _ in range(3):
        await client.audio(SPEECH_100_MS)
    for _ in range(3):
        await client.event()
    assert await client.close_code() == 1006


async def test_a_connection_is_closed_with_a_code(start: Any, connect: Any) -> None:
    client = await connect(await start(**fault(Close(code=1013, reason="later"), audio_ms=100)))
    await client.run()
    await client.audio(SPEECH_100_MS)
    await client.event()
    message = await client.message()
    assert (message.data, message.extra) == (1013, "later")


async def test_a_task_fails_at_its_start(start: Any, connect: Any) -> None:
    client = await connect(await start(**fault(Fail(code="X", message="y"), phase=Phase.START)))
    header = (await client.run())["header"]
    assert (header["event"], header["error_code"], header["error_message"]) == ("task-failed", "X", "y")


@pytest.mark.parametrize("phase", [Phase.SPEECH, Phase.FINISH])
async def test_a_task_fails_later(start: Any, connect: Any, phase: Phase) -> None:
    client = await connect(await start(**fault(Fail(code="X", message="y"), phase=phase)))
    await client.run()
    await client.audio(SPEECH_100_MS)
    header = (await client.finish())[-1]["header"]
    assert (header["event"], header["error_code"], header["error_message"]) == ("task-failed", "X", "y")


async def test_starts_beyond_the_rate_fail(start: Any, connect: Any) -> None:
    emulator = await start(**fault(Throttle(starts_per_second=2), phase=Phase.START))
    clients = [await connect(emulator) for _ in range(3)]
    answers = [await client.run() for client in clients]
    assert [answer["header"].get("error_code") for answer in answers] == [None, None, "Throttling.RateQuota"]


async def test_a_result_is_sent_twice(start: Any, connect: Any, sentences: Any) -> None:
    client = await connect(await start(**fault(Duplicate(), packets=1)))
    await client.run()
    for _ in range(3):
        await client.audio(SPEECH_100_MS)
    texts = [s["text"] for s in sentences.of(await client.finish())]
    assert texts == ["word1", "word2", "word2", "word3", "word3"]


async def test_a_message_is_broken_json(start: Any, connect: Any) -> None:
    client = await connect(await start(**fault(Garble(), packets=1)))
    await client.run()
    await client.audio(SPEECH_100_MS)
    await client.event()
    with pytest.raises(json.JSONDecodeError):
        await client.event()


async def test_a_message_is_binary(start: Any, connect: Any) -> None:
    client = await connect(await start(**fault(Garble(kind=Garbage.BINARY), packets=1)))
    await client.run()
    await client.audio(SPEECH_100_MS)
    await client.event()
    assert (await client.message()).type is aiohttp.WSMsgType.BINARY


async def test_a_message_is_huge(start: Any, connect: Any) -> None:
    client = await connect(await start(**fault(Garble(kind=Garbage.HUGE), packets=1)), max_msg_size=0)
    await client.run()
    await client.audio(SPEECH_100_MS)
    await client.event()
    assert len((await client.message()).data) > 10_000_000


async def test_a_client_that_does_not_read_is_reset(start: Any, connect: Any) -> None:
    """Some huge messages fill every buffer on the way, the last finds no room."""
    huge = (Fault(action=Garble(kind=Garbage.HUGE), packets=1),) * 5
    emulator = await start(faults=huge, knobs={"send_seconds": 0.05})
    client = await connect(emulator, max_msg_size=0)
    await client.run()
    await client.audio(SPEECH_100_MS)
    async with asyncio.timeout(60):
        await emulator.journals[-1].ended.wait()
    assert emulator.journals[-1].outcome == "disconnected"


async def test_an_event_is_unknown(start: Any, connect: Any) -> None:
    client = await connect(await start(**fault(Garble(kind=Garbage.UNKNOWN_EVENT), packets=1)))
    await client.run()
    await client.audio(SPEECH_100_MS)
    await client.event()
    assert (await client.event())["header"]["event"] == "task-progress"


async def test_results_come_late_and_in_order(start: Any, connect: Any, sentences: Any) -> None:
    client = await connect(await start(**fault(Delay(delay_ms=50, jitter_ms=40), phase=Phase.START)))
    await client.run()
    begun = time.monotonic()
    for _ in range(9):
        await client.audio(SPEECH_100_MS)
    events = await client.finish()
    assert time.monotonic() - begun > 0.01
    assert [s["text"] for s in sentences.of(events)][:9] == [f"word{n}" for n in range(1, 10)]


async def test_nothing_is_read_for_a_while(start: Any, connect: Any) -> None:
    client = await connect(await start(**fault(SlowRead(seconds=0.1), packets=1)))
    await client.run()
    begun = time.monotonic()
    await client.audio(SPEECH_100_MS)
    await client.event()
    await client.audio(SPEECH_100_MS)
    await client.event()
    assert time.monotonic() - begun > 0.09


async def test_the_end_is_never_confirmed(start: Any, connect: Any) -> None:
    client = await connect(await start(**fault(Stall(), phase=Phase.FINISH)))
    await client.run()
    await client.audio(SPEECH_100_MS)
    await client.event()
    await client.send("finish-task", {"input": {}})
    assert (await client.event())["payload"]["output"]["sentence"]["sentence_end"]
    with pytest.raises(TimeoutError):
        await client.socket.receive(timeout=0.05)
