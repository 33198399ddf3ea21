"""Dialect B as a bare client sees it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from dashscope_emulator import Emulator
from dashscope_emulator.faults import Drop, Fail, FailItem, Fault, Phase, Throttle
from dashscope_emulator.recognizers.script import Script, say

FRAME = b"\x01\x02" * 1600
TRANSCRIPTION = "conversation.item.input_audio_transcription"
DOOR = Script(
    lines=(
        say(200, "please open", begin_ms=100),
        say(500, "please open the", begin_ms=100, fixed=2),
        say(1000, "Please open the door.", begin_ms=100, end_ms=900, final=True),
        say(1200, "thanks", begin_ms=1000),
    )
)


class SessionClient:
    """A client of dialect B."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, event: str, **fields: Any) -> None:
        await self.socket.send_json({"event_id": "event_1", "type": event, **fields})

    async def event(self) -> Any:
        async with asyncio.timeout(60):
            message = await self.socket.receive()
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return json.loads(message.data)

    async def update(self, **session: Any) -> Any:
        await self.send("session.update", session=session)
        return await self.event()

    async def audio(self, frames: int = 1) -> None:
        for _ in range(frames):
            await self.send("input_audio_buffer.append", audio=base64.b64encode(FRAME).decode())

    async def until(self, last: str) -> list[Any]:
        """All events up to the first of this type."""
        events = [await self.event()]
        while events[-1]["type"] != last:
            events.append(await self.event())
        return events

    async def finish(self) -> list[Any]:
        await self.send("session.finish")
        return await self.until("session.finished")

    async def closed(self) -> tuple[int | None, str | None]:
        """Read until the connection is over; return its close code."""
        async with asyncio.timeout(60):
            while (message := await self.socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        return self.socket.close_code, message.extra


Open = Callable[..., Awaitable[SessionClient]]


@pytest.fixture
def open_session(session: aiohttp.ClientSession) -> Open:
    async def open_on(emulator: Emulator, model: str = "qwen3-asr-flash-realtime") -> SessionClient:
        url = f"{emulator.url}/api-ws/v1/realtime?model={model}"
        return SessionClient(await session.ws_connect(url, headers={"Authorization": "Bearer k"}))

    return open_on


@pytest.fixture
async def client(start: Any, open_session: Open) -> SessionClient:
    """A session on the door's script; ``session.created`` has been read."""
    client = await open_session(await start(script=DOOR))
    await client.event()
    return client


def types(events: list[Any]) -> list[str]:
    return [event["type"] for event in events]


async def test_a_session_begins_with_its_defaults(start: Any, open_session: Open) -> None:
    client = await open_session(await start())
    created = await client.event()
    assert created["type"] == "session.created"
    assert created["session"].pop("id").startswith("sess_")
    assert created["session"] == {
        "object": "realtime.session",
        "model": "qwen3-asr-flash-realtime",
        "modalities": ["text"],
        "input_audio_format": "pcm",
        "input_audio_transcription": None,
        "turn_detection": {"type": "server_vad", "threshold": 0.2, "silence_duration_ms": 800},
    }


async def test_an_update_is_answered_with_the_settings_in_force(client: SessionClient) -> None:
    updated = await client.update(
        modalities=["text"],
        voice=None,
        input_audio_format="pcm",
        output_audio_format="pcm16",
        sample_rate=8000,
        input_audio_transcription={"model": None, "language": "en", "corpus": {"text": "Kestrel"}},
        turn_detection={
            "type": "server_vad",
            "threshold": 0.0,
            "silence_duration_ms": 400,
            "prefix_padding_ms": 300,
        },
    )
    assert updated["type"] == "session.updated"
    session = updated["session"]
    assert session["input_audio_transcription"]["language"] == "en"
    assert session["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.0,
        "silence_duration_ms": 400,
    }


BAD_UPDATES: dict[str, tuple[dict[str, Any], str, str]] = {
    "pcm16": (
        {"input_audio_format": "pcm16"},
        "session.input_audio_format",
        "Invalid value: 'pcm16'. Supported values are: 'pcm', 'opus'.",
    ),
    "rate": (
        {"sample_rate": 44100},
        "session.sample_rate",
        "Invalid value: '44100'. Supported values are: '16000', '8000'.",
    ),
    "null language": (
        {"input_audio_transcription": {"language": None}},
        "session.input_audio_transcription.language",
        "Language code 'null' is not recognized.",
    ),
    "unknown language": (
        {"input_audio_transcription": {"language": "tlh"}},
        "session.input_audio_transcription.language",
        "Language code 'tlh' is not recognized.",
    ),
    "rate as a float": (
        {"sample_rate": 16000.0},
        "session.sample_rate",
        "Invalid value: '16000.0'. Supported values are: '16000', '8000'.",
    ),
    "language as a list": (
        {"input_audio_transcription": {"language": ["en"]}},
        "session.input_audio_transcription.language",
        "Language code '['en']' is not recognized.",
    ),
    "corpus as text": (
        {"input_audio_transcription": {"corpus": "Kestrel"}},
        "session.input_audio_transcription.corpus",
        "Invalid value: 'Kestrel'. Supported values are: an object or null.",
    ),
    "new format as text": (
        {"audio": {"input": {"format": "pcm"}}},
        "session.audio.input.format",
        "Invalid value: 'pcm'. Supported values are: an object.",
    ),
    "silence in halves": (
        {"turn_detection": {"type": "server_vad", "silence_duration_ms": 400.5}},
        "session.turn_detection.silence_duration_ms",
        "Invalid value: '400.5'. Supported values are: 200 to 6000.",
    ),
    "turn detection": (
        {"turn_detection": {"type": "semantic_vad"}},
        "session.turn_detection.type",
        "Invalid value: 'semantic_vad'. Supported values are: 'server_vad'.",
    ),
    "threshold": (
        {"turn_detection": {"type": "server_vad", "threshold": 2}},
        "session.turn_detection.threshold",
        "Invalid value: '2'. Supported values are: -1.0 to 1.0.",
    ),
    "silence": (
        {"turn_detection": {"type": "server_vad", "silence_duration_ms": 100}},
        "session.turn_detection.silence_duration_ms",
        "Invalid value: '100'. Supported values are: 200 to 6000.",
    ),
}


@pytest.mark.parametrize(("change", "param", "message"), BAD_UPDATES.values(), ids=BAD_UPDATES.keys())
async def test_a_bad_value_is_an_error_and_the_session_goes_on(
    client: SessionClient, change: dict[str, Any], param: str, message: str
) -> None:
    assert (await client.update(**change))["error"] == {
        "type": "invalid_request_error",
        "code": "invalid_value",
        "message": message,
        "param": param,
        "event_id": "event_1",
    }
    assert (await client.update())["type"] == "session.updated"


async def test_an_utterance_in_vad_mode_has_its_events_in_order(client: SessionClient) -> None:
    await client.audio(10)
    events = await client.until(f"{TRANSCRIPTION}.completed")
    assert types(events) == [
        "input_audio_buffer.speech_started",
        f"{TRANSCRIPTION}.text",
        f"{TRANSCRIPTION}.text",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.created",
        f"{TRANSCRIPTION}.completed",
    ]
    started, first, second, stopped, committed, created, completed = events
    item_id = started["item_id"]
    assert {first["item_id"], stopped["item_id"], committed["item_id"], completed["item_id"]} == {item_id}
    assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (100, 900)
    assert [(e["text"], e["stash"]) for e in (first, second)] == [
        ("", "please open"),
        ("please open", " the"),
    ]
    assert created["item"] == {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": None}],
    }
    assert (completed["transcript"], completed["language"], completed["emotion"]) == (
        "Please open the door.",
        "en",
        "neutral",
    )


async def test_every_event_has_an_id_of_its_own(client: SessionClient) -> None:
    await client.audio(10)
    ids = [event["event_id"] for event in await client.finish()]
    assert len(set(ids)) == len(ids) == 8


async def test_items_follow_one_another(client: SessionClient) -> None:
    await client.audio(12)
    events = await client.finish()
    first, second = [event for event in events if event["type"] == "input_audio_buffer.committed"]
    assert (first["previous_item_id"], second["previous_item_id"]) == (None, first["item_id"])
    transcripts = [e["transcript"] for e in events if e["type"] == f"{TRANSCRIPTION}.completed"]
    assert transcripts == ["Please open the door.", "thanks"]


async def test_finish_without_speech_ends_at_once(client: SessionClient) -> None:
    assert types(await client.finish()) == ["session.finished"]


async def test_the_language_that_was_set_is_reported(client: SessionClient) -> None:
    await client.update(input_audio_transcription={"language": "fr"})
    await client.audio(10)
    assert (await client.until(f"{TRANSCRIPTION}.completed"))[-1]["language"] == "fr"


async def test_an_utterance_in_manual_mode_ends_with_a_commit(client: SessionClient) -> None:
    await client.update(turn_detection=None)
    await client.audio(12)
    await client.send("input_audio_buffer.commit")
    events = await client.until(f"{TRANSCRIPTION}.completed")
    assert types(events) == [
        "input_audio_buffer.committed",
        "conversation.item.created",
        f"{TRANSCRIPTION}.text",
        f"{TRANSCRIPTION}.completed",
    ]
    assert events[-1]["transcript"] == "Please open the door. thanks"
    assert types(await client.finish()) == ["session.finished"]


async def test_a_finish_in_manual_mode_commits_the_rest(client: SessionClient) -> None:
    await client.update(turn_detection=None)
    await client.audio(3)
    events = await client.finish()
    assert events[-2]["transcript"] == "please open"


async def test_a_commit_without_audio_is_an_error(client: SessionClient) -> None:
    await client.update(turn_detection=None)
    await client.send("input_audio_buffer.commit")
    error = (await client.event())["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", None)
    assert "buffer too small" in error["message"]


async def test_a_commit_in_vad_mode_is_an_error(client: SessionClient) -> None:
    await client.send("input_audio_buffer.commit")
    assert (await client.event())["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("turn_detection", [None, {"type": "server_vad"}], ids=["manual", "vad"])
async def test_cleared_audio_is_not_transcribed(client: SessionClient, turn_detection: Any) -> None:
    await client.update(turn_detection=turn_detection)
    await client.audio(3)
    await client.send("input_audio_buffer.clear")
    await client.until("input_audio_buffer.cleared")
    assert types(await client.finish()) == ["session.finished"]


async def test_an_unknown_model_is_closed_with_1007(start: Any, open_session: Open) -> None:
    client = await open_session(await start(), "whisper")
    assert await client.closed() == (1007, "Model not found")


BAD_EVENTS: dict[str, tuple[str, str]] = {
    "no JSON": ("{", "invalid_json"),
    "no type": ("{}", "missing_required_parameter"),
    "unknown": ('{"type": "response.create"}', "invalid_value"),
    "no session": ('{"type": "session.update"}', "missing_required_parameter"),
    "no base64": ('{"type": "input_audio_buffer.append", "audio": "*"}', "invalid_value"),
}


@pytest.mark.parametrize(("text", "code"), BAD_EVENTS.values(), ids=BAD_EVENTS.keys())
async def test_a_bad_event_is_an_error(client: SessionClient, text: str, code: str) -> None:
    await client.socket.send_str(text)
    error = (await client.event())["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", code)


async def test_a_binary_message_is_an_error(client: SessionClient) -> None:
    await client.socket.send_bytes(FRAME)
    assert (await client.event())["error"]["type"] == "invalid_request_error"


async def test_an_item_may_fail_and_the_session_goes_on(start: Any, open_session: Open) -> None:
    client = await open_session(await start(script=DOOR, faults=(Fault(action=FailItem()),)))
    await client.event()
    await client.audio(12)
    events = await client.finish()
    (failed,) = [event for event in events if event["type"] == f"{TRANSCRIPTION}.failed"]
    assert failed["error"]["code"] == "audio_unintelligible"
    assert [e["transcript"] for e in events if e["type"] == f"{TRANSCRIPTION}.completed"] == ["thanks"]


@pytest.mark.parametrize("phase", [Phase.START, Phase.SPEECH])
async def test_a_fault_of_the_server_ends_the_session(start: Any, open_session: Open, phase: Phase) -> None:
    fault = Fault(action=Fail(code="InternalError", message="oops"), phase=phase)
    client = await open_session(await start(faults=(fault,)))
    await client.audio()
    error = (await client.until("error"))[-1]["error"]
    assert (error["type"], error["code"], error["message"]) == ("server_error", "InternalError", "oops")
    assert (await client.closed())[0] == 1000


async def test_too_many_sessions_are_an_error(start: Any, open_session: Open) -> None:
    client = await open_session(await start(faults=(Fault(action=Throttle(), phase=Phase.START),)))
    assert (await client.event())["error"]["code"] == "Throttling.RateQuota"


async def test_a_session_is_dropped(start: Any, open_session: Open) -> None:
    client = await open_session(await start(faults=(Fault(action=Drop(), packets=2),)))
    await client.audio(2)
    assert (await client.closed())[0] == 1006


async def test_an_item_is_lost_when_the_client_leaves(start: Any, open_session: Open) -> None:
    emulator = await start(script=DOOR)
    client = await open_session(emulator)
    await client.audio(3)
    await client.socket.close()
    journal = await emulator.task(1)
    async with asyncio.timeout(60):
        await journal.ended.wait()
    assert (journal.outcome, journal.audio_ms) == ("disconnected", 300)


KNOBS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "text after the item": (
        {"session_text_after_item": True},
        [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.created",
            f"{TRANSCRIPTION}.text",
            f"{TRANSCRIPTION}.completed",
            "session.finished",
        ],
    ),
    "long items are cut": (
        {"session_item_ms": 400},
        [
            "input_audio_buffer.speech_started",
            f"{TRANSCRIPTION}.text",
            f"{TRANSCRIPTION}.text",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.created",
            f"{TRANSCRIPTION}.completed",
            "session.finished",
        ],
    ),
}


@pytest.mark.parametrize(("knobs", "expected"), KNOBS.values(), ids=KNOBS.keys())
async def test_the_events_of_an_item_depend_on_knobs(
    start: Any, open_session: Open, knobs: dict[str, Any], expected: list[str]
) -> None:
    client = await open_session(await start(script=DOOR, knobs=knobs))
    await client.event()
    await client.audio(5)
    assert types(await client.finish()) == expected


async def test_the_server_may_close_after_the_end(start: Any, open_session: Open) -> None:
    client = await open_session(await start(knobs={"session_finish_closes": True}))
    await client.finish()
    assert (await client.closed())[0] == 1000


async def test_a_second_update_may_be_refused(start: Any, open_session: Open) -> None:
    client = await open_session(await start(knobs={"session_updates": "error"}))
    await client.event()
    assert [(await client.update())["type"] for _ in range(2)] == ["session.updated", "error"]


@pytest.mark.parametrize("knob", ["connection_seconds", "session_idle_seconds"])
async def test_a_session_may_be_limited_in_time(start: Any, open_session: Open, knob: str) -> None:
    client = await open_session(await start(knobs={knob: 0.03}))
    assert (await client.closed())[0] == 1000


@pytest.fixture
def transcribe(start: Any, open_session: Open) -> Callable[..., Awaitable[list[Any]]]:
    """Send half a second of speech in a session with these knobs; return all events but the first."""

    async def transcribe_with(knobs: dict[str, Any], *events: str, frames: int = 5, **session: Any) -> list[Any]:
        client = await open_session(await start(script=DOOR, knobs=knobs))
        await client.event()
        await client.send("session.update", session=session)
        await client.audio(frames)
        for event in events:
            await client.send(event)
        return await client.finish()

    return transcribe_with


async def test_the_rate_may_be_echoed(transcribe: Any) -> None:
    updated, *_ = await transcribe({"session_sample_rate_echoed": True}, sample_rate=8000)
    assert updated["session"]["sample_rate"] == 8000


async def test_completed_may_have_usage(transcribe: Any) -> None:
    completed = (await transcribe({"session_usage": True}))[-2]
    assert completed["usage"] == {"duration": 1}


async def test_another_language_may_be_detected(transcribe: Any) -> None:
    assert (await transcribe({"session_language": "zh"}))[-2]["language"] == "zh"


async def test_a_commit_may_need_more_audio(transcribe: Any) -> None:
    knobs = {"session_commit_min_ms": 600}
    events = await transcribe(knobs, "input_audio_buffer.commit", turn_detection=None)
    assert "buffer too small" in events[1]["error"]["message"]


async def test_a_commit_in_vad_mode_may_be_ignored(transcribe: Any) -> None:
    events = await transcribe({"session_vad_commit": "ignore"}, "input_audio_buffer.commit")
    assert "error" not in types(events)


async def test_a_clear_may_go_without_an_answer(transcribe: Any) -> None:
    events = await transcribe({"session_clear_acknowledged": False}, "input_audio_buffer.clear", turn_detection=None)
    assert types(events) == ["session.updated", "session.finished"]


async def test_a_finish_in_manual_mode_may_drop_the_rest(transcribe: Any) -> None:
    events = await transcribe({"session_finish_commits": False}, turn_detection=None)
    assert types(events) == ["session.updated", "session.finished"]


async def test_a_bad_model_may_get_a_session_first(start: Any, open_session: Open) -> None:
    client = await open_session(await start(knobs={"session_created_before_1007": True}), "whisper")
    assert (await client.event())["type"] == "session.created"
    assert (await client.closed())[0] == 1007


async def test_a_fault_of_the_server_may_leave_the_session_open(start: Any, open_session: Open) -> None:
    knobs = {"session_fatal_errors": ()}
    client = await open_session(await start(knobs=knobs, faults=(Fault(action=Fail(), packets=1),)))
    await client.event()
    await client.audio()
    assert types(await client.finish()) == ["error", "session.finished"]
