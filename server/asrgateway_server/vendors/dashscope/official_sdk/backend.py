"""A backend on the vendor's own SDK, one or two of whose threads serve each task.

The adapter is the same as on a WebSocket of our own: it decides what is sent and what the answers mean; the SDK only
carries it. What its defects cost, and which of them are handled here, stands in docs/transports.md.

Source: dashscope 2.0.2, ``audio/asr/recognition.py`` and ``audio/qwen_omni/omni_realtime.py``.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Protocol, Self, TypeVar

from asrgateway_server.backends.base import Completed, Emit, TaskEnd, TaskInput, end_of
from asrgateway_server.backends.credential import Credential
from asrgateway_server.backends.start_limiter import StartLimiter
from asrgateway_server.backends.task_exchange import Connection, TaskExchange, timeouts_of
from asrgateway_server.backends.vendor_access import Access as VendorAccess
from asrgateway_server.backends.vendor_access import RemoteVendor
from asrgateway_server.backends.websocket import MakeAdapter, counted, with_upstream_name
from asrgateway_server.config import RecognitionConfig
from asrgateway_server.errors import ClientStalled, GatewayError, Overloaded, UpstreamLost, UpstreamRefused
from asrgateway_server.metrics import EndpointMetrics, Metrics
from asrgateway_server.settings import Settings
from asrgateway_server.vendors.dashscope import sdk_import as sdk
from asrgateway_server.vendors.dashscope.official_sdk.threads import Access, Inbox, RunInThread

Value = TypeVar("Value")


class SdkConnection(Connection, Protocol):
    """A connection whose messages the SDK carries."""

    async def open(self) -> None:
        """Connect, where the SDK connects before it is given anything to say."""

    def end(self) -> None:
        """End every thread of the SDK within a bounded time; blocks, and may be called once in any state."""


#: Makes a connection for a path of the vendor's; blocks for the import of the SDK.
MakeConnection = Callable[[str, Access, Inbox, RunInThread], SdkConnection]


def tasks(path: str, access: Access, inbox: Inbox, run: RunInThread) -> SdkConnection:
    """Carry the run-task dialect on ``Recognition``."""
    with sdk.IMPORTING:
        from asrgateway_server.vendors.dashscope.official_sdk.tasks import TaskConnection  # noqa: PLC0415 62 MB and 0.4 s, when needed

    return TaskConnection(path, access, inbox, run)


def sessions(path: str, access: Access, inbox: Inbox, run: RunInThread) -> SdkConnection:
    """Carry the session dialect on ``OmniRealtimeConversation``."""
    with sdk.IMPORTING:
        from asrgateway_server.vendors.dashscope.official_sdk.sessions import SessionConnection  # noqa: PLC0415 as above

    return SessionConnection(path, access, inbox, run)


class SdkBackend:
    """Reaches the vendor with its own SDK; see ``Backend``."""

    def __init__(
        self,
        make_adapter: MakeAdapter,
        make_connection: MakeConnection,
        vendor: RemoteVendor,
        settings: Settings,
        metrics: Metrics,
        start_limiter: StartLimiter,
    ) -> None:
        self.start_limiter = start_limiter
        self.make_adapter = make_adapter
        self.make_connection = make_connection
        self.vendor = vendor
        self.timeouts = timeouts_of(settings)
        self._metrics = metrics
        # A call blocks in one place at a time, beside it in a ping, and once more while its last task ends, which frees
        # the other two.
        self._threads = ThreadPoolExecutor(3 * settings.max_streams, thread_name_prefix="official_sdk")

    async def __aenter__(self) -> Self:
        """Keep the SDK's own log lines, which quote the vendor's messages, out of the gateway's log."""
        for name in ("dashscope", "websocket"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until the threads of every call have ended."""
        await asyncio.to_thread(self._threads.shutdown)

    @asynccontextmanager
    async def open(self, config: RecognitionConfig) -> AsyncIterator[SdkUpstream]:
        """Return what recognizes one call; see ``Backend``."""
        access = self.vendor.access(config)
        upstream = SdkUpstream(self, access, self._metrics.of_endpoint(access.endpoint))
        try:
            yield upstream
        finally:
            # Begun even if the call is cancelled once more while it waits.
            await asyncio.shield(upstream.end())

    def run_in_thread(self, block: Callable[[], Value]) -> asyncio.Future[Value]:
        """Run what blocks, at once."""
        return asyncio.get_running_loop().run_in_executor(self._threads, block)


class SdkUpstream:
    """The tasks of one call, each of which has a connection of its own; see ``Upstream``."""

    def __init__(self, backend: SdkBackend, access: VendorAccess, metrics: EndpointMetrics) -> None:
        self._backend = backend
        self._access = access
        self._metrics = metrics
        self._ends: list[asyncio.Future[None]] = []

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
            with self._metrics.connections["in_use"].track_inprogress():
                return await self._run(config, task_input, emit)
        except ClientStalled:
            raise
        except GatewayError as error:
            return end_of(counted(error, self._access, self._backend.vendor, self._metrics))

    async def rest(self) -> None:
        """See ``Upstream``; a connection is kept for no longer than a task."""

    async def end(self) -> None:
        """Wait until the threads of all tasks have ended."""
        await asyncio.gather(*self._ends)

    async def _run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> Completed:
        """Run one task, once more with another key if the vendor rejects the first one at once."""
        key = _Key(self._access.credential, self._backend.timeouts.ready_seconds)
        while True:
            inbox = Inbox()
            try:
                return await self._exchange(config, key, inbox, task_input, emit)
            except UpstreamRefused:
                if inbox.has_messages or not await key.is_replaced():
                    raise

    async def _exchange(
        self, config: RecognitionConfig, key: _Key, inbox: Inbox, task_input: TaskInput, emit: Emit
    ) -> Completed:
        backend, run = self._backend, self._backend.run_in_thread
        adapter = backend.make_adapter(config, uuid.uuid4().hex)
        access = Access(
            url=self._access.url,
            key=key.current,
            workspace=self._access.workspace or None,
            timeout_seconds=backend.timeouts.ready_seconds,
        )
        connection = await run(lambda: backend.make_connection(adapter.path, access, inbox, run))
        try:
            await connection.open()
            exchange = TaskExchange(
                connection,
                adapter,
                task_input,
                emit,
                backend.timeouts,
                config.model_rate_hertz,
                backend.vendor.close_error,
            )
            return await exchange.run()
        finally:
            inbox.close()
            # The next task need not wait for it.
            self._ends = [end for end in self._ends if not end.done()]
            self._ends.append(run(connection.end))


class _Key:
    """The key of one call, which is asked for again for each of its connections.

    Args:
        credential: Has it.
        timeout_seconds: How long it may take to come.
    """

    def __init__(self, credential: Credential, timeout_seconds: float) -> None:
        self._credential = credential
        self._timeout_seconds = timeout_seconds
        self._last = ""
        self._is_second_try = False

    async def current(self, instead_of: str = "") -> str:
        """Return the key to show now.

        Raises:
            UpstreamLost: It does not come in time.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                self._last = await self._credential.key(instead_of)
        except TimeoutError:
            raise UpstreamLost(f"the vendor gave no token within {self._timeout_seconds:g} s") from None
        return self._last

    async def is_replaced(self) -> bool:
        """Return whether there is another key than the last one, which was rejected; for the first time only."""
        if self._is_second_try:
            return False
        self._is_second_try = True
        rejected = self._last
        return await self.current(instead_of=rejected) != rejected
