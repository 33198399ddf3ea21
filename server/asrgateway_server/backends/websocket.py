"""A backend on WebSocket connections, which outlive the tasks that they carry where the dialect allows it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Protocol, Self

from asrgateway_server.backends.adapter import WebSocketAdapter
from asrgateway_server.backends.base import Completed, Emit, TaskEnd, TaskInput, end_of
from asrgateway_server.backends.connector import Connector, Lent
from asrgateway_server.backends.start_limiter import StartLimiter
from asrgateway_server.backends.task_exchange import TaskExchange, timeouts_of
from asrgateway_server.backends.vendor_access import Access, RemoteVendor
from asrgateway_server.config import RecognitionConfig
from asrgateway_server.errors import ClientStalled, GatewayError, Overloaded, UpstreamLost
from asrgateway_server.metrics import CALLERS_KEY, EndpointMetrics, Metrics
from asrgateway_server.settings import Settings


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
        self.connector = Connector(vendor, settings, start_limiter)
        self._metrics = metrics
        for name in vendor.endpoints:
            metrics.of_endpoint(name, vendor.error_labels)  # So that their series begin with the process.

    async def __aenter__(self) -> Self:
        """Prepare for connections.

        Raises:
            SettingsError: The CA file cannot be read.
        """
        await self.connector.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections that no call has."""
        await self.connector.close()

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


class WebSocketUpstream:
    """The tasks of one call, and the connection that carries them; see ``Upstream``."""

    def __init__(self, backend: WebSocketBackend, access: Access, metrics: EndpointMetrics) -> None:
        self._backend = backend
        self._access = access
        self._metrics = metrics
        self._lent: Lent | None = None
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
        """Keep the connection for another call, or close it in order and do not wait for that; see ``Upstream``."""
        lent = self._take_connection()
        if lent is not None and not self._backend.connector.keep(lent):
            self._close_later(lent)

    async def close(self) -> None:
        """Keep the connection for another call, or close it in order."""
        await self.rest()
        await asyncio.gather(*self._closings)

    async def leave(self) -> None:
        """Leave the connection as it is."""
        lent = self._take_connection()
        if lent is not None:
            await lent.opened.connection.leave()
        await asyncio.gather(*self._closings)

    async def _run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> Completed:
        """Run one task, once more on a new connection if the one that was open before has gone meanwhile."""
        must_be_new = False
        while True:
            adapter = self._backend.make_adapter(config, uuid.uuid4().hex)
            lent = await self._connected(adapter.path, config.model.name, must_be_new=must_be_new)
            exchange = TaskExchange(
                lent.opened.connection,
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
                if lent.is_new or exchange.has_begun:
                    raise
                must_be_new = True
            except BaseException:
                await self.leave()
                raise
            else:
                if adapter.keeps_connection:
                    self._lent = replace(lent, is_new=False)
                else:
                    self._take_connection()
                    self._close_later(lent)
                return completed

    async def _connected(self, path: str, model: str, *, must_be_new: bool) -> Lent:
        if self._lent is None:
            self._lent = await self._backend.connector.connect(
                self._access, path, model, self._metrics, must_be_new=must_be_new
            )
            self._metrics.connections["in_use"].inc()
        return self._lent

    def _take_connection(self) -> Lent | None:
        lent, self._lent = self._lent, None
        if lent is not None:
            self._metrics.connections["in_use"].dec()
        return lent

    def _close_later(self, lent: Lent) -> None:
        closing = lent.opened.connection.close()
        self._closings.append(asyncio.create_task(closing, name="close connection"))


def with_upstream_name(config: RecognitionConfig) -> RecognitionConfig:
    """Return what an adapter is given: the model under the vendor's name, and no key."""
    return replace(config, model=replace(config.model, name=config.model.upstream_name), vendor_metadata={})


def counted(error: GatewayError, access: Access, vendor: RemoteVendor, metrics: EndpointMetrics) -> GatewayError:
    """Count an error that ended a task; return what it means to the client."""
    shown = vendor.error_for_callers_key(error) if access.is_callers else error
    metrics.failed(vendor.error_label(error) if shown is error else CALLERS_KEY)
    return shown
