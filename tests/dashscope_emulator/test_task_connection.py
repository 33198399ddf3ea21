"""Dialect A as a bare client sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dashscope_emulator.recognizers.script import Script, say

SPEECH_100_MS = b"\x01\x02" * 1600

DOOR = Script(
    lines=(
        say(200, "please open", begin_ms=100),
        say(500, "please open the", begin_ms=100, fixed=2),
        say(1000, "Please open the door.", begin_ms=100, end_ms=900, final=True),
        say(1200, "thanks", begin_ms=1000),
    )
)
NO_SPEECH = Script(lines=())


async def test_a_task_runs_from_started_to_finished(start: Any, connect: Any, sentences: Any) -> None:
    client = await connect(await start(script=DOOR))
    assert await client.run() == {
        "header": {"task_id": "t1", "event": "task-started", "attributes": {}},
        "payload": {},
    }
    for _ in range(10):
        await client.audio(SPEECH_100_MS)
    events = await client.finish()
    assert sentences.finals(events) == ["Please open the door."]
    assert events[-1] == {
        "header": {"task_id": "t1", "event": "task-finished", "attributes": {}},
        "payload": {"output": {}, "usage": None},
    }


async def test_an_interim_has_no_end_and_no_usage(start: Any, connect: Any) -> None:
    client = await connect(await start(script=DOOR))
    await client.run()
    await client.audio(SPEECH_100_MS * 2)
    assert (await client.event())["payload"] == {
        "output": {
            "sentence": {
                "sentence_id": 1,
                "begin_time": 100,
                "end_time": None,
                "text": "please open",
                "heartbeat": False,
                "sentence_end": False,
                "words": [
                    {"begin_time": 100, "end_time": 150, "text": "please", "punctuation": "", "fixed": False},
                    {"begin_time": 150, "end_time": 200, "text": " open", "punctuation": "", "fixed": False},
                ],
            }
        },
        "usage": None,
    }


async def test_a_final_has_its_end_its_punctuation_and_the_seconds_so_far(
    start: Any, connect: Any, sentences: Any
) -> None:
    client = await connect(await start(script=DOOR))
    await client.run()
    await client.audio(SPEECH_100_MS * 11)
    events = [await client.event() for _ in range(3)]
    assert sentences.of(events)[-1] == {
        "sentence_id": 1,
        "begin_time": 100,
        "end_time": 900,
        "text": "Please open the door.",
        "heartbeat": False,
        "sentence_end": True,
        "words": [
            {"begin_time": 100, "end_time": 300, "text": "Please", "punctuation": "", "fixed": True},
            {"begin_time": 300, "end_time": 500, "text": " open", "punctuation": "", "fixed": True},
            {"begin_time": 500, "end_time": 700, "text": " the", "punctuation": "", "fixed": True},
            {"begin_time": 700, "end_time": 900, "text": " door", "punctuation": ".", "fixed": True},
        ],
    }
    assert events[-1]["payload"]["usage"] == {"duration": 2}


async def test_the_seconds_of_later_finals_include_the_earlier(start: Any, connect: Any) -> None:
    client = await connect(await start())  # the workload: a final each 4 s
    await client.run()
    await client.audio(SPEECH_100_MS * 80)
    events = await client.finish()
    assert [event["payload"]["usage"] for event in events[:-1] if event["payload"]["usage"]] == [
        {"duration": 8},
        {"duration": 8},
    ]


async def test_sentences_are_counted_from_one(start: Any, connect: Any, sentences: Any) -> None:
    client = await connect(await start(script=DOOR))
    await client.run()
    await client.audio(SPEECH_100_MS * 12)
    assert [s["sentence_id"] for s in sentences.of(await client.finish())] == [1, 1, 1, 2, 2]


async def test_finish_closes_the_open_sentence(start: Any, connect: Any, sentences: Any) -> None:
    client = await connect(await start(script=DOOR))
    await client.run()
    await client.audio(SPEECH_100_MS * 3)
    assert sentences.finals(await client.finish()) == ["please open"]


async def test_paraformer_numbers_no_sentences(start: Any, connect: Any, sentences: Any) -> None:
    client = await connect(await start(script=DOOR))
    await client.run("paraformer-realtime-v2")
    await client.audio(SPEECH_100_MS * 10)
    assert all("sentence_id" not in sentence for sentence in sentences.of(await client.finish()))


async def test_finals_of_the_8k_model_have_an_emotion(start: Any, connect: Any, sentences: Any) -> None:
    client = await connect(await start(script=DOOR))
    await client.run("paraformer-realtime-8k-v2", sample_rate=8000)
    await client.audio(SPEECH_100_MS * 5)
    final = sentences.of(await client.finish())[-1]
    assert (final["emo_tag"], final["emo_confidence"]) == ("neutral", 0.75)


async def test_qwen_audio_sends_an_empty_result_when_a_sentence_begins(
    start: Any, connect: Any, sentences: Any
) -> None:
    client = await connect(await start(script=DOOR))
    await client.run("qwen-audio-3.0-asr-flash-streaming")
    await client.audio(SPEECH_100_MS * 2)
    begun, interim = sentences.of([await client.event(), await client.event()])
    assert (begun["sentence_begin"], begun["text"], begun["words"]) == (True, "", [])
    assert "sentence_begin" not in interim


async def test_qwen_audio_3_1_repeats_its_finals_and_counts_tokens(start: Any, connect: Any) -> None:
    client = await connect(await start(script=DOOR))
    await client.run("qwen-audio-3.1-asr-flash-streaming")
    await client.audio(SPEECH_100_MS * 2)
    *_, final, finished = await client.finish()
    output = final["payload"]["output"]
    assert output["output"]["sentence"] == output["sentence"]
    assert output["output"]["text"] == output["text"] == "please open"
    used = {"duration": 1, "input_tokens": 13, "output_tokens": 2, "total_tokens": 15}
    assert output["usage"] == final["payload"]["usage"] == finished["payload"]["usage"] == used


STASHED = Script(lines=(say(1000, "Please open.", begin_ms=100, end_ms=900, final=True, stash="the door"),))
STASH = {
    "sentence_id": 2,
    "text": "the door",
    "begin_time": 900,
    "current_time": 1000,
    "words": [
        {"begin_time": 900, "end_time": 950, "text": "the", "punctuation": "", "fixed": False},
        {"begin_time": 950, "end_time": 1000, "text": " door", "punctuation": "", "fixed": False},
    ],
}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("qwen-audio-3.0-asr-flash-streaming", STASH),
        ("qwen-audio-3.1-asr-flash-streaming", STASH),
        ("fun-asr-realtime", None),
    ],
)
async def test_a_final_of_qwen_audio_shows_how_the_next_sentence_begins(
    start: Any, connect: Any, sentences: Any, model: str, expected: Any
) -> None:
    client = await connect(await start(script=STASHED))
    await client.run(model)
    await client.audio(SPEECH_100_MS * 10)
    assert sentences.of(await client.finish())[-1].get("stash") == expected


async def test_the_message_model_has_interims_only_on_request(start: Any, connect: Any, sentences: Any) -> None:
    client = await connect(await start(script=DOOR))
    await client.run("qwen-audio-3.1-asr-flash-message")
    await client.audio(SPEECH_100_MS * 10)
    assert [s["sentence_end"] for s in sentences.of(await client.finish())] == [True]


async def test_a_socket_carries_one_task_after_the_other(start: Any, connect: Any, sentences: Any) -> None:
    client = await connect(await start(script=DOOR))
    for task_id, model in (("t1", "fun-asr-realtime"), ("t2", "paraformer-realtime-v2")):
        await client.run(model, task_id)
        await client.audio(SPEECH_100_MS * 2)
        events = await client.finish(task_id)
        assert sentences.finals(events) == ["please open"]
        assert {event["header"]["task_id"] for event in events} == {task_id}


@pytest.mark.parametrize("container", ["pcm", "wav"])
async def test_audio_may_be_cut_anywhere(start: Any, connect: Any, sentences: Any, container: str) -> None:
    client = await connect(await start(script=DOOR))
    await client.run(format=container)
    audio = (WAV_HEADER if container == "wav" else b"") + SPEECH_100_MS * 10
    for begin in range(0, len(audio), 777):
        await client.audio(audio[begin : begin + 777])
    assert sentences.finals(await client.finish()) == ["Please open the door."]


async def test_a_wav_header_is_no_audio(start: Any, connect: Any) -> None:
    emulator = await start(script=DOOR)
    client = await connect(emulator)
    await client.run(format="wav")
    await client.audio(WAV_HEADER + SPEECH_100_MS)
    await client.finish()
    assert emulator.journals[-1].audio_ms == 100


async def test_bursts_are_accepted(start: Any, connect: Any, sentences: Any) -> None:
    client = await connect(await start())
    await client.run()
    for _ in range(600):
        await client.audio(SPEECH_100_MS)
    assert len(sentences.finals(await client.finish())) == 15


async def test_a_context_is_taken_without_an_answer(start: Any, connect: Any) -> None:
    emulator = await start(script=DOOR)
    client = await connect(emulator)
    await client.run()
    context = [{"role": "user", "content": [{"type": "input_text", "text": "a door"}]}]
    await client.send("continue-task", {"input": {"context": context}})
    await client.audio(SPEECH_100_MS)
    assert [event["header"]["event"] for event in await client.finish()] == ["task-finished"]
    assert emulator.journals[-1].contexts == [context]


async def test_requests_of_the_vendors_samples_are_accepted(start: Any, connect: Any, payload: Any) -> None:
    """The Go sample fills in nulls, the PHP sample sends a list for a mapping."""
    client = await connect(await start(script=DOOR))
    request = {
        **payload(vocabulary_id="", language_hints=None, novelty=1),
        "input": [],
        "resources": None,
        "output": {},
    }
    await client.send("run-task", request, event="", task_id="7d1c2b9e-4f0a-4c55-b1d2-e3f4a5b6c7d8")
    assert (await client.event())["header"]["event"] == "task-started"


def _missing(name: str) -> str:
    return f"Missing required parameter '{name}'! Please follow the protocol!"


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"task_group": None}, "InvalidParameter", _missing("payload.task_group")),
        ({"task": None}, "InvalidParameter", _missing("payload.task")),
        ({"function": ""}, "InvalidParameter", _missing("payload.function")),
        ({"model": None}, "InvalidParameter", _missing("payload.model")),
        ({"parameters": None}, "InvalidParameter", _missing("payload.parameters")),
        ({"parameters": []}, "InvalidParameter", "Invalid payload data"),
        ({"input": None}, "InvalidParameter", "Invalid payload data"),
        ({"task": "tts"}, "InvalidParameter", "Unsupported value of 'payload.task'."),
        ({"model": "whisper"}, "ModelNotFound", "Model not found (whisper)!"),
        ({"parameters": {"format": "flac"}}, "UNSUPPORTED_FORMAT", "Unsupported audio format."),
        ({"parameters": {"sample_rate": "16k"}}, "InvalidParameter", "'sample_rate' must be a positive integer."),
        ({"parameters": {"vocabulary_id": "vocab-x-1"}}, "NotFound", "Not found!"),
    ],
    ids=str,
)
async def test_a_bad_run_task_fails_and_ends_the_connection(
    start: Any, connect: Any, payload: Any, change: dict[str, Any], code: str, message: str
) -> None:
    client = await connect(await start())
    await client.send("run-task", {**payload(), **change})
    header = (await client.event())["header"]
    assert (header["event"], header["task_id"]) == ("task-failed", "t1")
    assert (header["error_code"], header["error_message"]) == (code, message)
    assert await client.close_code() == 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Invalid payload data"),
        ("[]", "Invalid payload data"),
        ("{}", _missing("header.action")),
        ('{"header": {"action": "run-task"}}', _missing("header.task_id")),
        ('{"header": {"action": "run-task", "task_id": "t"}}', _missing("header.streaming")),
        (
            '{"header": {"action": "run-task", "task_id": "t", "streaming": "out"}}',
            "Unsupported streaming mode.",
        ),
        ('{"header": {"action": "stop", "task_id": "t", "streaming": "duplex"}}', "Unknown action."),
    ],
)
async def test_a_broken_frame_fails(start: Any, connect: Any, text: str, message: str) -> None:
    client = await connect(await start())
    await client.socket.send_str(text)
    header = (await client.event())["header"]
    assert (header["error_code"], header["error_message"]) == ("InvalidParameter", message)


async def test_a_finish_with_input_fails(start: Any, connect: Any) -> None:
    client = await connect(await start())
    await client.run()
    await client.send("finish-task", {"input": {"end_of_stream": True}})
    assert (await client.event())["header"]["error_message"] == "Invalid payload data"


async def test_audio_before_a_task_fails(start: Any, connect: Any) -> None:
    client = await connect(await start())
    await client.audio(SPEECH_100_MS)
    assert (await client.event())["header"]["event"] == "task-failed"


@pytest.mark.parametrize("start_seconds", [0.0, 0.05])
async def test_frames_before_task_started_are_served_after_it(
    start: Any, connect: Any, payload: Any, sentences: Any, start_seconds: float
) -> None:
    """The vendor's Java SDK sends audio without waiting for the answer."""
    emulator = await start(script=DOOR, knobs={"start_seconds": start_seconds})
    client = await connect(emulator)
    await client.send("run-task", payload())
    for _ in range(10):
        await client.audio(SPEECH_100_MS)
    started, *events = await client.finish()
    assert started["header"]["event"] == "task-started"
    assert sentences.finals(events) == ["Please open the door."]
    assert emulator.journals[-1].audio_ms == 1000


async def test_a_task_may_start_at_once(start: Any, connect: Any) -> None:
    client = await connect(await start(knobs={"start_seconds": 0.0}))
    assert (await client.run())["header"]["event"] == "task-started"


async def test_early_audio_beyond_what_is_held_is_served_too(start: Any, connect: Any, payload: Any) -> None:
    emulator = await start(script=NO_SPEECH, knobs={"start_seconds": 0.2})
    client = await connect(emulator)
    await client.send("run-task", payload())
    for _ in range(40):
        await client.audio(bytes(64_000))
    await client.finish()
    assert emulator.journals[-1].audio_ms == 80_000


async def test_pipelined_tasks_run_one_after_the_other(start: Any, connect: Any, payload: Any) -> None:
    client = await connect(await start(script=NO_SPEECH, knobs={"start_seconds": 0.02}))
    for number in range(3):
        await client.send("run-task", payload(), f"t{number}")
        await client.audio(SPEECH_100_MS)
        await client.send("finish-task", {"input": {}}, f"t{number}")
    ended = [(await client.rest())[-1]["header"] for _ in range(3)]
    assert [(header["event"], header["task_id"]) for header in ended] == [
        ("task-finished", f"t{number}") for number in range(3)
    ]


async def test_a_second_task_at_the_same_time_fails(start: Any, connect: Any, payload: Any) -> None:
    client = await connect(await start())
    await client.run()
    await client.send("run-task", payload(), "t2")
    assert (await client.event())["header"]["error_message"] == "A task is already running."


async def test_a_task_id_is_used_once(start: Any, connect: Any) -> None:
    client = await connect(await start(script=DOOR))
    await client.run()
    await client.audio(SPEECH_100_MS)
    await client.finish()
    assert (await client.run())["header"]["event"] == "task-failed"


async def test_a_task_may_be_finished_under_another_id(start: Any, connect: Any) -> None:
    """The vendor's PHP sample does so; every event carries the task's own id all the same."""
    client = await connect(await start(script=DOOR))
    await client.run()
    await client.audio(SPEECH_100_MS * 2)
    events = await client.finish("t2")
    assert events[-1]["header"]["event"] == "task-finished"
    assert {event["header"]["task_id"] for event in events} == {"t1"}


async def test_audio_between_tasks_is_ignored(start: Any, connect: Any) -> None:
    client = await connect(await start(script=DOOR))
    await client.run()
    await client.audio(SPEECH_100_MS)
    await client.finish()
    await client.audio(SPEECH_100_MS)
    assert (await client.run(task_id="t2"))["header"]["event"] == "task-started"


async def test_a_task_without_audio_fails(start: Any, connect: Any) -> None:
    client = await connect(await start())
    await client.run()
    assert (await client.finish())[-1]["header"]["error_code"] == "NO_VALID_AUDIO_ERROR"


async def test_a_task_of_silence_finishes(start: Any, connect: Any) -> None:
    client = await connect(await start(script=NO_SPEECH))
    await client.run()
    await client.audio(bytes(3200))
    assert [event["header"]["event"] for event in await client.finish()] == ["task-finished"]


async def test_a_file_that_is_no_wav_fails(start: Any, connect: Any) -> None:
    client = await connect(await start())
    await client.run(format="wav")
    await client.audio(SPEECH_100_MS)
    assert (await client.event())["header"]["error_code"] == "DECODE_ERROR"


async def test_a_rate_unknown_to_the_model_gives_no_text(start: Any, connect: Any) -> None:
    client = await connect(await start(script=DOOR))
    await client.run("paraformer-realtime-8k-v2", sample_rate=16000)
    await client.audio(SPEECH_100_MS * 10)
    assert [event["header"]["event"] for event in await client.finish()] == ["task-finished"]


async def test_the_client_may_leave_in_mid_task(start: Any, connect: Any) -> None:
    emulator = await start()
    client = await connect(emulator)
    await client.run()
    await client.audio(SPEECH_100_MS * 2)
    await client.socket.close()
    async with asyncio.timeout(60):
        await emulator.journals[-1].ended.wait()
    assert emulator.journals[-1].outcome == "disconnected"


async def test_a_stopping_emulator_closes_its_connections(start: Any, connect: Any) -> None:
    emulator = await start()
    client = await connect(emulator)
    await client.run()
    stopping = asyncio.create_task(emulator.stop())
    assert await client.close_code() == 1001
    await stopping


WAV_HEADER = (
    b"RIFF\xff\xff\xff\xffWAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\x3e\x00\x00\x00\x7d\x00\x00\x02\x00\x10\x00"
    b"LIST\x04\x00\x00\x00infodata\xff\xff\xff\xff"
)
