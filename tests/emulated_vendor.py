"""A gateway and its vendor: the emulator, or a server that does what the emulator cannot."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

import messages
from asrgateway_server.lifecycle import Gateway
from asrgateway_server.vendors.dashscope.adapters.run_task import PATH
from calls import Stub
from dashscope_emulator import Emulator, EmulatorOptions, running_emulator
from gateways import open_gateway


@asynccontextmanager
async def vendor_and_gateway(
    *, emulator: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[tuple[Emulator, Gateway, Stub]]:
    """An emulator, of marked audio by default, and a gateway that sends a backlog at once."""
    options = EmulatorOptions(**{"recognizer": "markers"} | (emulator or {}))
    values = {"dashscope_api_key": "sk-test", "embedded_workers": 0, "backlog_speed": 1000.0}
    values |= {
        "upstream_stall_timeout_seconds": 60.0
    } | settings  # On a busy machine the emulator needs longer than 8 s.
    async with running_emulator(options) as vendor, open_gateway(dashscope_url=vendor.url, **values) as (gateway, stub):
        yield vendor, gateway, stub


#: The SDK leaves its event loop and its socket to the garbage collector.
on_either_transport = pytest.mark.parametrize(
    "transport",
    [
        "websocket",
        pytest.param(
            "official_sdk",
            marks=[
                pytest.mark.filterwarnings("ignore::ResourceWarning"),
                pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
            ],
        ),
    ],
)


def reaching(url: str, transport: str) -> dict[str, Any]:
    """Settings of a gateway that reaches a vendor there."""
    transports = {"paraformer": transport, "qwen3_asr": transport}
    return {"dashscope_url": url, "dashscope_api_key": "k", "embedded_workers": 0, "transports": transports}


Handle = Callable[[web.Request, web.WebSocketResponse], Awaitable[None]]


@asynccontextmanager
async def task_vendor(handle: Handle) -> AsyncIterator[str]:
    """A vendor that starts each task and then runs ``handle``; its kernel buffers next to nothing."""

    async def begin(request: web.Request, connection: web.WebSocketResponse) -> None:
        run_task = await connection.receive_json()
        _set_task_id(connection, run_task["header"]["task_id"])
        await connection.send_str(messages.started())
        await handle(request, connection)

    async with vendor(PATH, begin) as url:
        yield url


def _set_task_id(connection: web.WebSocketResponse, task_id: str) -> None:
    """Put this task id into every message that the connection sends."""
    send_str = connection.send_str

    async def send_with_id(data: str, compress: int | None = None) -> None:
        await send_str(data.replace(messages.TASK, task_id), compress)

    setattr(connection, "send_str", send_with_id)  # noqa: B010 no type has it


@asynccontextmanager
async def vendor(path: str, handle: Handle) -> AsyncIterator[str]:
    """A server that runs ``handle`` for each connection; its kernel buffers next to nothing."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        connection = web.WebSocketResponse()
        await connection.prepare(request)
        await handle(request, connection)
        return connection

    application = web.Application()
    application.router.add_get(path, serve)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await web.SockSite(runner, listener).start()
    try:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        await runner.cleanup()
