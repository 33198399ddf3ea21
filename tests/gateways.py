"""Gateways to call, inside the test's own process."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc

from all_settings import Settings
from asrgateway.v1 import recognition_pb2_grpc as pb_grpc
from asrgateway_server.lifecycle import Gateway, running_gateway, serve
from asrgateway_server.vendors.registry import VENDORS
from calls import Stub


@asynccontextmanager
async def open_gateway(**settings: object) -> AsyncIterator[tuple[Gateway, Stub]]:
    """Run a gateway on free ports, and a client connected to it.

    Unless the settings say otherwise it has one worker, and the first failure of the upstream ends a call.
    """
    async with running_gateway(_settings(settings), VENDORS) as gateway, _connected(gateway) as stub:
        yield gateway, stub


@asynccontextmanager
async def signalled_gateway(**settings: object) -> AsyncIterator[tuple[Gateway, Stub, asyncio.Task[None]]]:
    """Run such a gateway, which signals to this process stop, and a client; the task ends when it has stopped."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[Gateway] = loop.create_future()
    collector = gc.get_threshold()
    serving = asyncio.create_task(serve(_settings(settings), VENDORS, lambda _, gateway: ready.set_result(gateway)))
    try:
        either: set[asyncio.Future[None] | asyncio.Future[Gateway]] = {serving, ready}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        gateway = ready.result() if ready.done() else await _failed(serving)
        async with _connected(gateway) as stub:
            yield gateway, stub, serving
        gateway.drain.stop_waiting()
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        gc.set_threshold(*collector)
        gc.unfreeze()


async def _failed(serving: asyncio.Task[None]) -> Gateway:
    await serving
    raise AssertionError("it stopped before it was ready")


@asynccontextmanager
async def _connected(gateway: Gateway) -> AsyncIterator[Stub]:
    async with grpc.aio.insecure_channel(str(gateway.address)) as channel:
        yield pb_grpc.SpeechRecognitionServiceStub(channel)


def _settings(chosen: dict[str, object]) -> Settings:
    anywhere = {"listen": "127.0.0.1:0", "health_listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0"}
    # A busy machine may let a recogniser wait for longer than an operator would.
    patience = {"upstream_ready_timeout_seconds": 60, "upstream_stall_timeout_seconds": 60}
    # Tests start more tasks at once than the vendor allows, and count connections.
    plain = {"max_task_starts_per_second": 0, "warm_connections": 0}
    brief = {"embedded_workers": 1, "drain_seconds": 0.2, "drain_finalize_seconds": 0.5, "max_upstream_failures": 0}
    return Settings(**anywhere | patience | plain | brief | chosen)  # type: ignore[arg-type] # validated when it is made


async def eventually(condition: Callable[[], bool], *, within_seconds: float = 60.0) -> None:
    """Return as soon as ``condition`` holds; raise TimeoutError if it does not in time."""
    async with asyncio.timeout(within_seconds):
        while not condition():  # noqa: ASYNC110 what is awaited happens in the gateway, which signals nobody
            await asyncio.sleep(0.005)
