"""over_websocket(adapter): a Backend on a WebSocket connection for each call."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final, Protocol, Self, cast

import aiohttp

from asrgateway_server.audio.chunk import PcmChunk
from asrgateway_server.backends.adapter import Output, Reopen, Send, WebSocketAdapter
from asrgateway_server.backends.base import Commit, Emit, ItemSource, OpenBackend
from asrgateway_server.backends.network import no_redirects, proxy_for, tls
from asrgateway_server.backends.unanswered_speech import UnansweredSpeech
from asrgateway_server.config import ManualEndpointing, RecognitionConfig, Update
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
from asrgateway_server.vendors.dashscope.credentials import Access, Keyring
from asrgateway_server.vendors.dashscope.error_codes import code_family, for_callers_key

MakeAdapter = Callable[[RecognitionConfig, Callable[[], str]], WebSocketAdapter]

# The longest result seen is some 20 KB; what is longer is no result.
_MAX_MESSAGE_BYTES: Final = 1 << 20
# What an upstream does not read must slow the client soon: a quarter of a second of audio may wait in the kernel
# unsent. What is on its way does not count, so that a long round trip slows nobody. Linux: tcp(7), TCP_NOTSENT_LOWAT.
UNSENT_BYTES: Final = 8 * 1024
TCP_NOTSENT_LOWAT: Final = 25
_CLOSE_SECONDS: Final = 1.0
#: What ``send_*`` raises when the connection is gone.
GONE: Final = (aiohttp.ClientError, OSError)
# How often the waits that nothing else ends are looked at.
_WATCH_SECONDS: Final = 1.0
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
        self._timeouts = timeouts_of(settings)
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
        adapter = self._make_adapter(with_upstream_name(config), lambda: uuid.uuid4().hex)
        access = self._keyring.access(config)
        metrics = self._metrics.of_endpoint(access.endpoint)
        try:
            connections = _Connections(lambda: self._open(access, adapter.path, metrics))
            connection = await connections.open()
            with metrics.connections["in_use"].track_inprogress():
                try:
                    rate_hertz = answered_rate_hertz(config)
                    conversation = Conversation(
                        connection, connections.open, adapter, next_item, emit, self._timeouts, rate_hertz
                    )
                    await conversation.run()
                except BaseException:
                    await connections.leave()
                    raise
                await connections.close()
        except ClientStalled:
            raise
        except GatewayError as error:
            meant = for_callers_key(error) if access.is_callers else error
            metrics.failed(code_family(error.upstream_code) if meant is error else CALLERS_KEY)
            if meant is not error:
                raise meant from None
            raise

    async def _open(self, access: Access, path: str, metrics: EndpointMetrics) -> BoundedWebSocket:
        began = time.monotonic()
        try:
            with metrics.connections["connecting"].track_inprogress():
                async with asyncio.timeout(self._timeouts.ready_seconds):
                    connection = await self._connect(access, path)
        except TimeoutError:
            metrics.connects["timeout"].inc()
            raise UpstreamLost(f"the vendor did not answer within {self._timeouts.ready_seconds:g} s") from None
        except GatewayError as error:
            metrics.connects[_connect_result(error, access)].inc()
            raise
        metrics.connects["ok"].inc()
        metrics.connect_duration.observe(time.monotonic() - began)
        return connection

    async def _connect(self, access: Access, path: str) -> BoundedWebSocket:
        """Open a connection; once more if the vendor rejects the key, and there is another one by now."""
        key = await access.credential.key()
        try:
            return await self._handshake(access, key, path)
        except UpstreamRefused:
            other = await access.credential.key(instead_of=key)
            if other == key:
                raise
            return await self._handshake(access, other, path)

    async def _handshake(self, access: Access, key: str, path: str) -> BoundedWebSocket:
        if self._session is None:
            raise RuntimeError("the backend is not open")
        url = access.url + path
        try:
            connection = await self._session.ws_connect(
                url,
                headers=access.headers(key),
                autoping=False,  # So that ``receive`` shows pongs.
                max_msg_size=_MAX_MESSAGE_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
                proxy=proxy_for(url),
            )
            return cast("BoundedWebSocket", connection)  # The session makes no others.
        except aiohttp.WSServerHandshakeError as error:
            # Its cause is left out: it holds the headers of the request, and with them the key.
            raise refusal(error.status) from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamLost("the vendor cannot be reached") from error


def with_upstream_name(config: RecognitionConfig) -> RecognitionConfig:
    """Return what an adapter is told: the model under the vendor's name, and no key."""
    return replace(config, model=replace(config.model, name=config.model.upstream_name), vendor_metadata={})


class BoundedWebSocket(aiohttp.ClientWebSocketResponse):
    """A connection whose ``send_*`` waits until the kernel has taken the message, and whose end is bounded.

    The library's own waits only after each 64 KB, and its transport keeps as much again: four seconds of audio. All of
    its writers wait for one future, so that one which is cancelled there takes the close frame with it; and it waits
    for ever to send that to a peer that does not read.
    """

    _flow: Any  # Any: the library's own
    _transport: asyncio.Transport

    def __init__(self, reader: Any, writer: Any, *arguments: Any, **options: Any) -> None:  # Any: the library's own
        super().__init__(reader, writer, *arguments, **options)
        self._bound()

    @classmethod
    def adopt(cls, connection: aiohttp.ClientWebSocketResponse) -> None:
        """Make one of a connection that somebody else has opened."""
        connection.__class__ = cls
        cast("BoundedWebSocket", connection)._bound()  # noqa: SLF001 it is one by now

    def _bound(self) -> None:
        writer: Any = self._writer
        self._flow = writer.protocol
        self._transport = writer.transport
        writer._limit = sys.maxsize  # noqa: SLF001 the library has no public way to set it
        self._transport.set_write_buffer_limits(high=1, low=0)

    async def send_str(self, data: str, compress: int | None = None) -> None:
        """Send a text message; wait until it is taken."""
        await super().send_str(data, compress)
        if self._flow.writing_paused:
            await self._until_taken()

    async def send_bytes(self, data: bytes, compress: int | None = None) -> None:
        """Send a binary message, likewise."""
        await super().send_bytes(data, compress)
        if self._flow.writing_paused:
            await self._until_taken()

    async def receive(self, timeout: float | None = None) -> aiohttp.WSMessage:  # noqa: ASYNC109 the library's own
        """Return the next message; a ping is answered too."""
        message = await super().receive(timeout)
        if message.type is aiohttp.WSMsgType.PING:
            with contextlib.suppress(*GONE):  # What follows tells.
                await self.pong(message.data)
        return message

    async def close(self, *, code: int = aiohttp.WSCloseCode.OK, message: bytes = b"") -> bool:
        """Close in order if the peer takes part in it for a second; cut what it does not take."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                return await super().close(code=code, message=message)
        except TimeoutError:
            return True
        finally:
            if _has_unwritten_bytes(self._transport):
                self._transport.abort()

    async def is_pinged(self) -> bool:
        """See ``Connection``."""
        await self.ping()
        return True

    async def leave(self) -> None:
        """Close without waiting for an answer."""
        if self._close_code is None:  # With one, the library takes the peer to have closed.
            self._close_code = aiohttp.WSCloseCode.GOING_AWAY
        await self.close(code=aiohttp.WSCloseCode.GOING_AWAY)

    async def _until_taken(self) -> None:
        flow = self._flow
        if flow.connected:
            if flow._drain_waiter is None:  # noqa: SLF001 see the class
                flow._drain_waiter = asyncio.get_running_loop().create_future()  # noqa: SLF001
                flow._drain_waiter.add_done_callback(_retrieve_error)  # noqa: SLF001
            await asyncio.shield(flow._drain_waiter)  # noqa: SLF001


def _has_unwritten_bytes(transport: asyncio.Transport) -> bool:
    """Say whether closing the transport would wait for a peer that takes nothing."""
    try:
        return transport.get_write_buffer_size() > 0
    except AttributeError:  # asyncio's TLS transport drops its protocol when it is closed twice; nothing is left then.
        return False


def _retrieve_error(future: asyncio.Future[None]) -> None:
    """See that nobody is warned of an error for which nobody waited any more."""
    if not future.cancelled():
        future.exception()


class Connection(Protocol):
    """What carries the messages of one adapter: a WebSocket, or what stands in for one."""

    @property
    def close_code(self) -> int | None:
        """How it was closed."""

    async def send_str(self, data: str, /) -> None:
        """Send a text message; raise one of ``GONE`` when the connection is gone."""

    async def send_bytes(self, data: bytes, /) -> None:
        """Send a binary message, likewise."""

    async def is_pinged(self) -> bool:
        """Ask for a pong, likewise; return False if none will show, because the library below asks by itself."""

    async def receive(self) -> aiohttp.WSMessage:
        """Return the next message or pong, or how the connection ended; may also raise the error that it ended with."""


class _Connections:
    """The connections of one call, one after the other."""

    def __init__(self, connect: Callable[[], Awaitable[BoundedWebSocket]]) -> None:
        self._connect = connect
        self._current: BoundedWebSocket | None = None

    async def open(self) -> BoundedWebSocket:
        """Leave the connection that there is, and open the next."""
        await self.leave()
        self._current = await self._connect()
        return self._current

    async def leave(self) -> None:
        """Leave it as it is."""
        connection, self._current = self._current, None
        if connection is not None:
            await connection.leave()

    async def close(self) -> None:
        """Close it in order."""
        if self._current is not None:
            await self._current.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTimeouts:
    """How long the vendor may take.

    Attributes:
        ready_seconds: Until it accepts audio.
        stall_seconds: Until it answers speech, a commit or the end, and while it takes no audio.
        ping_seconds: After so much quiet it is sent a ping.
        pong_seconds: Until it answers that.
    """

    ready_seconds: float
    stall_seconds: float
    ping_seconds: float = 20.0
    pong_seconds: float = 10.0


def timeouts_of(settings: Settings) -> UpstreamTimeouts:
    """Return what the operator grants."""
    return UpstreamTimeouts(
        ready_seconds=settings.upstream_ready_timeout_seconds, stall_seconds=settings.upstream_stall_timeout_seconds
    )


def answered_rate_hertz(config: RecognitionConfig) -> int | None:
    """Return the rate of the audio; None where the vendor says nothing while somebody speaks."""
    model = config.model
    is_manual = isinstance(config.endpointing, ManualEndpointing) and "endpointing.manual" in model.options
    is_on_request = model.has_interim_on_request
    is_mute = is_manual or (is_on_request and not config.interim_results)
    return None if is_mute else config.model_rate_hertz


class Conversation:
    """What is said on the connections of one call, from ``start`` to ``Finished``.

    Args:
        connection: The first of them.
        reopen: Returns the next one.
        adapter: What is said.
        next_item: What the vendor hears next.
        emit: Takes what it says.
        timeouts: How long it may take.
        rate_hertz: Of its audio; None: it is not expected to answer speech.
    """

    def __init__(
        self,
        connection: Connection,
        reopen: Callable[[], Awaitable[Connection]],
        adapter: WebSocketAdapter,
        next_item: ItemSource,
        emit: Emit,
        timeouts: UpstreamTimeouts,
        rate_hertz: int | None,
    ) -> None:
        self._connection = connection
        self._reopen = reopen
        self._adapter = adapter
        self._next_item = next_item
        self._emit = emit
        self._timeouts = timeouts
        self._unanswered = UnansweredSpeech(timeouts.stall_seconds, rate_hertz) if rate_hertz else None
        self._ready = asyncio.Event()
        self._finished = asyncio.Event()
        self._emitting = 0
        self._sending_since: float | None = None
        self._heard_at = 0.0
        self._emitted_at = 0.0
        self._pinged_at: float | None = None

    async def run(self) -> None:
        """Carry audio there and events back; raise a GatewayError if the connection ends sooner."""
        self._heard_at = time.monotonic()
        try:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self._watch(), name="watch")
                tasks.create_task(self._listen(), name="listen")
                speaking = tasks.create_task(self._speak(), name="speak")
                speaking.add_done_callback(lambda _: watching.cancel())
        except BaseExceptionGroup as group:
            raise first_error(group) from group

    async def _speak(self) -> None:
        try:
            await self._say_all()
        except GONE as error:
            # Why the connection ended stands in what it still holds, which `listen` reads.
            await self._with_timeout(asyncio.Event().wait, _CLOSE_SECONDS, "closed the connection")
            raise UpstreamLost("the vendor closed the connection") from error

    async def _say_all(self) -> None:
        ready_seconds, stall_seconds = self._timeouts.ready_seconds, self._timeouts.stall_seconds
        await self._dispatch(self._adapter.start(), time.monotonic())
        await self._with_timeout(self._ready.wait, ready_seconds, "did not start the task")
        while (item := await self._next_item()) is not None:
            match item:
                case PcmChunk():
                    await self._send_audio(item.pcm)
                case Commit():
                    await self._dispatch(self._adapter.commit(), time.monotonic())
                case Update():
                    await self._dispatch(self._adapter.update(item.adaptation), time.monotonic())
            if not self._adapter.is_ready:
                self._ready.clear()
                await self._with_timeout(self._ready.wait, stall_seconds, "did not answer a commit")
        await self._dispatch(self._adapter.finish(), time.monotonic())
        await self._with_timeout(self._finished.wait, stall_seconds, "did not finish the task")

    async def _listen(self) -> None:
        while not self._finished.is_set():
            message = await self._connection.receive()
            read_at = self._heard_at = time.monotonic()
            self._pinged_at = None
            match message.type:
                case aiohttp.WSMsgType.TEXT:
                    if self._unanswered:
                        self._unanswered.answered()
                    await self._dispatch(self._adapter.receive(message.data), read_at, is_listening=True)
                case aiohttp.WSMsgType.PING | aiohttp.WSMsgType.PONG:
                    pass
                case _:
                    raise self._ending(message)

    async def _dispatch(self, outputs: Sequence[Output], read_at: float, *, is_listening: bool = False) -> None:
        for output in outputs:
            match output:
                case Send() if is_listening:
                    with contextlib.suppress(*GONE):  # Why it is gone stands in what is still to be read.
                        await self._send(output.message)
                case Send():
                    await self._send(output.message)
                case Reopen():
                    await self._go_on_elsewhere()
                case _:
                    self._emitting += 1
                    await self._emit(output, read_at)
                    self._emitting -= 1
                    self._emitted_at = read_at
                    if isinstance(output, Finished):
                        self._finished.set()
        if self._adapter.is_ready:
            self._ready.set()

    async def _go_on_elsewhere(self) -> None:
        self._connection = await self._reopen()
        self._restart_waits(time.monotonic())
        await self._dispatch(self._adapter.start(), time.monotonic(), is_listening=True)

    async def _send_audio(self, pcm: bytes) -> None:
        await self._send(self._adapter.audio(pcm))
        if self._unanswered:
            self._unanswered.sent(pcm, time.monotonic())

    async def _send(self, message: str | bytes) -> None:
        self._sending_since = time.monotonic()
        if isinstance(message, bytes):
            await self._connection.send_bytes(message)
        else:
            await self._connection.send_str(message)
        self._sending_since = None

    async def _watch(self) -> None:
        """Raise UpstreamLost once the vendor is taken to be gone, which is not while the client keeps it waiting."""
        timeouts = self._timeouts
        shortest = min(timeouts.stall_seconds, timeouts.ping_seconds, timeouts.pong_seconds)
        while True:
            await asyncio.sleep(min(_WATCH_SECONDS, shortest / 8))
            now = time.monotonic()
            if self._emitting:
                self._restart_waits(now)
            elif self._unanswered and self._unanswered.is_too_much(now):
                raise UpstreamLost(f"the vendor left {timeouts.stall_seconds:g} s of speech unanswered")
            elif self._sending_since is not None and now - self._sending_since > timeouts.stall_seconds:
                raise UpstreamLost(f"the vendor took no audio for {timeouts.stall_seconds:g} s")
            elif self._pinged_at is not None and now - self._pinged_at > timeouts.pong_seconds:
                raise UpstreamLost(f"the vendor did not answer a ping within {timeouts.pong_seconds:g} s")
            elif self._pinged_at is None and now - self._heard_at > timeouts.ping_seconds:
                await self._send_ping(now)

    async def _send_ping(self, now: float) -> None:
        self._heard_at = now
        with contextlib.suppress(*GONE):  # `listen` hears of it.
            if await self._connection.is_pinged():
                self._pinged_at = now

    def _restart_waits(self, now: float) -> None:
        """Begin all waits anew: nothing is read from the vendor while the client does not take what has been read."""
        self._heard_at = now
        self._pinged_at = None
        if self._unanswered:
            self._unanswered.answered()
        if self._sending_since is not None:
            self._sending_since = now

    async def _with_timeout(self, wait: Callable[[], Awaitable[object]], seconds: float, what: str) -> None:
        """Wait for the vendor; raise UpstreamLost when it takes too long.

        It does not while the client reads what came before, nor while more of that comes.
        """
        while True:
            try:
                async with asyncio.timeout(seconds):
                    await wait()
                    return
            except TimeoutError:
                if not self._emitting and time.monotonic() - self._emitted_at >= seconds:
                    raise UpstreamLost(f"the vendor {what} within {seconds:g} s") from None

    def _ending(self, message: aiohttp.WSMessage) -> GatewayError:
        code = self._connection.close_code
        match message.type:
            case aiohttp.WSMsgType.BINARY:
                return UpstreamProtocolError("the vendor sent a binary message, where its dialect has text only")
            case aiohttp.WSMsgType.ERROR if isinstance(message.data, aiohttp.WebSocketError):
                return UpstreamProtocolError(f"the vendor broke the WebSocket protocol: {message.data.code}")
            case aiohttp.WSMsgType.CLOSE if message.data:
                # The connection has another one by now if the vendor did not stay for the answer.
                code = message.data
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
