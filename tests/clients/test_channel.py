"""The connection: whose options hold, how calls spread over gateways, and which of them are sent again."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from all_settings import Settings
from asrgateway import RecognitionClient, RecognitionError, StreamingConfig
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
from calls import ROOT
from scripted_gateway import finished, started

Context = grpc.aio.ServicerContext[RecognizeRequest, RecognizeResponse]

#: Otherwise the clients of one process share their connections.
ALONE = (("grpc.use_local_subchannel_pool", 1),)


class Counting(SpeechRecognitionServiceServicer):
    """Answers calls, the first of them with errors.

    Attributes:
        calls: How many it was asked.
        received: What the last one brought.
    """

    def __init__(self, *errors: grpc.StatusCode, is_greeting: bool = False) -> None:
        self.calls = 0
        self.received: list[RecognizeRequest] = []
        self._errors = list(errors)
        self._is_greeting = is_greeting

    async def Recognize(  # type: ignore[override]  # noqa: N802 - a coroutine that writes by itself
        self, request_iterator: AsyncIterator[RecognizeRequest], context: Context
    ) -> None:
        self.calls += 1
        if self._is_greeting:
            await context.write(started())
        if self._errors:
            await context.abort(self._errors.pop(0), "not now")
        self.received = [request async for request in request_iterator]
        await context.write(finished())

    async def ListModels(self, request: ListModelsRequest, context: object) -> ListModelsResponse:  # noqa: N802 - gRPC's names
        raise NotImplementedError


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


def test_the_readme_shows_the_service_config() -> None:
    readme = (ROOT / "clients" / "python" / "README.md").read_text(encoding="utf-8")
    shown = readme.partition("```json\n")[2].partition("```")[0]
    assert json.loads(shown) == json.loads(str(dict(with_defaults(()))["grpc.service_config"]))


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


# Retries -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
async def test_a_call_that_has_not_begun_is_sent_again_with_its_audio(code: grpc.StatusCode) -> None:
    gateway = Counting(code, code)
    async with serving(gateway) as target, RecognitionClient(target) as client:
        assert await recognize(client) == [finished()]
    assert gateway.calls == 3
    assert gateway.received == [
        RecognizeRequest(streaming_config=StreamingConfig()),
        RecognizeRequest(audio=b"audio"),
    ]


async def test_a_call_that_has_begun_is_not_sent_again() -> None:
    gateway = Counting(grpc.StatusCode.UNAVAILABLE, is_greeting=True)
    async with serving(gateway) as target, RecognitionClient(target) as client:
        with pytest.raises(RecognitionError) as error:
            await recognize(client)
    assert (error.value.code, gateway.calls) == (grpc.StatusCode.UNAVAILABLE, 1)


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL])
async def test_a_call_with_a_permanent_error_is_not_sent_again(code: grpc.StatusCode) -> None:
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
