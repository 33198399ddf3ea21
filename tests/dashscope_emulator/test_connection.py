"""Time limits of a connection of dialect A, 23 s, 60 s and heartbeats, a hundred or more times faster."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dashscope_emulator.recognizers.script import Script, say

SPEECH_100_MS = b"\x01\x02" * 1600
SILENCE_100_MS = bytes(3200)
NO_SPEECH = Script(lines=())
SPEECH_FOR_EVER = Script(lines=(say(100, "hello"),), repeat_ms=100)
NEVER = 1e6


async def feed(client: Any, data: bytes) -> None:
    """Send 100 ms every few milliseconds until the server closes."""
    while not client.socket.closed:
        await client.audio(data)
        await asyncio.sleep(0.005)


async def test_a_task_without_data_ends_after_23_seconds(start: Any, connect: Any) -> None:
    client = await connect(await start(script=NO_SPEECH, time_scale=230))
    await client.run()
    header = (await client.event())["header"]
    assert (header["event"], header["error_code"]) == ("task-failed", "CLIENT_ERROR")
    assert header["error_message"] == "request timeout after 23 seconds."
    assert await client.close_code() == 1000


async def test_data_keeps_the_task_alive(start: Any, connect: Any) -> None:
    client = await connect(await start(script=NO_SPEECH, knobs={"silence_seconds": 0.9, "no_data_seconds": 0.5}))
    await client.run()
    feeding = asyncio.create_task(feed(client, SILENCE_100_MS))
    assert (await client.event())["header"]["error_code"] == "RequestTimeOut"
    feeding.cancel()


@pytest.mark.parametrize(
    ("ends", "code"), [("task-failed", "RequestTimeOut"), ("close", None)], ids=["task-failed", "bare close"]
)
async def test_60_seconds_of_silence_end_the_task(start: Any, connect: Any, ends: str, code: str | None) -> None:
    client = await connect(await start(script=NO_SPEECH, time_scale=600, knobs={"silence_ends": ends, **NO_DATA_LIMIT}))
    await client.run()
    feeding = asyncio.create_task(feed(client, SILENCE_100_MS))
    if code:
        assert (await client.event())["header"]["error_code"] == code
    assert await client.close_code() == 1000
    feeding.cancel()


NO_DATA_LIMIT = {"no_data_seconds": NEVER}


async def test_speech_keeps_the_task_alive(start: Any, connect: Any) -> None:
    client = await connect(await start(script=SPEECH_FOR_EVER, time_scale=120, knobs=NO_DATA_LIMIT))
    await client.run()
    for _ in range(60):
        await client.audio(SPEECH_100_MS)
        await client.event()
        await asyncio.sleep(0.01)
    assert (await client.finish())[-1]["header"]["event"] == "task-finished"


async def test_silence_with_heartbeat_is_answered(start: Any, connect: Any, sentences: Any) -> None:
    client = await connect(await start(script=NO_SPEECH, time_scale=600, knobs=NO_DATA_LIMIT))
    await client.run(heartbeat=True)
    feeding = asyncio.create_task(feed(client, SILENCE_100_MS))
    beats = sentences.of([await client.event() for _ in range(20)])
    feeding.cancel()
    assert {(beat["heartbeat"], beat["sentence_id"], beat["text"]) for beat in beats} == {(True, 0, "")}
    assert {(beat["end_time"], beat["sentence_end"]) for beat in beats} == {(None, False)}


async def test_heartbeat_does_not_replace_data(start: Any, connect: Any) -> None:
    client = await connect(await start(script=NO_SPEECH, time_scale=230))
    await client.run(heartbeat=True)
    assert (await client.event())["header"]["error_code"] == "CLIENT_ERROR"


async def test_a_model_without_heartbeat_ignores_the_switch(start: Any, connect: Any) -> None:
    client = await connect(await start(script=NO_SPEECH, time_scale=600, knobs=NO_DATA_LIMIT))
    await client.run("paraformer-realtime-v1", heartbeat=True)
    feeding = asyncio.create_task(feed(client, SILENCE_100_MS))
    assert (await client.event())["header"]["error_code"] == "RequestTimeOut"
    feeding.cancel()


async def test_an_idle_socket_is_closed_after_a_task(start: Any, connect: Any) -> None:
    client = await connect(
        await start(
            script=NO_SPEECH, time_scale=600, knobs={"idle_close_code": 1001, "silence_seconds": NEVER, **NO_DATA_LIMIT}
        )
    )
    await client.run()
    await client.audio(SILENCE_100_MS)
    await client.finish()
    assert await client.close_code() == 1001


async def test_a_socket_without_any_task_is_closed(start: Any, connect: Any) -> None:
    client = await connect(await start(time_scale=600))
    assert await client.close_code() == 1000


async def test_a_connection_may_have_a_longest_life(start: Any, connect: Any) -> None:
    client = await connect(await start(script=NO_SPEECH, knobs={"connection_seconds": 0.05}))
    await client.run()
    assert await client.close_code() == 1000


@pytest.mark.parametrize(("knob", "counts"), [("empty_frames_are_data", True), ("empty_frames_are_data", False)])
async def test_whether_empty_frames_are_data_is_a_knob(start: Any, connect: Any, knob: str, counts: bool) -> None:
    limits = {"no_data_seconds": 0.15, "silence_seconds": 0.4}
    client = await connect(await start(script=NO_SPEECH, knobs={knob: counts, **limits}))
    await client.run()
    feeding = asyncio.create_task(feed(client, b""))
    expected = "RequestTimeOut" if counts else "CLIENT_ERROR"
    assert (await client.event())["header"]["error_code"] == expected
    feeding.cancel()


@pytest.mark.parametrize("counts", [True, False])
async def test_whether_pings_are_data_is_a_knob(start: Any, connect: Any, counts: bool) -> None:
    limits = {"no_data_seconds": 0.15, "silence_seconds": 0.4}
    client = await connect(await start(script=NO_SPEECH, knobs={"pings_are_data": counts, **limits}))
    await client.run()

    async def ping() -> None:
        while not client.socket.closed:
            await client.socket.ping()
            await asyncio.sleep(0.01)

    pinging = asyncio.create_task(ping())
    expected = "RequestTimeOut" if counts else "CLIENT_ERROR"
    assert (await client.event())["header"]["error_code"] == expected
    pinging.cancel()


async def test_a_failed_task_may_leave_the_closing_to_the_client(start: Any, connect: Any) -> None:
    client = await connect(await start(knobs={"failure_close_seconds": None}))
    await client.audio(SPEECH_100_MS)
    assert (await client.event())["header"]["event"] == "task-failed"
    await client.socket.close()
    assert client.socket.close_code == 1000


async def test_a_message_too_big_closes_the_connection(start: Any, connect: Any) -> None:
    client = await connect(await start(knobs={"max_message_bytes": 10_000}))
    await client.run()
    await client.audio(bytes(20_000))
    assert await client.close_code() == 1009
