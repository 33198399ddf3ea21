"""over_sdk(adapter): a Backend on the vendor's own SDK, one or two of whose threads serve each call.

The adapter is the same as on a WebSocket of our own: it says what is sent and what the answers mean, and the SDK only
carries it. What its defects cost, and which of them are handled here, stands in docs/transports.md.

Source: dashscope 2.0.2, ``audio/asr/recognition.py`` and ``audio/qwen_omni/omni_realtime.py``.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Protocol, Self, TypeVar

from asrgateway_server.backends.base import Emit, ItemSource, OpenBackend
from asrgateway_server.backends.websocket import (
    Connection,
    Conversation,
    MakeAdapter,
    answered_rate_hertz,
    timeouts_of,
    with_upstream_name,
)
from asrgateway_server.config import RecognitionConfig
from asrgateway_server.errors import ClientStalled, GatewayError, UpstreamLost, UpstreamRefused
from asrgateway_server.metrics import CALLERS_KEY, Metrics
from asrgateway_server.settings import Settings
from asrgateway_server.vendors.dashscope import sdk_import as sdk
from asrgateway_server.vendors.dashscope.credentials import Credential, Keyring
from asrgateway_server.vendors.dashscope.error_codes import code_family, for_callers_key
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


def over_sdk(make_adapter: MakeAdapter, make_connection: MakeConnection) -> OpenBackend:
    """Return what opens a backend whose every call has an adapter and a connection of the SDK."""

    def open_backend(settings: Settings, keyring: Keyring, metrics: Metrics) -> SdkBackend:
        return SdkBackend(make_adapter, make_connection, settings, keyring, metrics)

    return open_backend


class SdkBackend:
    """Opens a connection of the SDK for each call; see ``Backend``."""

    def __init__(
        self,
        make_adapter: MakeAdapter,
        make_connection: MakeConnection,
        settings: Settings,
        keyring: Keyring,
        metrics: Metrics,
    ) -> None:
        self._make_adapter = make_adapter
        self._make_connection = make_connection
        self._keyring = keyring
        self._timeouts = timeouts_of(settings)
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

    async def converse(self, config: RecognitionConfig, next_item: ItemSource, emit: Emit) -> None:
        """Run one connection; see ``Backend``."""
        access = self._keyring.access(config)
        metrics = self._metrics.of_endpoint(access.endpoint)
        key = _Key(access.credential, self._timeouts.ready_seconds)
        told = Access(
            url=access.url,
            key=key.current,
            workspace=access.workspace or None,
            timeout_seconds=self._timeouts.ready_seconds,
        )
        try:
            with metrics.connections["in_use"].track_inprogress():
                while not await self._is_carried(config, told, key, next_item, emit):
                    pass
        except ClientStalled:
            raise
        except GatewayError as error:
            meant = for_callers_key(error) if access.is_callers else error
            metrics.failed(code_family(error.upstream_code) if meant is error else CALLERS_KEY)
            if meant is not error:
                raise meant from None
            raise

    async def _is_carried(
        self, config: RecognitionConfig, access: Access, key: _Key, next_item: ItemSource, emit: Emit
    ) -> bool:
        """Run one connection; return False if the vendor rejected the key at once, and there is another one by now."""
        adapter = self._make_adapter(with_upstream_name(config), lambda: uuid.uuid4().hex)
        inbox = Inbox()
        connection = await self._run(lambda: self._make_connection(adapter.path, access, inbox, self._run))
        try:
            await connection.open()

            async def reopen() -> Connection:
                return connection  # Where a task may end alone, each has a connection of its own.

            rate_hertz = answered_rate_hertz(config)
            await Conversation(connection, reopen, adapter, next_item, emit, self._timeouts, rate_hertz).run()
        except UpstreamRefused:
            if inbox.has_messages or not await key.is_replaced():
                raise
            return False
        finally:
            inbox.close()
            # Begun even if the call is cancelled once more while it waits.
            await asyncio.shield(self._run(connection.end))
        return True

    def _run(self, block: Callable[[], Value]) -> asyncio.Future[Value]:
        return asyncio.get_running_loop().run_in_executor(self._threads, block)


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
