"""Tasks of the echo, as tests of backends run them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry

from asrgateway_server.backends.base import Commit
from asrgateway_server.backends.start_limiter import StartLimiter
from asrgateway_server.backends.websocket import WebSocketBackend
from asrgateway_server.config import AudioFormat, RecognitionConfig, Update
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
        open: Those that have not, by number from 1.
        tasks: On which connection each task began.
        gone: Numbers of connections that it closes when a task begins there.
        tasks_each: It closes a connection after so many tasks; 0: never.
    """

    def __init__(self) -> None:
        self.opened = 0
        self.closed = asyncio.Semaphore(0)
        self.open: dict[int, web.WebSocketResponse] = {}
        self.tasks: list[int] = []
        self.gone: set[int] = set()
        self.tasks_each = 0

    async def serve(self, _: web.Request, connection: web.WebSocketResponse) -> None:
        self.opened += 1
        number = self.opened
        self.open[number] = connection
        heard_ms = tasks = 0
        async for message in connection:
            match message.data:
                case bytes() as pcm:
                    heard_ms += len(pcm) // 32
                    await connection.send_str(json.dumps({"ms": heard_ms}))
                case "begin" if number in self.gone:
                    break
                case "begin":
                    self.tasks.append(number)
                    heard_ms = 0
                    await connection.send_str('{"ready": true}')
                case "end":
                    tasks += 1
                    await connection.send_str('{"done": true}')
                    if tasks == self.tasks_each:
                        break
        await connection.close()
        del self.open[number]
        self.closed.release()


@asynccontextmanager
async def backend(handle: Handle, **settings: object) -> AsyncIterator[tuple[WebSocketBackend, Metrics]]:
    metrics = Metrics(CollectorRegistry())
    async with vendor("/echo", handle) as url:
        chosen = EchoSettings(**{"echo_url": url, "warm_connections": 0} | settings)  # type: ignore[arg-type] # validated when they are made
        async with WebSocketBackend(
            EchoAdapter, EchoRemote(chosen), chosen, metrics, StartLimiter(chosen, metrics)
        ) as opened:
            yield opened, metrics


def connections(metrics: Metrics, state: str = "in_use") -> float | None:
    return metrics.registry.get_sample_value("asrgateway_upstream_connections", {"upstream": "echo", "state": state})


def connects(metrics: Metrics, result: str) -> float | None:
    labels = {"upstream": "echo", "result": result}
    return metrics.registry.get_sample_value("asrgateway_upstream_connects_total", labels)
