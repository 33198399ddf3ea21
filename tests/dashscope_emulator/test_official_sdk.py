"""The vendor's own SDK, unmodified, against dialect A: every public method and callback of `Recognition`."""

from __future__ import annotations

import asyncio
import gc
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dashscope_emulator import Emulator
from dashscope_emulator.faults import Drop, Fail, Fault, Phase, Refuse
from dashscope_emulator.recognizers.script import Script, say

pytestmark = [
    # The SDK leaves the event loop it made, and its socket, to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True, scope="module")
def garbage() -> Iterator[None]:
    """Collect what the SDK leaves behind here, not in another test."""
    yield
    gc.collect()


FRAME = b"\x01\x02" * 1600
DOOR = Script(
    lines=(
        say(200, "please open", begin_ms=100),
        say(1000, "Please open the door.", begin_ms=100, end_ms=900, final=True),
        say(1200, "thanks", begin_ms=1000),
    )
)


class Recorder:
    """A callback that records its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.results: list[Any] = []
        self.errors: list[Any] = []

    def on_open(self) -> None:
        self.calls.append("open")

    def on_event(self, result: Any) -> None:
        self.calls.append("event")
        self.results.append(result)

    def on_complete(self) -> None:
        self.calls.append("complete")

    def on_error(self, result: Any) -> None:
        self.calls.append("error")
        self.errors.append(result)

    def on_close(self) -> None:
        self.calls.append("close")

    @property
    def sentences(self) -> list[Any]:
        return [result.get_sentence() for result in self.results]


@pytest.fixture
def recognition(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Make a `Recognition` for this emulator."""
    import dashscope  # noqa: PLC0415  (0.4 s and 62 MB for these tests only)
    from dashscope.audio.asr import Recognition  # noqa: PLC0415

    def make(emulator: Emulator, callback: Any = None, **options: Any) -> Any:
        monkeypatch.setattr(dashscope, "api_key", "sk-test")
        monkeypatch.setattr(dashscope, "base_websocket_api_url", f"{emulator.url}/api-ws/v1/inference")
        settings = {"model": "fun-asr-realtime", "format": "pcm", "sample_rate": 16000, **options}
        return Recognition(callback=callback, **settings)

    return make


def stream(recognition: Any, frames: int = 10, **options: Any) -> None:
    """Start, send so many frames of 100 ms, stop."""
    recognition.start(**options)
    for _ in range(frames):
        recognition.send_audio_frame(FRAME)
    recognition.stop()


@pytest.fixture
def recording(tmp_path: Path) -> str:
    path = tmp_path / "speech.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(FRAME * 12)
    return str(path)


async def test_a_stream_calls_back_in_order(start: Any, recognition: Any) -> None:
    recorder = Recorder()
    await asyncio.to_thread(stream, recognition(await start(script=DOOR), recorder))
    assert recorder.calls == ["open", "event", "event", "complete", "close"]
    assert [sentence["text"] for sentence in recorder.sentences] == ["please open", "Please open the door."]
    assert recorder.errors == []


async def test_a_result_knows_whether_its_sentence_ended(start: Any, recognition: Any) -> None:
    recorder = Recorder()
    client = recognition(await start(script=DOOR), recorder)
    await asyncio.to_thread(stream, client)
    interim, final = recorder.results
    assert [r.is_sentence_end(r.get_sentence()) for r in (interim, final)] == [False, True]
    assert [r.get_usage(r.get_sentence()) for r in (interim, final)] == [None, {"duration": 1}]
    assert interim.get_request_id() == final.get_request_id() == client.get_last_request_id()
    assert final.status_code == 200


async def test_the_words_carry_their_times(start: Any, recognition: Any) -> None:
    recorder = Recorder()
    await asyncio.to_thread(stream, recognition(await start(script=DOOR), recorder))
    words = recorder.sentences[-1]["words"]
    assert [(w["text"], w["begin_time"], w["end_time"], w["punctuation"]) for w in words] == [
        ("Please", 100, 300, ""),
        (" open", 300, 500, ""),
        (" the", 500, 700, ""),
        (" door", 700, 900, "."),
    ]


async def test_the_delays_are_measured(start: Any, recognition: Any) -> None:
    client = recognition(await start(script=DOOR), Recorder())
    await asyncio.to_thread(stream, client)
    assert 0 <= client.get_first_package_delay() < 5000
    assert 0 <= client.get_last_package_delay() < 5000


async def test_the_request_id_is_the_task_id(start: Any, recognition: Any) -> None:
    emulator = await start(script=DOOR)
    client = recognition(emulator, Recorder())
    await asyncio.to_thread(stream, client)
    assert emulator.journals[-1].task_id == client.get_last_request_id()


async def test_a_file_gives_all_finals_at_once(start: Any, recognition: Any, recording: str) -> None:
    client = recognition(await start(script=DOOR), format="wav")
    result = await asyncio.to_thread(client.call, recording)
    assert result.status_code == 200
    assert [s["text"] for s in result.get_sentence()] == ["Please open the door.", "thanks"]
    assert result.get_usage(result.get_sentence()[-1]) == {"duration": 2}


async def test_a_file_of_an_unknown_model_is_an_error(start: Any, recognition: Any, recording: str) -> None:
    client = recognition(await start(script=DOOR), model="whisper")
    result = await asyncio.to_thread(client.call, recording)
    assert (result.status_code, result.code) == (44, "ModelNotFound")


async def test_options_arrive_unchanged(start: Any, recognition: Any) -> None:
    emulator = await start(script=DOOR)
    client = recognition(emulator, Recorder(), workspace="ws-1", heartbeat=True, disfluency_removal_enabled=False)
    context = [{"role": "user", "content": [{"type": "input_text", "text": "a door"}]}]
    given: dict[str, Any] = {
        "phrase_id": "ph-1",
        "semantic_punctuation_enabled": False,
        "raw_input": {"context": context},
    }
    await asyncio.to_thread(lambda: stream(client, **given))
    journal = emulator.journals[-1]
    assert journal.parameters == {
        "format": "pcm",
        "sample_rate": 16000,
        "heartbeat": True,
        "disfluency_removal_enabled": False,
        "semantic_punctuation_enabled": False,
    }
    assert journal.resources == [{"resource_id": "ph-1", "resource_type": "asr_phrase"}]
    assert journal.contexts == [context]
    assert journal.headers["x-dashscope-workspace"] == "ws-1"
    assert journal.headers["user-agent"].startswith("dashscope/2.0.2")


async def test_a_context_is_updated_in_mid_stream(start: Any, recognition: Any) -> None:
    emulator = await start(script=DOOR)
    client = recognition(emulator, Recorder())
    context = [{"role": "user", "content": [{"type": "input_text", "text": "a window"}]}]

    def run() -> None:
        client.start()
        client.send_audio_frame(FRAME)
        client.update_context({"context": context})
        client.send_audio_frame(FRAME)
        client.stop()

    await asyncio.to_thread(run)
    assert emulator.journals[-1].contexts == [context]
    assert emulator.journals[-1].outcome == "finished"


UNAUTHORIZED = "Unauthorized, your api-key is invalid!"
HANDSHAKES: list[tuple[int, str]] = [
    (401, UNAUTHORIZED),
    (403, UNAUTHORIZED),
    (429, "Invalid response status"),
    (500, "Invalid response status"),
]


@pytest.mark.parametrize(("status", "message"), HANDSHAKES)
async def test_a_refused_handshake_is_an_error(start: Any, recognition: Any, status: int, message: str) -> None:
    recorder = Recorder()
    refused = Fault(action=Refuse(status=status), phase=Phase.HANDSHAKE)
    await asyncio.to_thread(run_into_error, recognition(await start(faults=(refused,)), recorder))
    (error,) = recorder.errors
    assert (error.status_code, error.code, error.message) == (status, status, message)


async def test_an_overloaded_service_is_an_error_of_its_own(start: Any, recognition: Any) -> None:
    recorder = Recorder()
    refused = Fault(action=Refuse(status=503), phase=Phase.HANDSHAKE)
    await asyncio.to_thread(run_into_error, recognition(await start(faults=(refused,)), recorder))
    assert recorder.errors[0].status_code == 503
    assert "503" in recorder.errors[0].message or "unavailable" in recorder.errors[0].message


async def test_a_wrong_key_is_an_error(start: Any, recognition: Any) -> None:
    recorder = Recorder()
    await asyncio.to_thread(run_into_error, recognition(await start(api_key="sk-right"), recorder))
    assert recorder.errors[0].status_code == 401
    assert recorder.calls[:3] == ["open", "error", "close"]


TASK_FAILURES: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    ({"model": "whisper"}, {}, "ModelNotFound", "Model not found (whisper)!"),
    ({"format": "flac"}, {}, "UNSUPPORTED_FORMAT", "Unsupported audio format."),
    ({"vocabulary_id": "vocab-x-1"}, {}, "NotFound", "Not found!"),
    (
        {},
        {"faults": (Fault(action=Fail(code="Throttling.RateQuota", message="slow down"), packets=1),)},
        "Throttling.RateQuota",
        "slow down",
    ),
    (
        {},
        {"faults": (Fault(action=Fail(code="InternalError", message="oops"), phase=Phase.FINISH),)},
        "InternalError",
        "oops",
    ),
]


@pytest.mark.parametrize(("options", "emulator_options", "code", "message"), TASK_FAILURES)
async def test_a_failed_task_is_an_error_with_the_servers_message(
    start: Any,
    recognition: Any,
    options: dict[str, Any],
    emulator_options: dict[str, Any],
    code: str,
    message: str,
) -> None:
    recorder = Recorder()
    emulator = await start(script=DOOR, **emulator_options)
    await asyncio.to_thread(run_into_error, recognition(emulator, recorder, **options))
    (error,) = recorder.errors
    assert (error.status_code, error.code, error.message) == (44, code, message)
    assert "complete" not in recorder.calls


async def test_a_lost_connection_is_an_unknown_error(start: Any, recognition: Any) -> None:
    recorder = Recorder()
    emulator = await start(script=DOOR, faults=(Fault(action=Drop(), packets=2),))
    await asyncio.to_thread(run_into_error, recognition(emulator, recorder))
    assert (recorder.errors[0].status_code, recorder.errors[0].code) == (-1, "Unknown")


async def test_the_servers_23_seconds_are_an_error(start: Any, recognition: Any) -> None:
    """The SDK blocks its own event loop while it waits for audio: it learns of the end when it is stopped."""
    recorder = Recorder()
    emulator = await start(script=DOOR, time_scale=230)
    client = recognition(emulator, recorder)

    def begin() -> None:
        client.start()
        client.send_audio_frame(FRAME)

    await asyncio.to_thread(begin)
    async with asyncio.timeout(60):
        await (await emulator.task(1)).ended.wait()
    await asyncio.to_thread(stop_if_running, client)
    assert [(error.code, error.message) for error in recorder.errors] == [
        ("CLIENT_ERROR", "request timeout after 23 seconds.")
    ]


async def test_the_sdks_23_seconds_look_like_success(
    start: Any, recognition: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dashscope.audio.asr import Recognition  # noqa: PLC0415

    monkeypatch.setattr(Recognition, "SILENCE_TIMEOUT_S", 0.1)
    recorder = Recorder()
    emulator = await start(script=DOOR)
    client = recognition(emulator, recorder)

    def run() -> None:
        client.start()
        client.send_audio_frame(FRAME)
        client._worker.join()

    await asyncio.to_thread(run)
    assert recorder.calls == ["open", "complete"]
    assert emulator.journals[-1].outcome == "finished"
    with pytest.raises(Exception, match="has stopped"):
        client.send_audio_frame(FRAME)


async def test_silence_without_heartbeat_is_an_error(start: Any, recognition: Any) -> None:
    recorder = Recorder()
    emulator = await start(script=Script(lines=()), time_scale=600, knobs={"no_data_seconds": 1e6})
    await asyncio.to_thread(send_until_the_end, recognition(emulator, recorder), emulator)
    assert [(error.code, error.message) for error in recorder.errors] == [("RequestTimeOut", "Response timeout!")]


async def test_heartbeats_are_not_shown(start: Any, recognition: Any) -> None:
    recorder = Recorder()
    knobs = {"heartbeat_seconds": 0.01}
    emulator = await start(script=Script(lines=(say(2000, "hello"),)), knobs=knobs)
    await asyncio.to_thread(send_slowly, recognition(emulator, recorder, heartbeat=True))
    assert recorder.calls == ["open", "event", "event", "complete", "close"]
    assert {sentence["text"] for sentence in recorder.sentences} == {"hello"}


def run_into_error(recognition: Any) -> None:
    """Speak to a server that will not have it."""
    try:
        recognition.start()
    except start_failed():
        return
    try:
        for _ in range(10):
            recognition.send_audio_frame(FRAME)
        recognition.stop()
    except recognition_stopped():
        recognition._worker.join()


def stop_if_running(recognition: Any) -> None:
    try:
        recognition.stop()
    except recognition_stopped():
        recognition._worker.join()


def send_until_the_end(recognition: Any, emulator: Emulator) -> None:
    recognition.start()
    try:
        while not (emulator.journals and emulator.journals[-1].ended.is_set()):
            recognition.send_audio_frame(bytes(3200))
            recognition._worker.join(0.005)
        recognition.stop()
    except recognition_stopped():
        recognition._worker.join()


def send_slowly(recognition: Any) -> None:
    recognition.start()
    for _ in range(20):
        recognition.send_audio_frame(bytes(3200))
        recognition._worker.join(0.02)
    recognition.stop()


def start_failed() -> type[Exception]:
    """What the SDK raises where its thread met the refusal sooner than it looks whether the thread is alive."""
    from dashscope.common.error import InvalidTask  # noqa: PLC0415

    failed: type[Exception] = InvalidTask
    return failed


def recognition_stopped() -> type[Exception]:
    """What the SDK raises once it has noticed the end."""
    from dashscope.common.error import InvalidParameter  # noqa: PLC0415

    stopped: type[Exception] = InvalidParameter
    return stopped
