"""Every fault, at the place it is meant for."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dashscope_emulator.fault_schedule import FaultSchedule
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
    Refuse,
    SlowRead,
    Stall,
    Throttle,
    load_faults,
)
from dashscope_emulator.recognizers.script import Script, say

SPEECH_100_MS = b"\x01\x02" * 1600
COUNT = Script(lines=tuple(say(100 * n, f"word{n}") for n in range(1, 10)))


def fault(action: Any, **where: Any) -> dict[str, Any]:
    """The options of an emulator with this fault only."""
    return {"faults": (Fault(action=action, **where),), "script": COUNT}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "InvalidApiKey"),
        (403, "AccessDenied"),
        (429, "Throttling.RateQuota"),
        (503, "ModelUnavailable"),
    ],
)
async def test_a_handshake_is_refused(start: Any, session: aiohttp.ClientSession, status: int, code: str) -> None:
    emulator = await start(**fault(Refuse(status=status), phase=Phase.HANDSHAKE))
    async with session.get(f"{emulator.http_url}/api-ws/v1/inference") as response:
        assert (response.status, (await response.json())["code"]) == (status, code)


async def test_a_handshake_is_answered_with_garbage(start: Any, session: aiohttp.ClientSession) -> None:
    emulator = await start(**fault(Refuse(status=200, body="<html>"), phase=Phase.HANDSHAKE))
    async with session.get(f"{emulator.http_url}/api-ws/v1/inference") as response:
        assert await response.text() == "<html>"


async def test_a_handshake_is_dropped(start: Any, connect: Any) -> None:
    emulator = await start(**fault(Drop(), phase=Phase.HANDSHAKE))
    with pytest.raises(aiohttp.ClientConnectionError):
        await connect(emulator)


async def test_a_handshake_is_never_answered(start: Any, connect: Any) -> None:
    emulator = await start(**fault(Stall(), phase=Phase.HANDSHAKE))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await connect(emulator)


async def test_a_task_is_never_answered(start: Any, connect: Any, payload: Any) -> None:
    client = await connect(await start(**fault(Stall(), phase=Phase.START)))
    await client.send("run-task", payload())
    with pytest.raises(TimeoutError):
        await client.socket.receive(timeout=0.05)


async def test_nothing_more_is_said_from_some_audio_on(start: Any, connect: Any) -> None:
    client = await connect(await start(**fault(Stall(), audio_ms=200)))
    await client.run()
    await client.audio(SPEECH_100_MS)
    await client.event()
    await client.audio(SPEECH_100_MS)
    await client.audio(SPEECH_100_MS)
    assert (await client.event())["payload"]["output"]["sentence"]["text"] == "word2"
    with pytest.raises(TimeoutError):
        await client.socket.receive(timeout=0.05)


async def test_a_pause_ends(start: Any, connect: Any) -> None:
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


async def test_a_result_comes_twice(start: Any, connect: Any, sentences: Any) -> None:
    client = await connect(await start(**fault(Duplicate(), packets=1)))
    await client.run()
    for _ in range(3):
        await client.audio(SPEECH_100_MS)
    texts = [s["text"] for s in sentences.of(await client.finish())]
    assert texts == ["word1", "word2", "word2", "word3", "word3"]


async def test_json_is_broken(start: Any, connect: Any) -> None:
    client = await connect(await start(**fault(Garble(), packets=1)))
    await client.run()
    await client.audio(SPEECH_100_MS)
    await client.event()
    with pytest.raises(json.JSONDecodeError):
        await client.event()


async def test_a_binary_frame_comes(start: Any, connect: Any) -> None:
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


async def test_a_client_that_does_not_read_is_cut_off(start: Any, connect: Any) -> None:
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


SELECTIONS: dict[str, tuple[dict[str, Any], list[bool]]] = {
    "all": ({}, [True, True, True]),
    "a connection": ({"connections": (2,)}, [False, True, False]),
    "a task": ({"tasks": (1, 3)}, [True, False, True]),
    "a model": ({"model": "fun-asr-realtime"}, [True, False, True]),
    "a number of times": ({"times": 2}, [True, True, False]),
}


@pytest.mark.parametrize(("where", "strikes"), SELECTIONS.values(), ids=SELECTIONS.keys())
async def test_a_fault_strikes_whom_it_names(
    start: Any, connect: Any, where: dict[str, Any], strikes: list[bool]
) -> None:
    emulator = await start(**fault(Fail(), phase=Phase.START, **where))
    models = ["fun-asr-realtime", "paraformer-realtime-v2", "fun-asr-realtime"]
    clients = [await connect(emulator) for _ in models]
    answers = [await client.run(model) for client, model in zip(clients, models, strict=True)]
    assert [answer["header"]["event"] == "task-failed" for answer in answers] == strikes


def test_a_fault_strikes_a_task_once() -> None:
    book = FaultSchedule((Fault(action=Drop(), audio_ms=100),))
    plan = book.select(Phase.SPEECH, connection=1)
    assert [plan.due(audio_ms=ms, packets=1) for ms in (50, 100, 150)] == [[], [Drop()], []]


FILE = """
faults:
  - {action: refuse, status: 503, connections: [1, 2]}
  - {action: stall, phase: handshake}
  - {action: stall, phase: start, model: fun-asr-realtime}
  - {action: throttle, starts_per_second: 20}
  - {action: drop, audio_ms: 7000}
  - {action: close, code: 1011, reason: oops, packets: 30}
  - {action: task_failed, code: C, message: m, tasks: 3, audio_ms: 500}
  - {action: stall, phase: speech, seconds: 2, times: 1}
  - {action: duplicate, audio_ms: 1000, count: 2}
  - {action: garble, kind: unknown_event, audio_ms: 1000}
  - {action: delay, delay_ms: 80, jitter_ms: 40}
  - {action: slow_read, seconds: 3.5, audio_ms: 1000}
"""


def test_faults_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(FILE)
    assert load_faults(path) == (
        Fault(action=Refuse(status=503), phase=Phase.HANDSHAKE, connections=(1, 2)),
        Fault(action=Stall(), phase=Phase.HANDSHAKE),
        Fault(action=Stall(), phase=Phase.START, model="fun-asr-realtime"),
        Fault(action=Throttle(starts_per_second=20), phase=Phase.START),
        Fault(action=Drop(), audio_ms=7000),
        Fault(action=Close(code=1011, reason="oops"), packets=30),
        Fault(action=Fail(code="C", message="m"), tasks=(3,), audio_ms=500),
        Fault(action=Stall(seconds=2.0), times=1),
        Fault(action=Duplicate(count=2), audio_ms=1000),
        Fault(action=Garble(kind=Garbage.UNKNOWN_EVENT), audio_ms=1000),
        Fault(action=Delay(delay_ms=80, jitter_ms=40), phase=Phase.START),
        Fault(action=SlowRead(seconds=3.5), audio_ms=1000),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "Input should be an object"),
        ("faults: [{}]", "action must be one of refuse, .*, not None"),
        ("faults: [{action: explode}]", "fault 1: action must be one of refuse, .*, not explode"),
        ("faults: [{action: drop, sound: loud}]", "fault 1: sound: Unexpected keyword argument"),
        ("faults: [{action: drop, audio_ms: soon}]", "fault 1: audio_ms: Input should be a valid integer"),
        (
            "faults: [{action: drop, phase: later}]",
            "fault 1: phase: Input should be 'handshake', 'start', 'speech' or 'finish'",
        ),
        ("faults: [", "neither YAML nor JSON"),
    ],
)
def test_a_bad_file_is_refused_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_faults(path)
