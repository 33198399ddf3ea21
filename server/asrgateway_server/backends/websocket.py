"""A backend on WebSocket connections, which outlive the tasks that they carry where the dialect allows it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Final, Protocol, Self, cast

import aiohttp

from asrgateway_server.backends.adapter import WebSocketAdapter
from asrgateway_server.backends.base import Completed, Emit, TaskEnd, TaskInput, end_of
from asrgateway_server.backends.bounded_websocket import CLOSE_SECONDS, BoundedWebSocket, bounded_socket
from asrgateway_server.backends.credential import with_key
from asrgateway_server.backends.network import no_redirects, proxy_for, tls
from asrgateway_server.backends.start_limiter import StartLimiter
from asrgateway_server.backends.task_exchange import TaskExchange, timeouts_of
from asrgateway_server.backends.vendor_access import Access, RemoteVendor
from asrgateway_server.config import RecognitionConfig
from asrgateway_server.errors import ClientStalled, GatewayError, Overloaded, UpstreamLost
from asrgateway_server.metrics import CALLERS_KEY, EndpointMetrics, Metrics
from asrgateway_server.settings import Settings

# The longest result seen is some 20 KB; what is longer is no result.
_MAX_MESSAGE_BYTES: Final = 1 << 20


class MakeAdapter(Protocol):
    """Makes the adapter of one task: a class."""

    @property
    def ends_at_commit(self) -> bool:
        """See ``WebSocketAdapter``."""

    def __call__(self, config: RecognitionConfig, task_id: str, /) -> WebSocketAdapter:
        """Return the adapter of a task with a name that no other task has: 32 hexadecimal digits."""


class WebSocketBackend:
    """Reaches a remote vendor; see ``Backend``.

    Args:
        make_adapter: Makes the adapter of each task.
        vendor: How it is reached.
        settings: Timeouts and the like.
        metrics: Count connections and errors.
        start_limiter: One for all backends that reach the vendor's accounts.
    """

    def __init__(
        self,
        make_adapter: MakeAdapter,
        vendor: RemoteVendor,
        settings: Settings,
        metrics: Metrics,
        start_limiter: StartLimiter,
    ) -> None:
        self.start_limiter = start_limiter
        self.make_adapter = make_adapter
        self.vendor = vendor
        self.timeouts = timeouts_of(settings)
        self._ca_file = settings.upstream_ca_file
        self._metrics = metrics
        for name in vendor.endpoints:
            metrics.of_endpoint(name, vendor.error_labels)  # So that their series begin with the process.
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Prepare what all connections share.

        Raises:
            SettingsError: The CA file cannot be read.
        """
        connector = aiohttp.TCPConnector(limit=0, socket_factory=bounded_socket, ssl=tls(self._ca_file))
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

    @asynccontextmanager
    async def open(self, config: RecognitionConfig) -> AsyncIterator[WebSocketUpstream]:
        """Return what recognizes one call; see ``Backend``."""
        access = self.vendor.access(config)
        upstream = WebSocketUpstream(self, access, self._metrics.of_endpoint(access.endpoint))
        try:
            yield upstream
        except BaseException:
            await upstream.leave()
            raise
        await upstream.close()

    async def connect(self, access: Access, path: str, metrics: EndpointMetrics) -> BoundedWebSocket:
        """Open a connection, once more with another key if the vendor rejects the first one.

        Raises:
            UpstreamLost: The vendor cannot be reached, or does not answer in time.
            GatewayError: It refuses the connection.
        """
        began = time.monotonic()
        try:
            with metrics.connections["connecting"].track_inprogress():
                async with asyncio.timeout(self.timeouts.ready_seconds):
                    connection = await with_key(access.credential, lambda key: self._handshake(access, key, path))
        except TimeoutError:
            metrics.connects["timeout"].inc()
            raise UpstreamLost(f"the vendor did not answer within {self.timeouts.ready_seconds:g} s") from None
        except GatewayError as error:
            metrics.connects[self._connect_result(error, access)].inc()
            raise
        metrics.connects["ok"].inc()
        metrics.connect_duration.observe(time.monotonic() - began)
        return connection

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
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
                proxy=proxy_for(url),
            )
            return cast("BoundedWebSocket", connection)  # The session makes no others.
        except aiohttp.WSServerHandshakeError as error:
            # Its cause is left out: it holds the headers of the request, and with them the key.
            raise self.vendor.handshake_error(error.status) from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamLost("the vendor cannot be reached") from error

    def _connect_result(self, error: GatewayError, access: Access) -> str:
        if access.is_callers and self.vendor.error_for_callers_key(error) is not error:
            return CALLERS_KEY
        if isinstance(error, Overloaded):
            return "throttled"
        return "refused" if error.upstream_code else "lost"


class WebSocketUpstream:
    """The tasks of one call, and the connection that carries them; see ``Upstream``."""

    def __init__(self, backend: WebSocketBackend, access: Access, metrics: EndpointMetrics) -> None:
        self._backend = backend
        self._access = access
        self._metrics = metrics
        self._connection: BoundedWebSocket | None = None
        self._is_reusable = False
        self._closings: list[asyncio.Task[object]] = []

    @property
    def ends_at_commit(self) -> bool:
        """See ``Upstream``."""
        return self._backend.make_adapter.ends_at_commit

    async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
        """Run one task; see ``Upstream``."""
        config = with_upstream_name(config)
        try:
            await self._backend.start_limiter.wait_for_turn(self._access, config.model.name)
        except Overloaded as error:
            return end_of(error)
        try:
            return await self._run(config, task_input, emit)
        except ClientStalled:
            raise
        except GatewayError as error:
            return end_of(counted(error, self._access, self._backend.vendor, self._metrics))

    async def rest(self) -> None:
        """Close the connection in order, and do not wait for it; see ``Upstream``."""
        connection = self._take_connection()
        if connection is not None:
            self._closings.append(asyncio.create_task(connection.close(), name="close connection"))

    async def close(self) -> None:
        """Close the connection in order."""
        await self.rest()
        await asyncio.gather(*self._closings)

    async def leave(self) -> None:
        """Leave the connection as it is."""
        connection = self._take_connection()
        if connection is not None:
            await connection.leave()
        await asyncio.gather(*self._closings)

    async def _run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> Completed:
        """Run one task, once more if a connection that was used before has gone meanwhile."""
        while True:
            adapter = self._backend.make_adapter(config, uuid.uuid4().hex)
            is_first = not self._is_reusable
            connection = await self._connected(adapter.path)
            exchange = TaskExchange(
                connection,
                adapter,
                task_input,
                emit,
                self._backend.timeouts,
                config.model_rate_hertz,
                self._backend.vendor.close_error,
            )
            try:
                completed = await exchange.run()
            except UpstreamLost:
                await self.leave()
                if is_first or exchange.has_begun:
                    raise
            except BaseException:
                await self.leave()
                raise
            else:
                self._is_reusable = adapter.keeps_connection
                if not self._is_reusable:
                    await self.rest()
                return completed

    async def _connected(self, path: str) -> BoundedWebSocket:
        if self._connection is not None:
            self._is_reusable = False
            return self._connection
        self._connection = await self._backend.connect(self._access, path, self._metrics)
        self._metrics.connections["in_use"].inc()
        return self._connection

    def _take_connection(self) -> BoundedWebSocket | None:
        connection, self._connection, self._is_reusable = self._connection, None, False
        if connection is not None:
            self._metrics.connections["in_use"].dec()
        return connection


def with_upstream_name(config: RecognitionConfig) -> RecognitionConfig:
    """Return what an adapter is given: the model under the vendor's name, and no key."""
    return replace(config, model=replace(config.model, name=config.model.upstream_name), vendor_metadata={})


def counted(error: GatewayError, access: Access, vendor: RemoteVendor, metrics: EndpointMetrics) -> GatewayError:
    """Count an error that ended a task; return what it means to the client."""
    shown = vendor.error_for_callers_key(error) if access.is_callers else error
    metrics.failed(vendor.error_label(error) if shown is error else CALLERS_KEY)
    return shown
