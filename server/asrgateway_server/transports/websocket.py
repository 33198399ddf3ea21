"""over_websocket(adapter): a Backend on a WebSocket connection for each call."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Protocol, Self

import aiohttp

from asrgateway_server.adapters.base import Output, Send, WebSocketAdapter
from asrgateway_server.adapters.dashscope_errors import code_family, for_callers_key
from asrgateway_server.audio.chunk import PcmChunk
from asrgateway_server.config import RecognitionConfig, Update
from asrgateway_server.errors import (
    ClientStalled,
    GatewayError,
    Overloaded,
    UpstreamLost,
    UpstreamProtocolError,
    UpstreamRefused,
    first_error,
)
from asrgateway_server.events import Finished
from asrgateway_server.metrics import CALLERS_KEY, EndpointMetrics, Metrics
from asrgateway_server.settings import Settings
from asrgateway_server.transports.base import Commit, Emit, ItemSource, OpenBackend
from asrgateway_server.transports.credentials import Access, Keyring
from asrgateway_server.transports.network import no_redirects, proxy_for, tls

MakeAdapter = Callable[[RecognitionConfig, Callable[[], str]], WebSocketAdapter]

# A ping every 20 s, and half as long for its pong.
_PING_INTERVAL_SECONDS: Final = 20.0
# The longest result seen is some 20 KB; what is longer is no result.
_MAX_MESSAGE_BYTES: Final = 1 << 20
# What an upstream does not read must slow the client soon: a quarter of a second of audio may wait in the kernel
# unsent. What is on its way does not count, so that a long round trip slows nobody. Linux: tcp(7), TCP_NOTSENT_LOWAT.
UNSENT_BYTES: Final = 8 * 1024
TCP_NOTSENT_LOWAT: Final = 25
_CLOSE_SECONDS: Final = 1.0
_MODEL_NOT_FOUND: Final = 1007


def over_websocket(make_adapter: MakeAdapter) -> OpenBackend:
    """Return what opens a backend whose every call has an adapter and a connection of its own."""

    def open_backend(settings: Settings, keyring: Keyring, metrics: Metrics) -> WebSocketBackend:
        return WebSocketBackend(make_adapter, settings, keyring, metrics)

    return open_backend


class WebSocketBackend:
    """Opens a connection for each call; see ``Backend``."""

    def __init__(self, make_adapter: MakeAdapter, settings: Settings, keyring: Keyring, metrics: Metrics) -> None:
        self._make_adapter = make_adapter
        self._keyring = keyring
        self._ca_file = settings.upstream_ca_file
        self._ready_timeout_seconds = settings.upstream_ready_timeout_seconds
        self._stall_timeout_seconds = settings.upstream_stall_timeout_seconds
        self._metrics = metrics
        for name in keyring.endpoints:
            metrics.of_endpoint(name)  # So that their series begin with the process.
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Prepare what all connections share.

        Raises:
            SettingsError: The CA file cannot be read.
        """
        connector = aiohttp.TCPConnector(limit=0, socket_factory=_eager_socket, ssl=tls(self._ca_file))
        self._session = aiohttp.ClientSession(
            connector=connector,
            ws_response_class=BoundedWebSocket,
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[no_redirects()],
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what all connections share."""
        if self._session:
            await self._session.close()

    async def converse(self, config: RecognitionConfig, next_item: ItemSource, emit: Emit) -> None:
        """Run one connection; see ``Backend``."""
        adapter = self._make_adapter(in_vendors_words(config), lambda: uuid.uuid4().hex)
        access = self._keyring.access(config)
        metrics = self._metrics.of_endpoint(access.endpoint)
        try:
            connection = await self._open(access, adapter.path, metrics)
            with metrics.connections["in_use"].track_inprogress():
                try:
                    conversation = Conversation(connection, adapter, next_item, emit)
                    await conversation.run(self._ready_timeout_seconds, self._stall_timeout_seconds)
                finally:
                    await connection.close()
        except ClientStalled:
            raise
        except GatewayError as error:
            meant = for_callers_key(error) if access.is_callers else error
            metrics.failed(code_family(error.upstream_code) if meant is error else CALLERS_KEY)
            if meant is not error:
                raise meant from None
            raise

    async def _open(self, access: Access, path: str, metrics: EndpointMetrics) -> aiohttp.ClientWebSocketResponse:
        began = time.monotonic()
        try:
            with metrics.connections["connecting"].track_inprogress():
                async with asyncio.timeout(self._ready_timeout_seconds):
                    connection = await self._connect(access, path)
        except TimeoutError:
            metrics.connects["timeout"].inc()
            raise UpstreamLost(f"the vendor did not answer within {self._ready_timeout_seconds:g} s") from None
        except GatewayError as error:
            metrics.connects[_connect_result(error, access)].inc()
            raise
        metrics.connects["ok"].inc()
        metrics.connect_duration.observe(time.monotonic() - began)
        return connection

    async def _connect(self, access: Access, path: str) -> aiohttp.ClientWebSocketResponse:
        """Open a connection; once more if the vendor rejects the key, and there is another one by now."""
        key = await access.credential.key()
        try:
            return await self._shake_hands(access, key, path)
        except UpstreamRefused:
            other = await access.credential.key(instead_of=key)
            if other == key:
                raise
            return await self._shake_hands(access, other, path)

    async def _shake_hands(self, access: Access, key: str, path: str) -> aiohttp.ClientWebSocketResponse:
        if self._session is None:
            raise RuntimeError("the backend is not open")
        url = access.url + path
        try:
            return await self._session.ws_connect(
                url,
                headers=access.headers(key),
                heartbeat=_PING_INTERVAL_SECONDS,
                max_msg_size=_MAX_MESSAGE_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
                proxy=proxy_for(url),
            )
        except aiohttp.WSServerHandshakeError as error:
            # Its cause is left out: it holds the headers of the request, and with them the key.
            raise refusal(error.status) from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamLost("the vendor cannot be reached") from error


def in_vendors_words(config: RecognitionConfig) -> RecognitionConfig:
    """Return what an adapter is told: the model under the vendor's name, and no key."""
    return replace(config, model=replace(config.model, name=config.model.upstream_name), caller_key=None)


class BoundedWebSocket(aiohttp.ClientWebSocketResponse):
    """A connection whose ``send_*`` waits until the kernel has taken the message.

    The library's own waits only after each 64 KB, and its transport keeps as much again: four seconds of audio.
    """

    def __init__(self, reader: Any, writer: Any, *arguments: Any, **options: Any) -> None:  # Any: the library's own
        writer._limit = 0  # noqa: SLF001 the library has no public way to set it
        writer.transport.set_write_buffer_limits(high=1, low=0)
        super().__init__(reader, writer, *arguments, **options)


class Connection(Protocol):
    """What carries the messages of one adapter: a WebSocket, or what stands in for one."""

    @property
    def close_code(self) -> int | None:
        """How it was closed."""

    async def send_str(self, data: str, /) -> None:
        """Send a text message; raise an OSError when the connection is gone."""

    async def send_bytes(self, data: bytes, /) -> None:
        """Send a binary message, likewise."""

    async def receive(self) -> aiohttp.WSMessage:
        """Return the next message, or how the connection ended; may also raise the error that it ended with."""


class Conversation:
    """One connection, from ``start`` to ``Finished``."""

    def __init__(
        self,
        connection: Connection,
        adapter: WebSocketAdapter,
        next_item: ItemSource,
        emit: Emit,
    ) -> None:
        self._connection = connection
        self._adapter = adapter
        self._next_item = next_item
        self._emit = emit
        self._ready = asyncio.Event()
        self._finished = asyncio.Event()
        self._is_client_slow = False

    async def run(self, ready_timeout_seconds: float, stall_timeout_seconds: float) -> None:
        """Carry audio there and events back; raise a GatewayError if the connection ends sooner."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._speak(ready_timeout_seconds, stall_timeout_seconds), name="speak")
                tasks.create_task(self._listen(), name="listen")
        except BaseExceptionGroup as group:
            raise first_error(group) from group

    async def _speak(self, ready_timeout_seconds: float, stall_timeout_seconds: float) -> None:
        await self._carry_out(self._adapter.start(), time.monotonic())
        await self._patiently(self._ready.wait, ready_timeout_seconds, "did not start the task")
        while (item := await self._next_item()) is not None:
            match item:
                case PcmChunk():
                    await self._send(self._adapter.audio(item.pcm))
                case Commit():
                    await self._carry_out(self._adapter.commit(), time.monotonic())
                case Update():
                    await self._carry_out(self._adapter.update(item.adaptation), time.monotonic())
            if not self._adapter.is_ready:
                self._ready.clear()
                await self._patiently(self._ready.wait, stall_timeout_seconds, "did not answer a commit")
        await self._carry_out(self._adapter.finish(), time.monotonic())
        await self._patiently(self._finished.wait, stall_timeout_seconds, "did not finish the task")

    async def _listen(self) -> None:
        while not self._finished.is_set():
            message = await self._connection.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise self._ending(message)
            await self._carry_out(self._adapter.receive(message.data), time.monotonic())

    async def _carry_out(self, outputs: Sequence[Output], read_at: float) -> None:
        for output in outputs:
            if isinstance(output, Send):
                await self._send(output.message)
                continue
            self._is_client_slow = True
            await self._emit(output, read_at)
            self._is_client_slow = False
            if isinstance(output, Finished):
                self._finished.set()
        if self._adapter.is_ready:
            self._ready.set()

    async def _send(self, message: str | bytes) -> None:
        try:
            if isinstance(message, bytes):
                await self._connection.send_bytes(message)
            else:
                await self._connection.send_str(message)
        except (aiohttp.ClientError, OSError) as error:
            # Why the connection ended stands in what it still holds, which `listen` reads.
            await self._patiently(asyncio.Event().wait, _CLOSE_SECONDS, "closed the connection")
            raise UpstreamLost("the vendor closed the connection") from error

    async def _patiently(self, wait: Callable[[], Awaitable[object]], seconds: float, what: str) -> None:
        """Wait for the vendor; raise UpstreamLost when it takes too long, which it does not while the client reads."""
        while True:
            try:
                async with asyncio.timeout(seconds):
                    await wait()
                    return
            except TimeoutError:
                if not self._is_client_slow:
                    raise UpstreamLost(f"the vendor {what} within {seconds:g} s") from None

    def _ending(self, message: aiohttp.WSMessage) -> GatewayError:
        match message.type:
            case aiohttp.WSMsgType.BINARY:
                return UpstreamProtocolError("the vendor sent a binary message, where its dialect has text only")
            case aiohttp.WSMsgType.ERROR if isinstance(message.data, aiohttp.WebSocketError):
                return UpstreamProtocolError(f"the vendor broke the WebSocket protocol: {message.data.code}")
        code = self._connection.close_code
        if code == _MODEL_NOT_FOUND:
            return UpstreamRefused("the vendor does not know the model", upstream_code=f"close {code}")
        return UpstreamLost("the vendor closed the connection too soon", upstream_code=f"close {code}" if code else "")


def _connect_result(error: GatewayError, access: Access) -> str:
    if access.is_callers and for_callers_key(error) is not error:
        return CALLERS_KEY
    if isinstance(error, Overloaded):
        return "throttled"
    return "refused" if error.upstream_code else "lost"


def refusal(status: int) -> GatewayError:
    """Return what a handshake's HTTP status means."""
    code = f"HTTP {status}"
    match status:
        case 401 | 403:
            return UpstreamRefused(
                "the vendor rejected the gateway's key or its right to the workspace; its operator must look at it",
                upstream_code=code,
            )
        case _ if 300 <= status < 400:
            return UpstreamRefused(
                "the vendor sends the gateway to another address, which it does not follow; its operator must look at "
                "the url",
                upstream_code=code,
            )
        case 429:
            return Overloaded(
                "the vendor limits the rate of new connections; try again later",
                retry_after_seconds=5.0,
                upstream_code=code,
            )
        case _:
            return UpstreamLost(f"the vendor refused the connection with HTTP status {status}", upstream_code=code)


def _eager_socket(address: Any) -> socket.socket:  # Any: the library's alias of what getaddrinfo returns
    family, kind, protocol, _, _ = address
    connection = socket.socket(family=family, type=kind, proto=protocol)
    if sys.platform == "linux":
        connection.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    return connection
