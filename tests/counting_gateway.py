"""A gateway on loopback that refuses calls and counts them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import grpc

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
from scripted_gateway import TAKEN, finished, started

Context: TypeAlias = "grpc.aio.ServicerContext[RecognizeRequest, RecognizeResponse]"
Header: TypeAlias = tuple[tuple[str, str], ...]

#: Otherwise the clients of one process share their connections.
ALONE: Final = (("grpc.use_local_subchannel_pool", 1),)


class Counting(SpeechRecognitionServiceServicer):
    """Answers calls, the first of them with errors.

    Args:
        errors: Of the first calls, before they have begun.
        error: Of the call after these, once it has begun.
        header: With which it takes calls; None: it sends the header with the last response.

    Attributes:
        calls: How many it was asked.
        seconds_left: Until the deadline of each, None where there is none.
        received: What the last one brought.
    """

    def __init__(
        self, *errors: grpc.StatusCode, error: grpc.StatusCode | None = None, header: Header | None = TAKEN
    ) -> None:
        self.calls = 0
        self.seconds_left: list[float | None] = []
        self.received: list[RecognizeRequest] = []
        self._errors = list(errors)
        self._error = error
        self._header = header

    async def Recognize(  # type: ignore[override]  # noqa: N802 - a coroutine that writes by itself
        self, request_iterator: AsyncIterator[RecognizeRequest], context: Context
    ) -> None:
        await self._count(context)
        if self._header is not None:
            await context.send_initial_metadata(self._header)
            await context.write(started())
        self.received = [request async for request in request_iterator]
        if self._error is not None:
            await context.abort(self._error, "not any more")
        await context.write(finished())

    async def ListModels(self, request: ListModelsRequest, context: Context) -> ListModelsResponse:  # noqa: ARG002, N802 - gRPC's names
        await self._count(context)
        return ListModelsResponse()

    async def _count(self, context: Context) -> None:
        self.calls += 1
        self.seconds_left.append(context.time_remaining())
        if self._errors:
            await context.abort(self._errors.pop(0), "not now")


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
