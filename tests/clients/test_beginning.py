"""A call is opened again until a gateway takes it, and audio follows then: in both clients."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Self, TypeAlias

import grpc
import pytest

import asrgateway.sync
from asrgateway import (
    AudioEncoding,
    DecodingConfig,
    RecognitionClient,
    RecognitionError,
    Reconnect,
    StreamingConfig,
    call,
    sync_call,
)
from asrgateway.beginning import countdown, spread
from asrgateway.call import RecognizeCall
from asrgateway.channel import ChannelOptions
from asrgateway.v1.recognition_pb2 import ListModelsResponse, RecognizeRequest, RecognizeResponse
from asrgateway.v1.recognition_pb2_grpc import SpeechRecognitionServiceStub
from counting_gateway import ALONE, Counting, Header, serving
from deaf_gateway import (
    WINDOW_BYTES,
    DeafGateway,
    losing_gateway,
    refusing_gateway,
    silent_listener,
    speechless_gateway,
)
from gateways import eventually
from scripted_gateway import finished, started

UNAVAILABLE, CANCELLED = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED
CONFIG_AND_AUDIO: Final = [RecognizeRequest(streaming_config=StreamingConfig()), RecognizeRequest(audio=b"audio")]
OFF: Final = (("grpc.enable_retries", 0),)
LINEAR16: Final = StreamingConfig(
    decoding_config=DecodingConfig(encoding=AudioEncoding.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=16_000)
)
WHOLE: Final = [started(), finished()]


class Closing:
    """Closes itself at the end of a block."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        raise NotImplementedError


class WithAsyncio(Closing):
    def __init__(self, target: str, options: ChannelOptions = ()) -> None:
        self._client = RecognitionClient(target, channel_options=(*ALONE, *options))

    async def recognize(
        self, audio: Iterable[bytes] = (b"audio",), config: StreamingConfig | None = None, **options: Any
    ) -> list[RecognizeResponse]:
        return [one async for one in self._client.recognize(config or StreamingConfig(), audio, **options)]

    async def list_models(self, **options: Any) -> ListModelsResponse:
        return await self._client.list_models(**options)

    async def close(self) -> None:
        await self._client.close()


class WithThreads(Closing):
    def __init__(self, target: str, options: ChannelOptions = ()) -> None:
        self._client = asrgateway.sync.RecognitionClient(target, channel_options=(*ALONE, *options))

    async def recognize(
        self, audio: Iterable[bytes] = (b"audio",), config: StreamingConfig | None = None, **options: Any
    ) -> list[RecognizeResponse]:
        return await asyncio.to_thread(list, self._client.recognize(config or StreamingConfig(), audio, **options))

    async def list_models(self, **options: Any) -> ListModelsResponse:
        return await asyncio.to_thread(self._client.list_models, **options)

    async def close(self) -> None:
        await asyncio.to_thread(self._client.close)


Open: TypeAlias = Callable[..., WithAsyncio | WithThreads]
Gateway: TypeAlias = Callable[[], AbstractAsyncContextManager[DeafGateway]]


@pytest.fixture(params=[WithAsyncio, WithThreads])
def open_client(request: pytest.FixtureRequest) -> Open:
    """Opens a client of either kind."""
    kind: Open = request.param
    return kind


# Which calls are opened again --------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [UNAVAILABLE, CANCELLED])
async def test_a_call_is_opened_again_until_a_gateway_takes_it(open_client: Open, code: grpc.StatusCode) -> None:
    gateway = Counting(code, code)
    async with serving(gateway) as target, open_client(target) as client:
        assert await client.recognize(iter([b"audio"])) == WHOLE
    assert gateway.calls == 3
    assert gateway.received == CONFIG_AND_AUDIO


async def test_a_call_is_opened_five_times_at_most(open_client: Open) -> None:
    gateway = Counting(*[UNAVAILABLE] * 9)
    async with serving(gateway) as target, open_client(target) as client:
        with pytest.raises(RecognitionError, match="UNAVAILABLE: not now"):
            await client.recognize()
    assert gateway.calls == 5


async def test_a_call_that_has_begun_is_not_opened_again(open_client: Open) -> None:
    gateway = Counting(error=UNAVAILABLE)
    async with serving(gateway) as target, open_client(target) as client:
        with pytest.raises(RecognitionError, match="UNAVAILABLE: not any more"):
            await client.recognize()
    assert gateway.calls == 1


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL])
async def test_a_call_with_a_permanent_error_is_not_opened_again(open_client: Open, code: grpc.StatusCode) -> None:
    gateway = Counting(code)
    async with serving(gateway) as target, open_client(target) as client:
        with pytest.raises(RecognitionError, match=code.name):
            await client.recognize()
    assert gateway.calls == 1


async def test_a_call_whose_connection_was_lost_under_its_config_is_opened_again(
    open_client: Open,
) -> None:
    """gRPC shows an error of its own first (grpc issue 36066)."""
    big = StreamingConfig(model="m" * WINDOW_BYTES)
    async with losing_gateway(takes_calls=False) as deaf, open_client(deaf.target) as client:
        with pytest.raises(RecognitionError, match="UNAVAILABLE"):
            await client.recognize(config=big)
    assert deaf.arrivals == 5


async def test_retries_can_be_turned_off(open_client: Open) -> None:
    gateway = Counting(UNAVAILABLE)
    async with serving(gateway) as target, open_client(target, OFF) as client:
        with pytest.raises(RecognitionError, match="UNAVAILABLE: not now"):
            await client.recognize()
    assert gateway.calls == 1


async def test_grpcs_own_retries_do_not_end_the_process(open_client: Open) -> None:
    """They do, in every language on gRPC's core, where audio follows a config that is still on its way."""
    big = StreamingConfig(model="m" * 60_000)
    async with refusing_gateway(after_bytes=60_000) as deaf, open_client(deaf.target) as client:
        with pytest.raises(RecognitionError, match="DEADLINE_EXCEEDED"):
            await client.recognize(config=big, timeout=1)


# When audio follows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [(), (("proxy", "1"),)])
async def test_a_gateway_may_take_a_call_without_naming_it(open_client: Open, header: Header) -> None:
    async with serving(Counting(header=header)) as target, open_client(target) as client:
        assert await client.recognize() == WHOLE


async def test_audio_is_sent_at_last_where_no_header_comes(open_client: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_wait_for_header(monkeypatch)
    async with serving(Counting(header=None)) as target, open_client(target) as client:
        assert await client.recognize() == [finished()]


async def test_a_call_whose_audio_was_sent_without_a_header_is_not_opened_again(
    open_client: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_wait_for_header(monkeypatch)
    gateway = Counting(header=None, error=UNAVAILABLE)
    async with serving(gateway) as target, open_client(target) as client:
        with pytest.raises(RecognitionError, match="UNAVAILABLE: not any more"):
            await client.recognize()
    assert gateway.calls == 1


async def test_the_audio_of_a_call_that_no_gateway_took_is_not_read(open_client: Open) -> None:
    audio = iter([b"audio"])
    async with speechless_gateway() as deaf, open_client(deaf.target) as client:
        with pytest.raises(RecognitionError, match="DEADLINE_EXCEEDED"):
            await client.recognize(audio, timeout=0.1)
    await eventually(lambda: not grpcs_request_threads())
    assert next(audio) == b"audio"


def shorten_wait_for_header(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (call, sync_call):
        monkeypatch.setattr(module, "LATE_HEADER_SECONDS", 0.01)


def grpcs_request_threads() -> list[str]:
    """gRPC's threads that iterate requests."""
    return [one.name for one in threading.enumerate() if "(_run)" in one.name]


# Its end before it has begun ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("gateway", [silent_listener, speechless_gateway])
@pytest.mark.parametrize("options", [{}, {"timeout": 60}, {"reconnect": True}], ids=["plain", "timeout", "reconnect"])
async def test_closing_the_client_ends_a_call_that_has_not_begun(
    open_client: Open, gateway: Gateway, options: dict[str, Any]
) -> None:
    async with gateway() as deaf, open_client(deaf.target) as client:
        running = asyncio.create_task(client.recognize(**options))
        await eventually(lambda: deaf.arrivals >= 1)
        await client.close()
        with pytest.raises(RecognitionError, match="CANCELLED"):
            async with asyncio.timeout(4):  # Less than the wait for a header.
                await running


@pytest.mark.parametrize("gateway", [silent_listener, speechless_gateway])
async def test_a_cancelled_call_that_has_not_begun_leaves_nothing_behind(gateway: Gateway) -> None:
    async with gateway() as deaf, RecognitionClient(deaf.target, channel_options=ALONE) as client:
        running = asyncio.create_task(anext(client.recognize(StreamingConfig(), [b"audio"])))
        await eventually(lambda: deaf.arrivals >= 1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "send audio"]


async def test_a_call_that_no_gateway_takes_is_given_up(open_client: Open) -> None:
    async with refusing_gateway(after_bytes=1, takes_others=False) as deaf, open_client(deaf.target, OFF) as client:
        with pytest.raises(RecognitionError, match="UNAVAILABLE"):
            async with asyncio.timeout(4):  # As above.
                await client.recognize(reconnect=Reconnect(give_up_seconds=0.2))


@pytest.mark.parametrize("method", ["recognize", "list_models"])
async def test_closing_the_client_ends_a_call_between_two_attempts(open_client: Open, method: str) -> None:
    gateway = Counting(*[UNAVAILABLE] * 9)
    async with serving(gateway) as target, open_client(target) as client:
        running = asyncio.create_task(getattr(client, method)())
        await eventually(lambda: gateway.calls >= 1)
        await client.close()
        with pytest.raises(RecognitionError, match="CANCELLED"):
            await running
    assert gateway.calls < 5


@pytest.mark.parametrize("options", [{}, {"reconnect": True}], ids=["plain", "reconnect"])
async def test_a_client_that_was_closed_opens_no_call(open_client: Open, options: dict[str, Any]) -> None:
    async with silent_listener() as deaf, open_client(deaf.target) as client:
        await client.close()
        with pytest.raises(RecognitionError, match="CANCELLED"):
            await client.recognize(**options)
        with pytest.raises(RecognitionError, match="CANCELLED"):
            await client.list_models()


async def test_an_error_of_the_audio_is_raised_where_no_gateway_takes_the_call(open_client: Open) -> None:
    def failing() -> Iterator[bytes]:
        yield b"audio"
        raise KeyError("microphone")

    async with speechless_gateway() as deaf, open_client(deaf.target) as client:
        with pytest.raises(KeyError, match="microphone"):
            await client.recognize(failing(), LINEAR16, timeout=0.2, reconnect=True)


async def test_a_call_that_this_side_ends_between_two_attempts_is_not_opened_again() -> None:
    gateway = Counting(*[UNAVAILABLE] * 9)
    async with serving(gateway) as target, grpc.aio.insecure_channel(target) as channel:
        running = RecognizeCall(SpeechRecognitionServiceStub(channel).Recognize, iter([0.5]))
        sender = asyncio.create_task(running.send(StreamingConfig(), []))
        receiver = asyncio.create_task(running.receive())
        await eventually(lambda: gateway.calls == 1)
        running.end()
        with pytest.raises(RecognitionError):
            await receiver
        await sender
    assert gateway.calls == 1


async def test_a_call_that_another_thread_ends_between_two_attempts_is_not_opened_again() -> None:
    gateway = Counting(*[UNAVAILABLE] * 9)
    async with serving(gateway) as target:
        with grpc.insecure_channel(target) as channel:
            stub = SpeechRecognitionServiceStub(channel)
            running = sync_call.RecognizeCall(stub.Recognize, iter([0.5]), StreamingConfig(), [])
            receiver = asyncio.create_task(asyncio.to_thread(running.receive))
            await eventually(lambda: gateway.calls == 1)
            running.end()
            with pytest.raises(RecognitionError):
                await receiver
    assert gateway.calls == 1


# Its deadline ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["recognize", "list_models"])
async def test_the_deadline_spans_all_attempts(open_client: Open, method: str) -> None:
    gateway = Counting(*[UNAVAILABLE] * 4)
    async with serving(gateway) as target, open_client(target) as client:
        await getattr(client, method)(timeout=5)
    first, *_, last = (seconds or 0.0 for seconds in gateway.seconds_left)
    assert last < first - 0.4  # gRPC sends a deadline of a little less as it sent the one before.


@pytest.mark.parametrize("method", ["recognize", "list_models"])
async def test_a_deadline_that_no_pause_fits_into_ends_a_call_with_its_error(open_client: Open, method: str) -> None:
    gateway = Counting(*[UNAVAILABLE] * 9)
    async with serving(gateway) as target, open_client(target) as client:
        with pytest.raises(RecognitionError, match="UNAVAILABLE: not now"):
            await getattr(client, method)(timeout=0.4)
    assert gateway.calls < 5


def test_a_pause_that_the_deadline_does_not_allow_is_no_pause() -> None:
    assert list(spread((0.05, 0.1, 0.2), lambda: 0.07)) == pytest.approx([0.05], rel=0.21)
    assert list(spread((0.05, 0.1), lambda: None)) == pytest.approx([0.05, 0.1], rel=0.21)


def test_no_more_than_no_time_is_left() -> None:
    assert countdown(0)() == 0
    assert countdown(None)() is None


# Models ------------------------------------------------------------------------------------------------------------


async def test_models_are_asked_for_again(open_client: Open) -> None:
    gateway = Counting(UNAVAILABLE)
    async with serving(gateway) as target, open_client(target) as client:
        assert await client.list_models() == ListModelsResponse()
    assert gateway.calls == 2


async def test_models_are_not_asked_for_again_after_a_permanent_error(open_client: Open) -> None:
    gateway = Counting(grpc.StatusCode.PERMISSION_DENIED)
    async with serving(gateway) as target, open_client(target) as client:
        with pytest.raises(RecognitionError, match="PERMISSION_DENIED"):
            await client.list_models()
    assert gateway.calls == 1


async def test_a_cancelled_question_for_models_is_cancelled() -> None:
    async with silent_listener() as deaf, RecognitionClient(deaf.target, channel_options=ALONE) as client:
        running = asyncio.create_task(client.list_models())
        await eventually(lambda: deaf.arrivals >= 1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_closing_the_client_ends_a_question_for_models(open_client: Open) -> None:
    async with silent_listener() as deaf, open_client(deaf.target) as client:
        running = asyncio.create_task(client.list_models())
        await eventually(lambda: deaf.arrivals >= 1)
        await client.close()
        with pytest.raises(RecognitionError, match="CANCELLED"):
            await running
