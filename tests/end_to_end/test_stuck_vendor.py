"""A vendor that no longer reads, or no longer says anything: the call ends with its reason, and soon."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from aiohttp import WSMsgType, web

import messages
import session_messages
from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.backends import task_exchange
from asrgateway_server.backends.task_exchange import UpstreamTimeouts
from asrgateway_server.backends.unanswered_speech import UnansweredSpeech
from asrgateway_server.lifecycle import Gateway
from asrgateway_server.vendors.dashscope.adapters.realtime_session import PATH as SESSION_PATH
from asrgateway_server.vendors.dashscope.official_sdk import backend as official_sdk
from calls import Outcome, RecognizeCall, Stub, audio, commit, config, in_messages, outcome_of, recognize
from dashscope_emulator import Fault
from dashscope_emulator.faults import Phase, Stall
from dashscope_emulator.recognizers.markers import marker_audio
from emulated_vendor import on_either_transport, reaching, task_vendor, vendor, vendor_and_gateway
from gateways import eventually, open_gateway

# The SDK leaves its socket and its event loop to the garbage collector, which comes in anybody's test.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

V2 = "paraformer-realtime-v2"
QWEN3 = "qwen3-asr-flash-realtime"
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
SPEECH = marker_audio(0, 150)


async def begun(stub: Stub, model: str = V2) -> RecognizeCall:
    """A call whose task has started."""
    call = stub.Recognize(timeout=60)
    await call.write(config(model=model, interim_results=True))
    while isinstance(response := await call.read(), pb.RecognizeResponse):
        if response.HasField("started"):  # The SDK's import may take longer than a cursor.
            return call
    raise AssertionError(f"the call ended with {await call.code()}")


async def told_to_speaker(call: RecognizeCall, *, once_stuck: Callable[[], object] = bool) -> Outcome:
    """The outcome of a call in which somebody speaks who never stops; also do something once nobody takes it."""
    sent = 0

    async def speak() -> None:
        nonlocal sent
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while True:
                await call.write(audio(SPEECH[:3200]))
                sent += 1

    async def watch() -> None:
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.3)
        once_stuck()

    # What is read later than the end would hide why it came.
    reading = asyncio.create_task(outcome_of(call))
    speaking, watching = asyncio.create_task(speak()), asyncio.create_task(watch())
    outcome = await reading
    speaking.cancel()
    await asyncio.wait([speaking, watching])
    return outcome


def streams(gateway: Gateway) -> float | None:
    """How many calls are open."""
    return gateway.metrics.registry.get_sample_value("asrgateway_streams_active", {"model": V2})


class Deaf:
    """A vendor that stops reading, and later says one thing more: once ``speaks`` is set."""

    def __init__(self, last_words: str = "", close_code: int = 0) -> None:
        self.speaks = asyncio.Event()
        self.released = asyncio.Event()
        self._last_words = last_words
        self._close_code = close_code

    async def __call__(self, request: web.Request, connection: web.WebSocketResponse) -> None:
        assert isinstance(request.transport, asyncio.Transport)
        request.transport.pause_reading()
        await self.speaks.wait()
        if self._last_words:
            await connection.send_str(self._last_words)
        if self._close_code:
            # The frame alone: TCP stays open.
            await connection._writer.close(self._close_code)  # type: ignore[union-attr]
        await self.released.wait()


@asynccontextmanager
async def deaf_vendor(deaf: Deaf, transport: str, **settings: object) -> AsyncIterator[Stub]:
    async with task_vendor(deaf) as url, open_gateway(**reaching(url, transport), **settings) as (_, stub):
        try:
            yield stub
        finally:
            deaf.released.set()


#: Nothing but what the vendor says ends a call before its own deadline.
PATIENT: dict[str, Any] = {"backlog_speed": 1000.0, "upstream_stall_timeout_seconds": 600.0}


@on_either_transport
async def test_an_error_of_a_vendor_that_reads_nothing_reaches_the_caller(transport: str) -> None:
    deaf = Deaf(messages.failed("InvalidParameter"))
    async with deaf_vendor(deaf, transport, **PATIENT) as stub:
        call = await begun(stub)
        outcome = await told_to_speaker(call, once_stuck=deaf.speaks.set)
    assert (outcome.code, outcome.upstream_code) == (PRECONDITION, "InvalidParameter")


@on_either_transport
async def test_a_close_frame_of_a_vendor_that_reads_nothing_ends_the_call(transport: str) -> None:
    deaf = Deaf(close_code=1011)
    async with deaf_vendor(deaf, transport, **PATIENT) as stub:
        call = await begun(stub)
        outcome = await told_to_speaker(call, once_stuck=deaf.speaks.set)
    assert outcome.code is UNAVAILABLE
    assert outcome.upstream_code == ("close 1011" if transport == "websocket" else "")


@on_either_transport
async def test_a_caller_that_reads_nothing_is_ended_though_the_vendor_says_ever_more(transport: str) -> None:
    """Closing in order may not wait for the end of what the vendor has to say."""

    async def flood(_: web.Request, connection: web.WebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError):
            for start_ms in itertools.count(step=100):
                await connection.send_str(messages.final("x" * 100_000, start_ms, start_ms + 100))

    async with (
        task_vendor(flood) as url,
        open_gateway(**reaching(url, transport), write_timeout_seconds=0.5) as (gateway, stub),
    ):
        call = await begun(stub)
        await call.write(audio(SPEECH))
        await eventually(lambda: streams(gateway) == 0.0)
        outcome = await outcome_of(call)
    assert (outcome.code, outcome.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "CLIENT_STALLED")


# A vendor that says nothing any more ------------------------------------------------------------------------------

HASTY: dict[str, Any] = {"backlog_speed": 1000.0, "upstream_stall_timeout_seconds": 0.4}
STEADY: dict[str, Any] = {"backlog_speed": 1000.0, "upstream_stall_timeout_seconds": 60.0}


@pytest.fixture
def _little_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take 0.4 s of speech for too much, and leave all else the time that a busy machine needs."""
    monkeypatch.setattr(task_exchange, "UnansweredSpeech", lambda _, rate_hertz: UnansweredSpeech(0.4, rate_hertz))


class Mute:
    """A vendor that reads all, and says nothing until it is asked for the end."""

    async def __call__(self, _: web.Request, connection: web.WebSocketResponse) -> None:
        while (message := await connection.receive()).type is WSMsgType.BINARY:
            pass
        if message.type is WSMsgType.TEXT:
            await connection.send_str(messages.finished())
            await connection.receive()


async def in_time(*parts: bytes) -> AsyncIterator[pb.RecognizeRequest]:
    """A call that sends audio as fast as somebody speaks."""
    yield config(model=V2, interim_results=True)
    for part in parts:
        for message in in_messages(part):
            yield message
            await asyncio.sleep(0.1)


@on_either_transport
@pytest.mark.usefixtures("_little_speech")
async def test_speech_that_is_not_answered_ends_the_call_while_it_is_spoken(transport: str) -> None:
    async with task_vendor(Mute()) as url, open_gateway(**reaching(url, transport), **STEADY) as (_, stub):
        call = await begun(stub)
        await call.write(audio(SPEECH))  # And no half-close.
        outcome = await outcome_of(call)
    assert (outcome.code, outcome.retry_seconds) == (UNAVAILABLE, 1.0)
    assert "speech unanswered" in outcome.message


@on_either_transport
@pytest.mark.usefixtures("_little_speech")
async def test_silence_need_not_be_answered(transport: str) -> None:
    async with task_vendor(Mute()) as url, open_gateway(**reaching(url, transport), **STEADY) as (_, stub):
        outcome = await recognize(stub, in_time(bytes(32_000)))
    assert outcome.code is grpc.StatusCode.OK


@pytest.mark.usefixtures("_little_speech")
async def test_a_vendor_that_stalls_in_mid_speech_is_noticed_while_it_answers_pings() -> None:
    stall = Fault(action=Stall(), phase=Phase.SPEECH, audio_ms=500)
    async with vendor_and_gateway(emulator={"faults": (stall,)}, **STEADY) as (_, _, stub):
        call = await begun(stub)
        await call.write(audio(SPEECH[:16_000]))
        # An answer that is read late would count as one to all of the speech.
        while isinstance(response := await call.read(), pb.RecognizeResponse) and not response.HasField("result"):
            pass
        await call.write(audio(SPEECH[16_000:]))
        outcome = await outcome_of(call)
    assert outcome.code is UNAVAILABLE
    assert "speech unanswered" in outcome.message


@pytest.mark.usefixtures("_little_speech")
async def test_where_only_commits_end_an_utterance_speech_need_not_be_answered() -> None:
    """Qwen3-ASR says nothing in manual mode until the commit."""
    manual = pb.EndpointingConfig(manual=pb.ManualEndpointing())

    async def spoken() -> AsyncIterator[pb.RecognizeRequest]:
        yield config(model=QWEN3, endpointing=manual)
        for message in in_messages(SPEECH):
            yield message
            await asyncio.sleep(0.1)
        yield commit()

    async with vendor_and_gateway(**STEADY) as (_, _, stub):
        outcome = await recognize(stub, spoken())
    assert outcome.code is grpc.StatusCode.OK
    assert outcome.texts == ["w0 w1 w2 w3 w4"]


@pytest.mark.usefixtures("_little_speech")
async def test_a_model_that_tells_only_whole_sentences_need_not_answer_speech_sooner() -> None:
    model = "qwen-audio-3.1-asr-flash-message"

    async def spoken() -> AsyncIterator[pb.RecognizeRequest]:
        yield config(model=model)
        for message in in_messages(SPEECH):
            yield message
            await asyncio.sleep(0.1)

    async with vendor_and_gateway(**STEADY) as (_, _, stub):
        outcome = await recognize(stub, spoken())
    assert (outcome.code, outcome.texts) == (grpc.StatusCode.OK, ["w0 w1 w2 w3 w4"])


@on_either_transport
async def test_a_vendor_that_takes_no_audio_is_noticed_without_a_ping(transport: str) -> None:
    deaf = Deaf()
    async with deaf_vendor(deaf, transport, **HASTY) as stub:
        call = await begun(stub)
        outcome = await told_to_speaker(call)
    assert outcome.code is UNAVAILABLE


async def test_a_session_of_the_sdk_is_sent_pings_too(monkeypatch: pytest.MonkeyPatch) -> None:
    hasty = UpstreamTimeouts(ready_seconds=10.0, stall_seconds=60.0, ping_seconds=0.1, pong_seconds=0.2)
    monkeypatch.setattr(official_sdk, "timeouts_of", lambda _: hasty)
    released = asyncio.Event()

    async def begin_and_die(request: web.Request, connection: web.WebSocketResponse) -> None:
        await connection.send_str(session_messages.created())
        await connection.receive_json()
        await connection.send_str(session_messages.updated())
        assert isinstance(request.transport, asyncio.Transport)
        request.transport.pause_reading()
        await released.wait()

    async with (
        vendor(SESSION_PATH, begin_and_die) as url,
        open_gateway(**reaching(url, "official_sdk")) as (_, stub),
    ):
        call = await begun(stub, QWEN3)
        await call.write(audio(bytes(3200)))
        outcome = await outcome_of(call)
        released.set()
    assert outcome.code is UNAVAILABLE
    assert "ping" in outcome.message
