"""How the port of gRPC clients closes while a call is open."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from asrgateway_server.admission.drain import Drain
from asrgateway_server.errors import Draining
from asrgateway_server.grpc_api.ports import bind
from asrgateway_server.grpc_api.server import stop_after_calls
from asrgateway_server.metrics import Metrics
from asrgateway_server.settings import Address
from gateways import eventually

# Turns of the event loop between a call's end for the drain and its status: tracing, metrics, gRPC's own.
TURNS = 50


class OpenClient:
    def stop_reading(self) -> bool:
        return True


def is_over(drain: Drain) -> bool:
    try:
        drain.refuse_late_calls()
    except Draining:
        return True
    return False


async def test_a_call_that_has_left_the_drain_still_gets_its_status() -> None:
    drain = Drain(60.0, 60.0, 0.0, Metrics(CollectorRegistry()))
    is_open = asyncio.Event()

    async def handler(request: bytes, _context: Any) -> bytes:
        async with drain.open_call(OpenClient()) as going_away:
            is_open.set()
            await going_away.announced.wait()
        await eventually(lambda: is_over(drain))
        for _ in range(TURNS):
            await asyncio.sleep(0)
        return request

    server = grpc.aio.server()
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {"Call": grpc.unary_unary_rpc_method_handler(handler)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", handlers),))
    address = bind(server, Address("127.0.0.1", 0))
    await server.start()
    async with asyncio.timeout(60), grpc.aio.insecure_channel(str(address)) as channel:
        call = channel.unary_unary("/test.Service/Call", request_serializer=bytes, response_deserializer=bytes)(
            b"words"
        )
        await is_open.wait()
        await stop_after_calls(server, drain)
        assert await call == b"words"
