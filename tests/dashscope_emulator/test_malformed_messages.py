"""Every field of every message with every kind of value: whatever a client sends, it gets an answer.

With ASRGATEWAY_TEST_ALL_VALUES=1 each field has each value, which takes 45 seconds; otherwise each has every fifth.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import logging
import os
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from dashscope_emulator import Emulator
from dashscope_emulator.recognizers.script import Script, say

FRAME = b"\x01\x02" * 1600
HELLO = Script(lines=(say(100, "hello"),))

#: JSON as text, for not every value can be written by Python. The letter that is half of one has no UTF-8.
VALUES = (
    *("null", "true", "false", "0", "-1", "7", "1.5", "800.0", "1e400", "-1e400", "NaN", "1" + "0" * 30),
    *('""', '"x"', '"\\u0000"', '"\\ud800"', '"' + "y" * 100_000 + '"', '"pcm"'),
    *("[]", "[1]", '["en"]', "[[]]", "[{}]", '[{"content": 1}]', '[{"content": [{"text": 1}]}]'),
    *("{}", '{"x": []}', '{"x": true}', '{"x": 4.0}', '{"text": 1}', '{"type": {}}', "[" * 3000 + "]" * 3000),
)
DEEP = "[" * 100_000 + "]" * 100_000

STEP = 1 if os.environ.get("ASRGATEWAY_TEST_ALL_VALUES") else 5

RUN: dict[str, Any] = {
    "header": {"action": "run-task", "task_id": "t1", "streaming": "duplex"},
    "payload": {
        "task_group": "audio",
        "task": "asr",
        "function": "recognition",
        "model": "qwen-audio-3.0-asr-flash-streaming",
        "parameters": {
            "format": "pcm",
            "sample_rate": 16000,
            "vocabulary_id": "vocab-x",
            "vocabulary": {"Kestrel": 4},
            "language_hints": ["en"],
            "semantic_punctuation_enabled": False,
            "max_sentence_silence": 800,
            "multi_threshold_mode_enabled": False,
            "heartbeat": True,
            "speech_noise_threshold": 0.5,
            "special_word_filter": "{}",
            "vad_model": "near_meeting_16k",
            "intermediate_result_enabled": True,
        },
        "input": {"context": [{"role": "user", "content": [{"type": "input_text", "text": "Kestrel"}]}]},
        "resources": [{"resource_id": "ph-1", "resource_type": "asr_phrase"}],
    },
}
CONTINUE: dict[str, Any] = {
    "header": {"action": "continue-task", "task_id": "t1", "streaming": "duplex"},
    "payload": {"input": {"context": [{"role": "user", "content": [{"type": "input_text", "text": "Kestrel"}]}]}},
}
FINISH: dict[str, Any] = {
    "header": {"action": "finish-task", "task_id": "t1", "streaming": "duplex"},
    "payload": {"input": {}},
}
UPDATE: dict[str, Any] = {
    "event_id": "event_1",
    "type": "session.update",
    "session": {
        "modalities": ["text"],
        "voice": None,
        "input_audio_format": "pcm",
        "output_audio_format": "pcm16",
        "sample_rate": 16000,
        "input_audio_transcription": {"language": "en", "corpus": {"text": "Kestrel"}},
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.2,
            "silence_duration_ms": 800,
            "prefix_padding_ms": 300,
        },
        "audio": {"input": {"format": {"type": "pcm", "sample_rate": 16000}}},
    },
}
APPEND: dict[str, Any] = {
    "event_id": "event_2",
    "type": "input_audio_buffer.append",
    "audio": base64.b64encode(FRAME).decode(),
}
FINISH_SESSION: dict[str, Any] = {"event_id": "event_3", "type": "session.finish"}
PLACEHOLDER = "placeholder"


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a message can be malformed: at each of its fields, at any depth."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from paths(item, (*path, name))


def with_value(message: dict[str, Any], path: tuple[Any, ...], value: str) -> str:
    """The message with this JSON in that place."""
    copied: Any = copy.deepcopy(message)
    place = copied
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = PLACEHOLDER
    return json.dumps(copied).replace(f'"{PLACEHOLDER}"', value)


async def answers(socket: aiohttp.ClientWebSocketResponse, last: tuple[str, ...]) -> int | None:
    """Read to the last event, or to the end; return the close code if there is one."""
    async with asyncio.timeout(60):
        while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            event = json.loads(message.data)
            if (event.get("type") or event["header"]["event"]) in last:
                return None
    return socket.close_code


class Complaints(logging.Handler):
    """What the libraries logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record)[-1000:])


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    handler = Complaints()
    logging.getLogger().addHandler(handler)
    yield handler.texts
    logging.getLogger().removeHandler(handler)


async def exchange(
    http: aiohttp.ClientSession, url: str, texts: list[str | bytes], last: tuple[str, ...]
) -> int | None:
    """Send all of these; return the close code if the server closed instead of finishing."""
    async with http.ws_connect(url, headers={"Authorization": "k"}) as socket:
        for text in texts:
            await (socket.send_bytes(text) if isinstance(text, bytes) else socket.send_str(text))
        return await answers(socket, last)


#: What ended the handler of a connection without an answer.
CRASHES: dict[str, tuple[dict[str, Any], str]] = {
    "silence in words": ({"max_sentence_silence": "long"}, "'max_sentence_silence' must be an integer."),
    "silence as a list": ({"max_sentence_silence": [800]}, "'max_sentence_silence' must be an integer."),
    "silence in halves": ({"max_sentence_silence": 800.5}, "'max_sentence_silence' must be an integer."),
    "rate: true": ({"sample_rate": True}, "'sample_rate' must be a positive integer."),
    "rate: a float": ({"sample_rate": 16000.0}, "'sample_rate' must be a positive integer."),
    "rate beyond 32 bits": ({"sample_rate": 10**12}, "'sample_rate' must be a positive integer."),
    "vocabulary_id: an object": ({"vocabulary_id": {"id": 1}}, "'vocabulary_id' must be a string."),
    "languages: a number": ({"language_hints": 1}, "'language_hints' must be an array of strings."),
    "languages: numbers": ({"language_hints": [1]}, "'language_hints' must be an array of strings."),
}


@pytest.mark.parametrize(("parameters", "message"), CRASHES.values(), ids=CRASHES.keys())
async def test_a_parameter_of_the_wrong_kind_is_refused(
    start: Any, connect: Any, parameters: dict[str, Any], message: str
) -> None:
    header = (await (await connect(await start())).run(**parameters))["header"]
    assert (header["error_code"], header["error_message"]) == ("InvalidParameter", message)


@pytest.mark.parametrize("weight", [[4], {}, "4", True, 4.0, 6, None], ids=str)
async def test_a_weight_of_the_wrong_kind_drops_the_instant_words(start: Any, connect: Any, weight: Any) -> None:
    client = await connect(await start())
    answer = await client.run("qwen-audio-3.0-asr-flash-streaming", vocabulary={"Kestrel": weight})
    assert answer["header"]["event"] == "task-started"


@pytest.mark.parametrize("context", ["Kestrel", [1], [{"content": 1}], [{"content": [{"text": 1}]}]], ids=str)
async def test_a_context_of_the_wrong_kind_is_refused(start: Any, connect: Any, payload: Any, context: Any) -> None:
    client = await connect(await start())
    await client.send("run-task", payload() | {"input": {"context": context}})
    assert (await client.event())["header"]["error_message"] == "'context' must be an array of messages."


@pytest.mark.parametrize("number", range(3), ids=["run-task", "continue-task", "finish-task"])
async def test_a_task_with_a_malformed_message_is_answered(
    start: Any, session: aiohttp.ClientSession, complaints: list[str], number: int
) -> None:
    knobs = {"start_seconds": 0.0, "unknown_vocabulary": "ignore"}  # or nothing behind it would be looked at
    emulator: Emulator = await start(script=HELLO, knobs=knobs)
    url = f"{emulator.url}/api-ws/v1/inference"
    messages = [RUN | {"payload": RUN["payload"] | {"parameters": {"format": "pcm"}}}, CONTINUE, FINISH]
    whole = [json.dumps(message) for message in messages]
    unanswered = []
    for i, path in enumerate(paths((RUN, CONTINUE, FINISH)[number])):
        for value in VALUES[i % STEP :: STEP]:
            texts: list[str | bytes] = [*whole]
            texts[number] = with_value((RUN, CONTINUE, FINISH)[number], path, value)
            code = await exchange(session, url, [texts[0], FRAME, *texts[1:]], ("task-finished",))
            if code not in (None, 1000) or complaints:
                unanswered.append((path, value[:50], code, complaints[:]))
                complaints.clear()
    assert unanswered == []


@pytest.mark.parametrize("number", range(3), ids=["update", "append", "finish"])
async def test_a_session_with_a_malformed_message_is_answered(
    start: Any, session: aiohttp.ClientSession, complaints: list[str], number: int
) -> None:
    """A session outlives a bad event, so that all of them go down one connection, and it still ends well."""
    emulator: Emulator = await start(script=HELLO)
    url = f"{emulator.url}/api-ws/v1/realtime?model=qwen3-asr-flash-realtime"
    unanswered = []
    for path in paths((UPDATE, APPEND, FINISH_SESSION)[number]):
        bad: list[str | bytes] = [with_value((UPDATE, APPEND, FINISH_SESSION)[number], path, value) for value in VALUES]
        bad.append(json.dumps(FINISH_SESSION))
        code = await exchange(session, url, bad, ("session.finished",))
        if code is not None or complaints:
            unanswered.append((path, code, complaints[:]))
            complaints.clear()
    assert unanswered == []


@pytest.mark.parametrize("text", [DEEP, f'{{"header": {DEEP}}}', "\\ud800", "nul", "{}", '"x"', "1"], ids=range(7))
async def test_text_that_is_no_message_is_answered(
    start: Any, session: aiohttp.ClientSession, complaints: list[str], text: str
) -> None:
    emulator: Emulator = await start(script=HELLO)
    assert await exchange(session, f"{emulator.url}/api-ws/v1/inference", [text], ()) == 1000
    url = f"{emulator.url}/api-ws/v1/realtime?model=qwen3-asr-flash-realtime"
    assert await exchange(session, url, [text, json.dumps(FINISH_SESSION)], ("session.finished",)) is None
    assert complaints == []


REST = (
    {
        "model": "speech-biasing",
        "input": {
            "action": "create_vocabulary",
            "target_model": "qwen-audio-3.0-asr-flash-streaming",
            "prefix": "demo",
            "vocabulary": [{"text": "Kestrel", "weight": 4, "lang": "en"}],
        },
    },
    {
        "model": "speech-biasing",
        "input": {"action": "list_vocabulary", "prefix": "x", "page_index": 0, "page_size": 10},
    },
    {"model": "speech-biasing", "input": {"action": "query_vocabulary", "vocabulary_id": "vocab-x"}},
    {"model": "speech-biasing", "input": {"action": "update_vocabulary", "vocabulary_id": "vocab-x", "vocabulary": []}},
    {"model": "speech-biasing", "input": {"action": "delete_vocabulary", "vocabulary_id": "vocab-x"}},
)
PHRASES = {
    "model": "paraformer-realtime-v1",
    "training_type": "compile_asr_phrase",
    "finetuned_output": "x",
    "hyper_parameters": {"phrase_list": {"Kestrel": 4}},
}


async def test_a_malformed_request_for_hot_words_is_answered(start: Any, session: aiohttp.ClientSession) -> None:
    emulator: Emulator = await start(knobs={"vocabulary_lists": 100_000})
    customization, tunes = "/api/v1/services/audio/asr/customization", "/api/v1/fine-tunes"
    requests = [
        (url, with_value(message, path, value))
        for url, messages in ((customization, REST), (tunes, (PHRASES,)))
        for message in messages
        for i, path in enumerate(paths(message))
        for value in VALUES[i % STEP :: STEP]
    ]
    headers = {"Authorization": "k", "Content-Type": "application/json"}
    failed = []
    for url, body in (*requests, (customization, DEEP), (tunes, DEEP)):
        async with session.post(emulator.http_url + url, data=body.encode(), headers=headers) as response:
            if response.status >= 500:
                failed.append((response.status, body[:300]))
    assert failed == []


@pytest.mark.parametrize(
    "url",
    [
        "/api/v1/fine-tunes/outputs?page_no=x",
        "/api/v1/fine-tunes/outputs?page_no=-1&page_size=0",
        f"/api/v1/fine-tunes/outputs?page_size={'9' * 5000}",
        "/api/v1/fine-tunes/outputs/%00",
    ],
    ids=["letters", "negative", "long", "nul"],
)
async def test_a_malformed_query_is_answered(start: Any, session: aiohttp.ClientSession, url: str) -> None:
    emulator: Emulator = await start()
    async with session.get(emulator.http_url + url, headers={"Authorization": "k"}) as response:
        assert response.status in (400, 404)


@pytest.mark.parametrize("seconds", ["x", "-1", "9" * 5000, "\u0661"], ids=["letters", "negative", "long", "arabic"])
async def test_a_malformed_lifetime_of_a_token_is_refused(
    start: Any, session: aiohttp.ClientSession, seconds: str
) -> None:
    url = f"{(await start()).http_url}/api/v1/tokens"
    query = {"expire_in_seconds": seconds}
    async with session.post(url, params=query, headers={"Authorization": "k"}) as response:
        assert response.status == 400


async def test_a_body_in_no_charset_is_refused(start: Any, session: aiohttp.ClientSession) -> None:
    url = f"{(await start()).http_url}/api/v1/services/audio/asr/customization"
    headers = {"Authorization": "k", "Content-Type": "application/json; charset=klingon"}
    async with session.post(url, data=b"{}", headers=headers) as response:
        assert response.status == 400
