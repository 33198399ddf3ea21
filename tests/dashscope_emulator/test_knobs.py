"""The knobs of dialect A that time has nothing to do with, each turned away from its default."""

from __future__ import annotations

import asyncio
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import dashscope_emulator
from dashscope_emulator.knobs import Knobs, load_knobs
from dashscope_emulator.recognizers.script import Script, say

SPEECH_100_MS = b"\x01\x02" * 1600
HELLO = Script(lines=(say(100, "hello"),))
NO_SPEECH = Script(lines=())


async def test_an_unknown_model_may_close_with_1007(start: Any, connect: Any, payload: Any) -> None:
    client = await connect(await start(knobs={"unknown_model": "close"}))
    await client.send("run-task", payload("whisper"))
    message = await client.message()
    assert (message.data, message.extra) == (1007, "Model not found")


async def test_an_unknown_vocabulary_may_be_ignored(start: Any, connect: Any) -> None:
    client = await connect(await start(knobs={"unknown_vocabulary": "ignore"}))
    assert (await client.run(vocabulary_id="vocab-x-1"))["header"]["event"] == "task-started"


async def test_a_parameter_out_of_range_may_fail(start: Any, connect: Any) -> None:
    client = await connect(await start(knobs={"out_of_range": "task-failed"}))
    answer = await client.run(max_sentence_silence=100)
    assert answer["header"]["error_message"] == "'max_sentence_silence' must be from 200 to 6000."


async def test_a_parameter_out_of_range_is_accepted_by_default(start: Any, connect: Any) -> None:
    client = await connect(await start())
    assert (await client.run(max_sentence_silence=100))["header"]["event"] == "task-started"


async def test_other_streaming_values_may_be_accepted(start: Any, connect: Any, payload: Any) -> None:
    client = await connect(await start(knobs={"streaming_values": ("duplex", "out")}))
    await client.send("run-task", payload(), streaming="out")
    assert (await client.event())["header"]["event"] == "task-started"


async def test_a_second_run_may_be_ignored(start: Any, connect: Any, payload: Any) -> None:
    client = await connect(await start(script=HELLO, knobs={"second_run": "ignore"}))
    await client.run()
    await client.send("run-task", payload(), "t2")
    await client.audio(SPEECH_100_MS)
    assert (await client.finish())[-1]["header"] == {
        "task_id": "t1",
        "event": "task-finished",
        "attributes": {},
    }


async def test_a_task_id_may_be_used_again(start: Any, connect: Any) -> None:
    client = await connect(await start(script=HELLO, knobs={"repeated_task_id": "accept"}))
    for _ in range(2):
        assert (await client.run())["header"]["event"] == "task-started"
        await client.audio(SPEECH_100_MS)
        await client.finish()


async def test_a_foreign_task_id_may_fail(start: Any, connect: Any) -> None:
    client = await connect(await start(script=HELLO, knobs={"foreign_task_id": "task-failed"}))
    await client.run()
    await client.audio(SPEECH_100_MS)
    assert (await client.finish("t2"))[-1]["header"]["error_code"] == "InvalidParameter"


@pytest.mark.parametrize("early", ["audio", "finish-task"])
async def test_frames_before_task_started_may_fail(start: Any, connect: Any, payload: Any, early: str) -> None:
    client = await connect(await start(knobs={"start_seconds": 5.0, "early_frames": "task-failed"}))
    await client.send("run-task", payload())
    if early == "audio":
        await client.audio(SPEECH_100_MS)
    else:
        await client.send("finish-task", {"input": {}})
    header = (await client.event())["header"]
    assert (header["event"], header["task_id"]) == ("task-failed", "t1")


async def test_audio_after_the_end_may_fail(start: Any, connect: Any) -> None:
    client = await connect(await start(script=HELLO, knobs={"late_audio": "task-failed"}))
    await client.run()
    await client.audio(SPEECH_100_MS)
    await client.finish()
    await client.audio(SPEECH_100_MS)
    assert (await client.event())["header"]["event"] == "task-failed"


async def test_a_task_of_silence_may_fail(start: Any, connect: Any) -> None:
    client = await connect(await start(script=NO_SPEECH, knobs={"silence_only": "task-failed"}))
    await client.run()
    await client.audio(bytes(3200))
    assert (await client.finish())[-1]["header"]["error_code"] == "NO_VALID_AUDIO_ERROR"


async def test_seconds_may_be_rounded_down(start: Any, connect: Any) -> None:
    client = await connect(await start(script=HELLO, knobs={"duration_rounding": "down"}))
    await client.run()
    await client.audio(SPEECH_100_MS * 19)
    assert (await client.finish())[-2]["payload"]["usage"] == {"duration": 1}


async def test_headers_may_have_more_fields(start: Any, connect: Any) -> None:
    attributes = {"request_uuid": "u-1"}
    knobs = {"header_attributes": json.dumps(attributes), "has_request_id": True}
    client = await connect(await start(knobs=knobs))
    header = (await client.run())["header"]
    assert header["attributes"] == attributes
    assert len(header["request_id"]) == 36


async def test_sentences_of_every_model_may_begin_empty(start: Any, connect: Any, sentences: Any) -> None:
    client = await connect(await start(script=HELLO, knobs={"empty_first_interim": True}))
    await client.run()
    await client.audio(SPEECH_100_MS)
    assert [s["text"] for s in sentences.of(await client.finish())] == ["", "hello", "hello"]


async def test_the_default_sample_rate_is_a_knob(start: Any, connect: Any, payload: Any) -> None:
    emulator = await start(knobs={"default_sample_rate": 8000})
    client = await connect(emulator)
    await client.send("run-task", {**payload(), "parameters": {}})
    await client.event()
    await client.audio(bytes(1600))
    await client.finish()
    assert emulator.journals[-1].audio_ms == 100


async def test_the_default_format_is_a_knob(start: Any, connect: Any, payload: Any) -> None:
    client = await connect(await start(knobs={"default_format": "flac"}))
    await client.send("run-task", {**payload(), "parameters": {}})
    assert (await client.event())["header"]["error_code"] == "UNSUPPORTED_FORMAT"


def test_every_knob_has_an_effect() -> None:
    code = "".join(path.read_text() for path in Path(dashscope_emulator.__file__).parent.glob("*.py"))
    assert [field.name for field in fields(Knobs) if f"knobs.{field.name}" not in code] == []


FILE = """
bad_key_status: 403
idle_seconds: 30
silence_ends: close
failure_close_seconds: null
session_first_previous_item: item_0
session_finish_closes: true
streaming_values: [duplex, out]
"""


def test_knobs_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "knobs.yaml"
    path.write_text(FILE)
    assert load_knobs(path) == Knobs(
        bad_key_status=403,
        idle_seconds=30.0,
        silence_ends="close",
        failure_close_seconds=None,
        session_first_previous_item="item_0",
        session_finish_closes=True,
        streaming_values=("duplex", "out"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "Input should be an object"),
        ("volume: 11", "volume: Unexpected keyword argument"),
        ("bad_key_status: high", "bad_key_status: Input should be a valid integer"),
        ("bad_key_status: true", "bad_key_status: Input should be a valid integer"),
        ("silence_ends: never", "silence_ends: Input should be 'task-failed' or 'close'"),
    ],
)
def test_a_bad_knob_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "knobs.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_knobs(path)


async def test_codes_of_failures_are_knobs(start: Any, connect: Any) -> None:
    emulator = await start(
        knobs={
            "bad_frame_code": "B",
            "failure_close_code": 1011,
            "failure_close_seconds": 0.01,
        }
    )
    early, bad = await connect(emulator), await connect(emulator)
    await early.audio(SPEECH_100_MS)
    await bad.socket.send_str("{")
    assert [(await client.event())["header"]["error_code"] for client in (early, bad)] == ["B", "B"]
    assert [await client.close_code() for client in (early, bad)] == [1011, 1011]


async def test_the_status_without_a_key_is_a_knob(start: Any, connect: Any) -> None:
    emulator = await start(knobs={"missing_key_status": 403})
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await connect(emulator, headers={})
    assert refused.value.status == 403


@pytest.mark.parametrize(("counts", "code"), [(True, "RequestTimeOut"), (False, "CLIENT_ERROR")])
async def test_whether_a_context_is_data_is_a_knob(start: Any, connect: Any, counts: bool, code: str) -> None:
    limits = {"no_data_seconds": 0.15, "silence_seconds": 0.4}
    client = await connect(await start(script=NO_SPEECH, knobs={"continue_is_data": counts, **limits}))
    await client.run()

    async def remind() -> None:
        while not client.socket.closed:
            await client.send("continue-task", {"input": {"context": []}})
            await asyncio.sleep(0.01)

    reminding = asyncio.create_task(remind())
    assert (await client.event())["header"]["error_code"] == code
    reminding.cancel()
