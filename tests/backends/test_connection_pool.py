"""Connections that wait for calls, on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from asrgateway_server.backends.adapter import Output
from asrgateway_server.backends.base import Completed, Lost
from asrgateway_server.backends.bounded_websocket import BoundedWebSocket
from asrgateway_server.backends.connection_pool import ConnectionPool, Opened, Place
from asrgateway_server.backends.websocket import WebSocketBackend
from asrgateway_server.errors import UpstreamLost
from asrgateway_server.metrics import Metrics
from echo_tasks import CONFIG, Emitted, Handle, Input, Server, backend, connections, connects
from emulated_vendor import vendor
from example_vendors.echo.adapter import EchoAdapter
from example_vendors.echo.remote import EchoRemote
from example_vendors.echo.settings import EchoSettings
from gateways import eventually

PLACE = Place("echo", "ws://echo/echo", "")
LONG_SECONDS = 3600.0


class Opener:
    """Opens connections ahead.

    Attributes:
        key: The fingerprint of the key that it shows.
        attempts: How many it has tried to open.
        refuses: It fails.
    """

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.key = "one"
        self.attempts = 0
        self.refuses = False
        self._url = url + "/echo"
        self._session = session

    async def __call__(self) -> Opened | None:
        self.attempts += 1
        if self.refuses:
            raise UpstreamLost("not now")
        connection = await self._session.ws_connect(self._url, autoping=False)
        assert isinstance(connection, BoundedWebSocket)
        return Opened(connection, self.key)


class Pool:
    """A pool with one place.

    Attributes:
        opener: Opens its connections.
        gauge: How many wait.
    """

    def __init__(self, pool: ConnectionPool, opener: Opener) -> None:
        self.pool = pool
        self.opener = opener
        self.metrics = Metrics(CollectorRegistry())

    async def take(self, key: str = "one") -> Opened | None:
        gauge = self.metrics.of_endpoint("echo").connections["idle"]
        return await self.pool.take(PLACE, key, self.opener, gauge)

    async def until_waiting(self, count: int) -> None:
        await eventually(lambda: connections(self.metrics, "idle") == count)


@asynccontextmanager
async def pool(
    handle: Handle, *, count: int = 1, seconds: float = LONG_SECONDS, forgotten_after_seconds: float = LONG_SECONDS
) -> AsyncIterator[Pool]:
    settings = EchoSettings(warm_connections=count, warm_connection_seconds=seconds)
    async with (
        vendor("/echo", handle) as url,
        aiohttp.ClientSession(ws_response_class=BoundedWebSocket) as session,
    ):
        made = Pool(ConnectionPool(settings, forgotten_after_seconds), Opener(url, session))
        try:
            yield made
        finally:
            await made.pool.close()
            assert connections(made.metrics, "idle") == 0


async def taken(made: Pool, key: str = "one") -> Opened:
    opened = await made.take(key)
    assert opened is not None
    return opened


async def test_a_call_that_finds_none_has_some_opened_for_those_that_follow() -> None:
    server = Server()
    async with pool(server.serve, count=3) as made:
        assert await made.take() is None
        await made.until_waiting(3)
        assert made.opener.attempts == 3


async def test_what_a_call_takes_is_replaced() -> None:
    server = Server()
    async with pool(server.serve) as made:
        await made.take()
        await made.until_waiting(1)
        first = await taken(made)
        await made.until_waiting(1)
        second = await taken(made)
        assert first.connection is not second.connection
        await first.connection.close()
        await second.connection.close()


async def test_no_two_calls_get_the_same_connection() -> None:
    server = Server()
    async with pool(server.serve, count=5) as made:
        await made.take()
        await made.until_waiting(5)
        found = [opened.connection for opened in await asyncio.gather(*(made.take() for _ in range(20))) if opened]
        assert len(found) == len(set(found)) >= 5
        await asyncio.gather(*(connection.close() for connection in found))


async def test_the_newest_is_taken_first() -> None:
    server = Server()
    async with pool(server.serve, count=2) as made:
        await made.take()
        await made.until_waiting(2)
        opened = await taken(made)
        await opened.connection.send_str("begin")
        await opened.connection.receive()
        assert server.tasks == [2]
        await opened.connection.close()


async def test_what_a_call_leaves_is_there_for_the_next() -> None:
    server = Server()
    async with pool(server.serve) as made:
        await made.take()
        await made.until_waiting(1)
        opened = await taken(made)
        await made.until_waiting(1)
        assert made.pool.give_back(PLACE, opened)
        assert await taken(made) == opened
        assert made.opener.attempts == 2
        await opened.connection.close()


async def test_calls_leave_no_more_than_twice_what_is_opened_ahead() -> None:
    server = Server()
    async with pool(server.serve) as made:
        await made.take()
        left = []
        for _ in range(3):
            await made.until_waiting(1)
            left.append(await taken(made))
        await made.until_waiting(1)
        assert [made.pool.give_back(PLACE, opened) for opened in left] == [True, False, False]
        await asyncio.gather(*(opened.connection.close() for opened in left[1:]))


async def test_one_that_has_waited_for_long_is_replaced() -> None:
    server = Server()
    async with pool(server.serve, seconds=0.05) as made:
        await made.take()
        await eventually(lambda: server.opened == 4)
        async with asyncio.timeout(60):
            for _ in range(3):
                await server.closed.acquire()


async def test_a_place_where_no_call_comes_any_more_is_emptied() -> None:
    server = Server()
    async with pool(server.serve, seconds=0.05, forgotten_after_seconds=0.0) as made:
        await made.take()
        async with asyncio.timeout(60):
            await server.closed.acquire()
        await made.until_waiting(0)
        assert made.opener.attempts == 1


async def test_one_that_the_vendor_closes_is_noticed_and_replaced_when_the_next_call_asks() -> None:
    server = Server()
    async with pool(server.serve) as made:
        await made.take()
        await made.until_waiting(1)
        await server.open[1].close()
        await made.until_waiting(0)
        assert made.opener.attempts == 1
        assert await made.take() is None
        await made.until_waiting(1)
        assert made.opener.attempts == 2


async def test_one_that_the_vendor_resets_is_noticed_too() -> None:
    async def reset(request: web.Request, _: web.WebSocketResponse) -> None:
        assert request.transport
        request.transport.abort()

    async with pool(reset) as made:
        await made.take()
        await eventually(lambda: made.opener.attempts == 1)
        await made.until_waiting(0)


async def test_a_ping_is_answered_while_nobody_uses_the_connection() -> None:
    async def ping(_: web.Request, connection: web.WebSocketResponse) -> None:
        setattr(connection, "_autoping", False)  # noqa: B010 so that pongs show
        await connection.ping(b"here?")
        answers.append((await connection.receive()).type)
        await connection.receive()

    answers: list[aiohttp.WSMsgType] = []
    async with pool(ping) as made:
        await made.take()
        await eventually(lambda: answers == [aiohttp.WSMsgType.PONG])


async def test_what_the_vendor_says_first_is_read_by_the_call() -> None:
    async def greet(_: web.Request, connection: web.WebSocketResponse) -> None:
        await connection.send_str("welcome")
        async for message in connection:
            await connection.send_str(f"not {message.data}")

    async with pool(greet) as made:
        await made.take()
        await made.until_waiting(1)
        opened = await taken(made)
        await opened.connection.send_str("goodbye")
        assert [(await opened.connection.receive()).data for _ in range(2)] == ["welcome", "not goodbye"]
        await opened.connection.close()


async def test_a_vendor_that_says_more_than_a_greeting_is_left() -> None:
    async def chatter(_: web.Request, connection: web.WebSocketResponse) -> None:
        for _number in range(100):
            await connection.send_str("and another thing")
        await connection.receive()

    async with pool(chatter) as made:
        await made.take()
        await eventually(lambda: made.opener.attempts == 1)
        await made.until_waiting(0)


async def test_one_that_was_taken_is_closed_in_order() -> None:
    codes = []

    async def wait(_: web.Request, connection: web.WebSocketResponse) -> None:
        await connection.receive()
        codes.append(connection.close_code)

    async with pool(wait) as made:
        await made.take()
        await made.until_waiting(1)
        opened = await taken(made)
        assert await opened.connection.close()
        assert opened.connection.close_code == 1000
        await eventually(lambda: codes == [1000])


async def test_another_key_empties_the_place() -> None:
    server = Server()
    async with pool(server.serve) as made:
        await made.take()
        await made.until_waiting(1)
        made.opener.key = "two"
        assert await made.take("two") is None
        async with asyncio.timeout(60):
            await server.closed.acquire()
        await made.until_waiting(1)
        opened = await taken(made, "two")
        assert opened.key == "two"
        await opened.connection.close()


async def test_one_of_an_old_key_is_not_kept() -> None:
    server = Server()
    async with pool(server.serve) as made:
        await made.take()
        await made.until_waiting(1)
        opened = await taken(made)
        await made.take("two")
        assert not made.pool.give_back(PLACE, opened)
        await opened.connection.close()


async def test_a_vendor_that_refuses_is_left_alone_for_a_while() -> None:
    server = Server()
    async with pool(server.serve, count=5) as made:
        made.opener.refuses = True
        for _ in range(20):
            assert await made.take() is None
            await asyncio.sleep(0)
        await eventually(lambda: made.opener.attempts > 0)
        assert made.opener.attempts == 1


async def test_a_call_that_is_cancelled_while_it_takes_one_leaves_none_open() -> None:
    server = Server()
    async with pool(server.serve) as made:
        await made.take()
        await made.until_waiting(1)
        taking = asyncio.create_task(made.take())
        await asyncio.sleep(0)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        async with asyncio.timeout(60):
            await server.closed.acquire()


async def test_nothing_is_open_in_the_end_and_nothing_is_opened_any_more() -> None:
    server = Server()
    async with pool(server.serve, count=3) as made:
        await made.take()
        await made.until_waiting(3)
        opened = await taken(made)
        await made.pool.close()
        assert not made.pool.give_back(PLACE, opened)
        assert await made.take() is None
        await opened.connection.close()
        await eventually(lambda: not server.open)
        assert made.opener.attempts <= 4


async def test_the_end_does_not_wait_for_one_that_is_being_opened() -> None:
    async def hang() -> Opened | None:
        await asyncio.Event().wait()
        raise AssertionError

    async with pool(Server().serve) as made:
        await made.pool.take(PLACE, "one", hang, made.metrics.of_endpoint("echo").connections["idle"])
        await asyncio.sleep(0)


# In a backend ---------------------------------------------------------------------------------------------------

WARM = {"warm_connections": 1}


async def call(opened: WebSocketBackend) -> Emitted:
    emitted = Emitted()
    async with opened.open(CONFIG) as upstream:
        assert isinstance(await upstream.run(CONFIG, Input(), emitted.emit), Completed)
    return emitted


def reuses(metrics: Metrics) -> dict[str, float | None]:
    value = metrics.registry.get_sample_value
    return {
        result: value("asrgateway_upstream_connection_reuse_total", {"upstream": "echo", "result": result})
        for result in ("warm", "cold", "dead")
    }


async def warmed(opened: WebSocketBackend, metrics: Metrics) -> None:
    """Make a first call, after which one connection waits beside that of the call."""
    async with opened.open(CONFIG) as upstream:
        await upstream.run(CONFIG, Input(), Emitted().emit)
        await eventually(lambda: connections(metrics, "idle") == 1)
    assert connections(metrics, "idle") == 2


async def test_a_task_on_a_warm_connection_needs_no_handshake() -> None:
    server = Server()
    async with backend(server.serve, **WARM) as (opened, metrics):
        await warmed(opened, metrics)
        assert [(await call(opened)).finals for _ in range(5)] == [["1000 ms"]] * 5
        assert (server.opened, connects(metrics, "ok")) == (2, 2)
        assert reuses(metrics) == {"warm": 5, "cold": 1, "dead": 0}
    await eventually(lambda: not server.open)


async def test_a_warm_connection_that_is_gone_when_a_task_begins_is_replaced_unseen() -> None:
    server = Server()
    async with backend(server.serve, **WARM) as (opened, metrics):
        await warmed(opened, metrics)
        server.gone = {1, 2}
        assert (await call(opened)).finals == ["1000 ms"]
        assert server.tasks[1] > 2
        assert reuses(metrics) == {"warm": 1, "cold": 1, "dead": 1}
        await until_closed(server, {1, 2})


async def until_closed(server: Server, numbers: set[int]) -> None:
    await eventually(lambda: not numbers & server.open.keys())


async def test_a_greeting_of_one_that_is_gone_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    class Greeting(Server):
        async def serve(self, request: web.Request, connection: web.WebSocketResponse) -> None:
            await connection.send_str("welcome")
            await super().serve(request, connection)

    def ignore_greeting(adapter: EchoAdapter, message: str) -> Sequence[Output]:
        return [] if message == "welcome" else receive(adapter, message)

    receive = EchoAdapter.receive
    monkeypatch.setattr(EchoAdapter, "receive", ignore_greeting)
    monkeypatch.setattr(EchoAdapter, "keeps_connection", False)
    server = Greeting()
    async with backend(server.serve, **WARM) as (opened, metrics):
        await call(opened)
        await eventually(lambda: connections(metrics, "idle") == 1)
        server.gone = {2}
        assert (await call(opened)).finals == ["1000 ms"]
        assert server.tasks[1] > 2


async def test_a_callers_own_key_gets_no_warm_connection_and_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    async with backend(server.serve, **WARM) as (opened, metrics):
        await warmed(opened, metrics)
        monkeypatch.setattr(EchoRemote, "is_callers", True)
        for _ in range(2):
            await call(opened)
        assert server.tasks == [1, 3, 4]
        assert connections(metrics, "idle") == 2
        await until_closed(server, {3, 4})


async def test_a_key_that_was_replaced_opens_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async def other(_: EchoRemote, instead_of: str = "") -> str:
        return f"other than {instead_of}"

    server = Server()
    async with backend(server.serve, **WARM) as (opened, metrics):
        await warmed(opened, metrics)
        monkeypatch.setattr(EchoRemote, "key", other)
        await call(opened)
        assert server.tasks[1] > 2
        await until_closed(server, {1, 2})


async def test_a_call_that_is_cancelled_while_it_connects_leaves_nothing() -> None:
    is_asked = asyncio.Event()
    may_answer = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_asked.set()
        await reader.read(-1)  # Until the client has closed.
        writer.close()
        may_answer.set()

    listener = await asyncio.start_server(wait, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, backend(Server().serve, echo_url=f"ws://127.0.0.1:{port}", **WARM) as (opened, metrics):
        calling = asyncio.create_task(call(opened))
        async with asyncio.timeout(60):
            await is_asked.wait()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert connections(metrics, "in_use") == 0
    assert connections(metrics, "connecting") == 0
    async with asyncio.timeout(60):
        await may_answer.wait()


async def test_opening_one_ahead_takes_no_turn_that_a_call_waits_for() -> None:
    server = Server()
    limits = {"max_task_starts_per_second": 0.01, "max_task_start_wait_seconds": 0}
    async with backend(server.serve, **WARM, **limits) as (opened, metrics), opened.open(CONFIG) as upstream:
        assert isinstance(await upstream.run(CONFIG, Input(), Emitted().emit), Completed)
        assert isinstance(await upstream.run(CONFIG, Input(), Emitted().emit), Lost)
        assert server.opened == 1
        assert connections(metrics, "idle") == 0
