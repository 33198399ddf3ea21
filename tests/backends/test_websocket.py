"""The backend on WebSockets against a small server: how connections are opened, used again, and closed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from asrgateway_server.backends.base import Commit, Completed, Failed, Lost, TaskEnd
from asrgateway_server.backends.start_limiter import StartLimiter
from asrgateway_server.backends.websocket import WebSocketBackend
from asrgateway_server.config import AudioFormat, RecognitionConfig, Update
from asrgateway_server.errors import UpstreamLost, UpstreamRefused
from asrgateway_server.events import BackendEvent, FinalResult
from asrgateway_server.metrics import Metrics
from emulated_vendor import vendor
from example_vendors.echo.adapter import EchoAdapter
from example_vendors.echo.remote import EchoRemote
from example_vendors.echo.settings import EchoSettings
from example_vendors.echo.vendor import ECHO

CONFIG = RecognitionConfig(model=ECHO, audio=AudioFormat(sample_rate_hertz=16_000))
SECOND = bytes(32_000)
Handle = Callable[[web.Request, web.WebSocketResponse], Awaitable[None]]


class Input:
    """A second of audio, and the end."""

    def __init__(self) -> None:
        self._items: list[bytes | Commit | Update] = [SECOND]

    async def next(self) -> bytes | Commit | Update | None:
        return self._items.pop() if self._items else None


class Emitted:
    """What a task found."""

    def __init__(self) -> None:
        self.events: list[BackendEvent] = []

    async def emit(self, event: BackendEvent, read_at: float) -> None:
        assert read_at > 0
        self.events.append(event)

    @property
    def finals(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, FinalResult)]


class Server:
    """The echo, which counts its connections.

    Attributes:
        opened: How many there were.
        closed: How many have ended.
        tasks_each: It closes a connection after so many tasks; 0: never.
    """

    def __init__(self) -> None:
        self.opened = 0
        self.closed = asyncio.Semaphore(0)
        self.tasks_each = 0

    async def serve(self, _: web.Request, connection: web.WebSocketResponse) -> None:
        self.opened += 1
        heard_ms = tasks = 0
        async for message in connection:
            match message.data:
                case bytes() as pcm:
                    heard_ms += len(pcm) // 32
                    await connection.send_str(json.dumps({"ms": heard_ms}))
                case "begin":
                    heard_ms = 0
                    await connection.send_str('{"ready": true}')
                case "end":
                    tasks += 1
                    await connection.send_str('{"done": true}')
                    if tasks == self.tasks_each:
                        break
        await connection.close()
        self.closed.release()


@asynccontextmanager
async def backend(handle: Handle, **settings: object) -> AsyncIterator[tuple[WebSocketBackend, Metrics]]:
    metrics = Metrics(CollectorRegistry())
    async with vendor("/echo", handle) as url:
        chosen = EchoSettings(echo_url=url, **settings)  # type: ignore[arg-type] # validated when they are made
        async with WebSocketBackend(
            EchoAdapter, EchoRemote(chosen), chosen, metrics, StartLimiter(chosen, metrics)
        ) as opened:
            yield opened, metrics


def connections(metrics: Metrics, state: str = "in_use") -> float | None:
    return metrics.registry.get_sample_value("asrgateway_upstream_connections", {"upstream": "echo", "state": state})


def connects(metrics: Metrics, result: str) -> float | None:
    labels = {"upstream": "echo", "result": result}
    return metrics.registry.get_sample_value("asrgateway_upstream_connects_total", labels)


async def test_tasks_follow_each_other_on_one_connection() -> None:
    server, emitted = Server(), Emitted()
    async with backend(server.serve) as (opened, metrics), opened.open(CONFIG) as upstream:
        for _ in range(3):
            assert isinstance(await upstream.run(CONFIG, Input(), emitted.emit), Completed)
        assert (server.opened, connections(metrics)) == (1, 1)
    assert emitted.finals == ["1000 ms"] * 3


async def test_the_connection_is_closed_with_the_call() -> None:
    server = Server()
    async with backend(server.serve) as (opened, metrics):
        async with opened.open(CONFIG) as upstream:
            await upstream.run(CONFIG, Input(), Emitted().emit)
        assert connections(metrics) == 0
        async with asyncio.timeout(60):
            await server.closed.acquire()


async def test_a_call_that_rests_keeps_no_connection() -> None:
    server, emitted = Server(), Emitted()
    async with backend(server.serve) as (opened, metrics), opened.open(CONFIG) as upstream:
        await upstream.run(CONFIG, Input(), emitted.emit)
        await upstream.rest()
        assert connections(metrics) == 0
        async with asyncio.timeout(60):
            await server.closed.acquire()
        assert isinstance(await upstream.run(CONFIG, Input(), emitted.emit), Completed)
    assert (server.opened, emitted.finals) == (2, ["1000 ms"] * 2)


async def test_a_connection_that_went_between_two_tasks_is_replaced_unseen() -> None:
    server, emitted = Server(), Emitted()
    server.tasks_each = 1
    async with backend(server.serve) as (opened, metrics), opened.open(CONFIG) as upstream:
        await upstream.run(CONFIG, Input(), emitted.emit)
        async with asyncio.timeout(60):
            await server.closed.acquire()
        assert isinstance(await upstream.run(CONFIG, Input(), emitted.emit), Completed)
        assert connections(metrics) == 1
    assert (server.opened, emitted.finals) == (2, ["1000 ms"] * 2)


async def test_a_task_that_fails_leaves_its_connection() -> None:
    async def close_at_once(_: web.Request, connection: web.WebSocketResponse) -> None:
        await connection.close(code=4000)

    async with backend(close_at_once) as (opened, metrics), opened.open(CONFIG) as upstream:
        end = await upstream.run(CONFIG, Input(), Emitted().emit)
        assert connections(metrics) == 0
    assert isinstance(end, Lost)
    assert end.error.upstream_code == "close 4000"


async def test_a_client_that_fails_takes_the_connection_with_it() -> None:
    async def fail(event: BackendEvent, read_at: float) -> None:
        raise RuntimeError(f"nobody takes {event} of {read_at}")

    server = Server()
    async with backend(server.serve) as (opened, metrics):
        with pytest.raises(RuntimeError, match="nobody takes"):
            async with opened.open(CONFIG) as upstream:
                await upstream.run(CONFIG, Input(), fail)
        assert connections(metrics) == 0


async def end_of_a_call(status: int, **settings: object) -> tuple[TaskEnd, Metrics]:
    application = web.Application()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status)

    application.router.add_get("/echo", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    metrics = Metrics(CollectorRegistry())
    chosen = EchoSettings(echo_url=f"ws://127.0.0.1:{port}", **settings)  # type: ignore[arg-type] # as above
    try:
        async with (
            WebSocketBackend(EchoAdapter, EchoRemote(chosen), chosen, metrics, StartLimiter(chosen, metrics)) as opened,
            opened.open(CONFIG) as upstream,
        ):
            return await upstream.run(CONFIG, Input(), Emitted().emit), metrics
    finally:
        await runner.cleanup()


async def test_a_refused_handshake_means_what_the_vendor_says() -> None:
    end, metrics = await end_of_a_call(403)
    assert isinstance(end, Failed)
    assert isinstance(end.error, UpstreamRefused)
    assert connects(metrics, "refused") == 1


async def test_a_handshake_refused_for_now_may_do_better_later() -> None:
    end, metrics = await end_of_a_call(503)
    assert isinstance(end, Lost)
    assert isinstance(end.error, UpstreamLost)
    assert connects(metrics, "refused") == 1


async def test_an_address_where_nobody_listens_is_a_lost_task() -> None:
    metrics = Metrics(CollectorRegistry())
    settings = EchoSettings(echo_url="ws://127.0.0.1:1")
    async with (
        WebSocketBackend(
            EchoAdapter, EchoRemote(settings), settings, metrics, StartLimiter(settings, metrics)
        ) as opened,
        opened.open(CONFIG) as upstream,
    ):
        end = await upstream.run(CONFIG, Input(), Emitted().emit)
    assert isinstance(end, Lost)
    assert connects(metrics, "lost") == 1


async def test_a_handshake_that_takes_too_long_is_a_lost_task() -> None:
    released = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await released.wait()
        writer.close()

    server = await asyncio.start_server(wait, "127.0.0.1", 0)
    metrics = Metrics(CollectorRegistry())
    port = server.sockets[0].getsockname()[1]
    settings = EchoSettings(echo_url=f"ws://127.0.0.1:{port}", upstream_ready_timeout_seconds=0.05)
    async with (
        server,
        WebSocketBackend(
            EchoAdapter, EchoRemote(settings), settings, metrics, StartLimiter(settings, metrics)
        ) as opened,
        opened.open(CONFIG) as upstream,
    ):
        end = await upstream.run(CONFIG, Input(), Emitted().emit)
        released.set()
    assert isinstance(end, Lost)
    assert connects(metrics, "timeout") == 1
