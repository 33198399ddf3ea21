"""The connection: whose options hold, how calls spread over gateways, and which of them are opened again."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import grpc
import pytest

from all_settings import Settings
from asrgateway import RecognitionClient, RecognitionError, StreamingConfig, call, sync_call
from asrgateway.channel import with_defaults
from asrgateway.sync import RecognitionClient as SyncRecognitionClient
from asrgateway.v1.recognition_pb2 import (
    ListModelsRequest,
    ListModelsResponse,
    RecognizeRequest,
    RecognizeResponse,
)
from asrgateway.v1.recognition_pb2_grpc import (
    SpeechRecognitionServiceServicer,
    add_SpeechRecognitionServiceServicer_to_server,
)
from asrgateway_server.grpc_api.server import _options
from deaf_gateway import refusing_gateway
from scripted_gateway import TAKEN, finished, started

Context = grpc.aio.ServicerContext[RecognizeRequest, RecognizeResponse]

Header = tuple[tuple[str, str], ...]

CONFIG_AND_AUDIO = [RecognizeRequest(streaming_config=StreamingConfig()), RecognizeRequest(audio=b"audio")]
#: Otherwise the clients of one process share their connections.
ALONE = (("grpc.use_local_subchannel_pool", 1),)


class Counting(SpeechRecognitionServiceServicer):
    """Answers calls, the first of them with errors.

    Attributes:
        calls: How many it was asked.
        received: What the last one brought.
    """

    def __init__(self, *errors: grpc.StatusCode, is_greeting: bool = False, header: Header | None = TAKEN) -> None:
        self.calls = 0
        self.received: list[RecognizeRequest] = []
        self._errors = list(errors)
        self._is_greeting = is_greeting
        self._header = header

    async def Recognize(  # type: ignore[override]  # noqa: N802 - a coroutine that writes by itself
        self, request_iterator: AsyncIterator[RecognizeRequest], context: Context
    ) -> None:
        self.calls += 1
        if self._errors and not self._is_greeting:
            await context.abort(self._errors.pop(0), "not now")
        if self._header is not None:
            await context.send_initial_metadata(self._header)
        if self._is_greeting:
            await context.write(started())
        if self._errors:
            await context.abort(self._errors.pop(0), "not now")
        self.received = [request async for request in request_iterator]
        await context.write(finished())

    async def ListModels(self, request: ListModelsRequest, context: Context) -> ListModelsResponse:  # noqa: ARG002, N802 - gRPC's names
        self.calls += 1
        if self._errors:
            await context.abort(self._errors.pop(0), "not now")
        return ListModelsResponse()


@asynccontextmanager
async def serving(*servicers: Counting) -> AsyncIterator[str]:
    """Serve each at an address of its own; yield one target for all of them."""
    servers = [grpc.aio.server(options=[("grpc.so_reuseport", 0)]) for _ in servicers]
    ports = [server.add_insecure_port("127.0.0.1:0") for server in servers]
    for server, servicer in zip(servers, servicers, strict=True):
        add_SpeechRecognitionServiceServicer_to_server(servicer, server)
        await server.start()
    try:
        yield "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
    finally:
        await asyncio.gather(*(server.stop(None) for server in servers))


async def recognize(client: RecognitionClient) -> list[RecognizeResponse]:
    return [response async for response in client.recognize(StreamingConfig(), [b"audio"])]


# Options -----------------------------------------------------------------------------------------------------------


def test_an_option_given_replaces_the_default() -> None:
    options = dict(with_defaults([("grpc.keepalive_time_ms", 1), ("grpc.max_send_message_length", 2)]))
    assert (options["grpc.keepalive_time_ms"], options["grpc.max_send_message_length"]) == (1, 2)
    assert options["grpc.keepalive_timeout_ms"] == 20_000


def test_a_policy_given_is_not_overridden() -> None:
    options = dict(with_defaults([("grpc.lb_policy_name", "pick_first")]))
    assert "loadBalancingConfig" not in json.loads(str(options["grpc.service_config"]))


def test_the_gateway_accepts_the_pings_of_the_client() -> None:
    served = dict(_options(Settings(), 1))
    ours = dict(with_defaults(()))
    assert int(ours["grpc.keepalive_time_ms"]) >= 2 * int(served["grpc.http2.min_ping_interval_without_data_ms"])
    assert served["grpc.keepalive_permit_without_calls"] == 1


# Several gateways --------------------------------------------------------------------------------------------------


async def until_both_were_called(first: Counting, second: Counting, client: RecognitionClient) -> None:
    """A second connection may be ready later than the first."""
    async with asyncio.timeout(60):
        while not (first.calls and second.calls):
            await recognize(client)


async def test_gateways_behind_one_target_share_the_calls() -> None:
    first, second = Counting(), Counting()
    async with serving(first, second) as target, RecognitionClient(target, channel_options=ALONE) as client:
        await until_both_were_called(first, second, client)
        before = first.calls, second.calls
        for _ in range(10):
            await recognize(client)
        assert (first.calls - before[0], second.calls - before[1]) == (5, 5)


async def test_gateways_share_the_calls_without_asyncio_too() -> None:
    first, second = Counting(), Counting()

    def call_until_both_answered(target: str) -> None:
        with SyncRecognitionClient(target, channel_options=ALONE) as client:
            while not (first.calls and second.calls):
                list(client.recognize(StreamingConfig(), [b"audio"]))

    async with serving(first, second) as target, asyncio.timeout(60):
        await asyncio.to_thread(call_until_both_answered, target)


async def test_a_client_may_use_only_the_first_gateway() -> None:
    first, second = Counting(), Counting()
    options = (*ALONE, ("grpc.lb_policy_name", "pick_first"))
    async with serving(first, second) as target, RecognitionClient(target, channel_options=options) as client:
        for _ in range(10):
            await recognize(client)
        assert 10 in (first.calls, second.calls)


# Attempts ----------------------------------------------------------------------------------------------------------


def recognize_with_threads(target: str, audio: Iterable[bytes]) -> list[RecognizeResponse]:
    with SyncRecognitionClient(target, channel_options=ALONE) as client:
        return list(client.recognize(StreamingConfig(), audio))


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
async def test_a_call_is_opened_again_until_a_gateway_takes_it(code: grpc.StatusCode) -> None:
    gateway = Counting(code, code)
    async with serving(gateway) as target, RecognitionClient(target) as client:
        assert await recognize(client) == [finished()]
    assert gateway.calls == 3
    assert gateway.received == CONFIG_AND_AUDIO


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
async def test_a_call_is_opened_again_without_asyncio_too(code: grpc.StatusCode) -> None:
    gateway = Counting(code, code)
    async with serving(gateway) as target:
        assert await asyncio.to_thread(recognize_with_threads, target, iter([b"audio"])) == [finished()]
    assert gateway.calls == 3
    assert gateway.received == CONFIG_AND_AUDIO


async def test_a_call_is_opened_five_times_at_most() -> None:
    gateway = Counting(*[grpc.StatusCode.UNAVAILABLE] * 9)
    async with serving(gateway) as target, RecognitionClient(target) as client:
        with pytest.raises(RecognitionError, match="UNAVAILABLE: not now"):
            await recognize(client)
    assert gateway.calls == 5


async def test_models_are_asked_for_again_too() -> None:
    gateway = Counting(grpc.StatusCode.UNAVAILABLE)
    async with serving(gateway) as target, RecognitionClient(target) as client:
        assert await client.list_models() == ListModelsResponse()
    assert gateway.calls == 2


async def test_models_are_asked_for_again_without_asyncio_too() -> None:
    gateway = Counting(grpc.StatusCode.UNAVAILABLE)
    async with serving(gateway) as target:
        with SyncRecognitionClient(target) as client:
            assert await asyncio.to_thread(client.list_models) == ListModelsResponse()
    assert gateway.calls == 2


async def test_a_call_is_opened_once_where_retries_are_turned_off() -> None:
    gateway = Counting(grpc.StatusCode.UNAVAILABLE)
    off = (("grpc.enable_retries", 0),)
    async with serving(gateway) as target, RecognitionClient(target, channel_options=off) as client:
        with pytest.raises(RecognitionError, match="UNAVAILABLE: not now"):
            await recognize(client)
    assert gateway.calls == 1


async def test_grpcs_own_retries_do_not_end_the_process() -> None:
    """They do, in every language on gRPC's core, where audio follows a config that is still on its way."""
    big = StreamingConfig(model="m" * 60_000)
    async with refusing_gateway(after_bytes=60_000) as target, RecognitionClient(target) as client:
        with pytest.raises(RecognitionError, match="DEADLINE_EXCEEDED"):
            [response async for response in client.recognize(big, [b"audio"], timeout=1)]


@pytest.mark.parametrize("header", [(), (("proxy", "1"),)])
async def test_a_gateway_may_take_a_call_without_naming_it(header: Header) -> None:
    gateway = Counting(header=header)
    async with serving(gateway) as target, RecognitionClient(target) as client:
        assert await recognize(client) == [finished()]
        assert await asyncio.to_thread(recognize_with_threads, target, [b"audio"]) == [finished()]


async def test_audio_is_sent_at_last_where_no_header_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "LATE_HEADER_SECONDS", 0.01)
    monkeypatch.setattr(sync_call, "LATE_HEADER_SECONDS", 0.01)
    gateway = Counting(header=None)
    async with serving(gateway) as target, RecognitionClient(target) as client:
        assert await recognize(client) == [finished()]
        assert await asyncio.to_thread(recognize_with_threads, target, [b"audio"]) == [finished()]


async def test_the_audio_of_a_call_that_is_left_at_once_is_not_read() -> None:
    """Its requests are iterated in gRPC's own thread, which goes on a little."""
    audio = iter([b"audio"])
    async with refusing_gateway(after_bytes=1_000_000) as target:
        with SyncRecognitionClient(target) as client:
            responses = client.recognize(StreamingConfig(), audio, timeout=0.1)
            with pytest.raises(RecognitionError, match="DEADLINE_EXCEEDED"):
                await asyncio.to_thread(next, responses)
    assert next(audio) == b"audio"


async def test_a_call_that_has_begun_is_not_opened_again() -> None:
    gateway = Counting(grpc.StatusCode.UNAVAILABLE, is_greeting=True)
    async with serving(gateway) as target, RecognitionClient(target) as client:
        with pytest.raises(RecognitionError) as error:
            await recognize(client)
    assert (error.value.code, gateway.calls) == (grpc.StatusCode.UNAVAILABLE, 1)


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL])
async def test_a_call_with_a_permanent_error_is_not_opened_again(code: grpc.StatusCode) -> None:
    gateway = Counting(code)
    async with serving(gateway) as target, RecognitionClient(target) as client:
        with pytest.raises(RecognitionError):
            await recognize(client)
    assert gateway.calls == 1


async def test_a_client_that_cancels_makes_no_new_call() -> None:
    gateway = Counting(is_greeting=True)

    async def endless() -> AsyncIterator[bytes]:
        yield b"audio"
        await asyncio.Event().wait()

    async with serving(gateway) as target, RecognitionClient(target) as client:
        async for _ in client.recognize(StreamingConfig(), endless()):
            break
        assert await recognize(client) == [started(), finished()]
    assert gateway.calls == 2
