"""The backend on WebSockets against a small server: how connections are opened, used again, and closed."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from asrgateway_server.backends.base import Completed, Failed, Lost, TaskEnd
from asrgateway_server.backends.start_limiter import StartLimiter
from asrgateway_server.backends.websocket import WebSocketBackend
from asrgateway_server.errors import UpstreamLost, UpstreamRefused
from asrgateway_server.events import BackendEvent
from asrgateway_server.metrics import Metrics
from echo_tasks import CONFIG, Emitted, Input, Server, backend, connections, connects
from example_vendors.echo.adapter import EchoAdapter
from example_vendors.echo.remote import EchoRemote
from example_vendors.echo.settings import EchoSettings


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
