"""Connections that do nothing: they keep nobody out for long, and stop nothing that runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway.v1 import recognition_pb2_grpc as pb_grpc
from asrgateway_server.lifecycle import Gateway
from calls import RECORDINGS, audio, config, outcome_of, pcm
from gateways import eventually, open_gateway
from http2 import PREFACE, SETTINGS, frame
from processes import GatewayProcess, gateway_process

BOY = pcm(RECORDINGS / "boy.wav")
BOYS_WORDS = "the boy was there when the sun rose"
#: Try again soon, on a connection of one's own.
SOON = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 200)]
FILES = 256
IDLE = 300


@asynccontextmanager
async def connection(address: str, hello: bytes = b"") -> AsyncIterator[asyncio.StreamReader]:
    """Open a connection that says hello and no more; its address is not that of the other clients."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=("127.0.0.2", 0))
    writer.write(hello)
    try:
        yield reader
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Whether the gateway closes a connection."""
    async with asyncio.timeout(60):
        try:
            while await reader.read(4096):
                pass
        except ConnectionError:
            pass
    return True


async def is_healthy(gateway: GatewayProcess) -> bool:
    async with grpc.aio.insecure_channel(await gateway.address("health")) as channel:
        try:
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60)
        except grpc.aio.AioRpcError:
            return False
        return True


async def test_idle_connections_do_not_use_up_the_files() -> None:
    async with (
        gateway_process(open_files=str(FILES), handshake_timeout_seconds="1") as (gateway, stub),
        AsyncExitStack() as idle,
    ):
        few = await gateway.line("the limit of open files is too low; fewer connections are accepted")
        assert few["files"] == FILES
        call = stub.Recognize(timeout=240)
        await call.write(config())
        await call.read()
        metrics = (await gateway.address("metrics")).removeprefix("http://").removesuffix("/metrics")
        ports = [await gateway.address("grpc"), await gateway.address("health"), metrics]
        for number in range(IDLE):
            with contextlib.suppress(ConnectionError):
                await idle.enter_async_context(connection(ports[number % len(ports)]))
        await call.write(audio(BOY))
        await call.done_writing()
        assert (await outcome_of(call)).texts == [BOYS_WORDS]
        async with asyncio.timeout(60):
            while not await is_healthy(gateway):
                pass
        async with grpc.aio.insecure_channel(ports[0], options=SOON) as channel:
            request = pb.ListModelsRequest()
            assert (
                await pb_grpc.SpeechRecognitionServiceStub(channel).ListModels(request, wait_for_ready=True, timeout=60)
            ).models
        assert [line for line in gateway.lines if line["level"] == "ERROR"] == []


async def test_a_connection_too_many_is_closed_at_once() -> None:
    async with open_gateway(max_connections=2, embedded_workers=0) as (gateway, stub):
        assert (await stub.ListModels(pb.ListModelsRequest())).models
        hello = PREFACE + frame(SETTINGS)
        async with connection(str(gateway.address), hello) as second:
            await second.readexactly(9)
            async with connection(str(gateway.address), hello) as third:
                assert await is_closed(third)
            assert (await stub.ListModels(pb.ListModelsRequest())).models
        # Its place is free again.
        async with asyncio.timeout(60):
            while True:
                async with connection(str(gateway.address), hello) as another:
                    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                        await another.readexactly(9)
                        break


async def test_half_a_handshake_ends_on_both_ports_of_grpc() -> None:
    async with open_gateway(handshake_timeout_seconds=0.3, embedded_workers=0) as (gateway, _):
        for address in (gateway.address, gateway.health_address):
            for hello in (b"", PREFACE[:10], PREFACE):
                async with connection(str(address), hello) as reader:
                    assert await is_closed(reader)


async def test_a_client_that_does_not_acknowledge_our_settings_is_closed() -> None:
    async with open_gateway(handshake_timeout_seconds=0.3, embedded_workers=0) as (gateway, _):
        for address in (gateway.address, gateway.health_address):
            async with connection(str(address), PREFACE + frame(SETTINGS)) as reader:
                assert await is_closed(reader)


async def test_a_connection_without_calls_is_closed_and_the_next_call_opens_another() -> None:
    async with open_gateway(max_connection_idle_seconds=0.3, embedded_workers=0) as (gateway, stub):
        acknowledged = PREFACE + frame(SETTINGS) + frame(SETTINGS, flags=1)
        async with connection(str(gateway.address), acknowledged) as reader:
            assert await is_closed(reader)
        assert (await stub.ListModels(pb.ListModelsRequest())).models


async def test_calls_of_one_address_are_limited_where_the_operator_says_so() -> None:
    async with open_gateway(max_calls_per_address=1) as (gateway, stub):
        first = stub.Recognize(timeout=60)
        await first.write(config())
        await first.read()
        second = await outcome_of(stub.Recognize(timeout=60))
        assert (second.code, second.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "CLIENT_LIMIT_REACHED")
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.ListModels(pb.ListModelsRequest(), timeout=60)
        first.cancel()
        await eventually(lambda: rejected(gateway) == 2)
        async with asyncio.timeout(60):
            while (await stub.ListModels(pb.ListModelsRequest()).code()) is not grpc.StatusCode.OK:
                pass


def rejected(gateway: Gateway) -> float | None:
    return gateway.metrics.registry.get_sample_value("asrgateway_streams_rejected_total", {"reason": "quota"})
