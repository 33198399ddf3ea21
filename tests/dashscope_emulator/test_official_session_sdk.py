"""The vendor's own SDK, unmodified, against dialect B: `OmniRealtimeConversation`."""

from __future__ import annotations

import asyncio
import base64
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dashscope_emulator import Emulator
from dashscope_emulator.recognizers.script import Script, say

# The SDK leaves its socket and its thread to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True, scope="module")
def garbage() -> Iterator[None]:
    """Collect what the SDK leaves behind here, not in another test."""
    yield
    gc.collect()


AUDIO = base64.b64encode(b"\x01\x02" * 1600).decode()
COMPLETED = "conversation.item.input_audio_transcription.completed"
DOOR = Script(lines=(say(200, "please open"), say(1000, "Please open the door.", final=True)))


class Recorder:
    """A callback that records its calls."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.is_open = False
        self.closed = threading.Event()
        self.close: tuple[Any, Any] = (None, None)
        self._changed = threading.Condition()

    def on_open(self) -> None:
        self.is_open = True

    def on_event(self, message: Any) -> None:
        with self._changed:
            self.events.append(message)
            self._changed.notify_all()

    def on_close(self, close_status_code: Any, close_msg: Any) -> None:
        self.close = (close_status_code, close_msg)
        self.closed.set()

    def wait_for(self, event: str) -> Any:
        """Wait for the first event of this type."""
        with self._changed:
            assert self._changed.wait_for(lambda: event in self.types, timeout=60), self.types
        return next(message for message in self.events if message["type"] == event)

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.events]


@pytest.fixture
def conversation() -> Callable[..., Any]:
    """Make a conversation with this emulator."""
    from dashscope.audio.qwen_omni import OmniRealtimeConversation  # noqa: PLC0415

    def make(emulator: Emulator, recorder: Any, model: str = "qwen3-asr-flash-realtime", **options: Any) -> Any:
        url = f"{emulator.url}/api-ws/v1/realtime"
        return OmniRealtimeConversation(model=model, callback=recorder, url=url, api_key="sk-test", **options)

    return make


def update(conversation: Any, **options: Any) -> None:
    """Send `session.update` as the vendor's samples do for recognition."""
    from dashscope.audio.qwen_omni import MultiModality  # noqa: PLC0415
    from dashscope.audio.qwen_omni.omni_realtime import TranscriptionParams  # noqa: PLC0415

    params = TranscriptionParams(language="en", sample_rate=16000, input_audio_format="pcm", corpus_text="door")
    conversation.update_session(output_modalities=[MultiModality.TEXT], transcription_params=params, **options)


async def test_a_conversation_runs_from_created_to_finished(start: Any, conversation: Any) -> None:
    emulator, recorder = await start(script=DOOR), Recorder()

    def run() -> Any:
        client = conversation(emulator, recorder, workspace="ws-1")
        client.connect()
        update(client)
        for _ in range(10):
            client.append_audio(AUDIO)
        client.end_session()
        return client

    client = await asyncio.to_thread(run)
    assert recorder.is_open
    assert recorder.types[:2] == ["session.created", "session.updated"]
    assert recorder.types[-2:] == [COMPLETED, "session.finished"]
    assert recorder.events[-2]["transcript"] == "Please open the door."
    assert client.get_session_id() == recorder.events[0]["session"]["id"] == emulator.journals[-1].task_id
    assert client.get_last_message()["type"] == "session.finished"
    journal = emulator.journals[-1]
    assert journal.headers["x-dashscope-workspace"] == "ws-1"
    assert journal.parameters["input_audio_transcription"] == {"language": "en", "corpus": {"text": "door"}}


async def test_a_conversation_in_manual_mode_ends_utterances_by_commit(start: Any, conversation: Any) -> None:
    emulator, recorder = await start(script=DOOR), Recorder()

    def run() -> None:
        client = conversation(emulator, recorder)
        client.connect()
        update(client, enable_turn_detection=False)
        for _ in range(3):
            client.append_audio(AUDIO)
        client.commit()
        recorder.wait_for(COMPLETED)
        client.append_audio(AUDIO)
        client.clear_appended_audio()
        recorder.wait_for("input_audio_buffer.cleared")
        client.close()

    await asyncio.to_thread(run)
    assert recorder.wait_for(COMPLETED)["transcript"] == "please open"
    assert "input_audio_buffer.speech_started" not in recorder.types


async def test_the_sdks_default_format_is_refused(start: Any, conversation: Any) -> None:
    """Without transcription parameters the SDK asks for pcm16."""
    from dashscope.audio.qwen_omni import MultiModality  # noqa: PLC0415

    emulator, recorder = await start(script=DOOR), Recorder()

    def run() -> None:
        client = conversation(emulator, recorder)
        client.connect()
        client.update_session(output_modalities=[MultiModality.TEXT])
        recorder.wait_for("error")
        client.close()

    await asyncio.to_thread(run)
    assert recorder.wait_for("error")["error"]["param"] == "session.input_audio_format"


async def test_events_of_other_models_are_errors(start: Any, conversation: Any) -> None:
    emulator, recorder = await start(script=DOOR), Recorder()

    def run() -> None:
        client = conversation(emulator, recorder)
        client.connect()
        client.create_response()
        client.cancel_response()
        client.create_item({})
        client.append_video("")
        client.send_raw('{"type": "novelty"}')
        client.end_session_async()
        recorder.wait_for("session.finished")
        client.close()

    await asyncio.to_thread(run)
    assert recorder.types == ["session.created", *["error"] * 5, "session.finished"]


async def test_an_unknown_model_closes_with_1007(start: Any, conversation: Any) -> None:
    """The SDK looks every 0.1 s whether it is connected: a close before that it takes for no connection."""
    emulator, recorder = await start(knobs={"session_bad_model_seconds": 0.3}), Recorder()

    def run() -> None:
        client = conversation(emulator, recorder, "whisper")
        client.connect()
        assert recorder.closed.wait(60)

    await asyncio.to_thread(run)
    assert recorder.close == (1007, "Model not found")
