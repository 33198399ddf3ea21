"""Opens WebSocket connections to a vendor, and lends those that are open already."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, cast

import aiohttp

from asrgateway_server.backends.bounded_websocket import CLOSE_SECONDS, BoundedWebSocket, bounded_socket
from asrgateway_server.backends.connection_pool import ConnectionPool, Opened, Place
from asrgateway_server.backends.credential import fingerprint, with_key
from asrgateway_server.backends.network import no_redirects, proxy_for, tls
from asrgateway_server.backends.start_limiter import StartLimiter
from asrgateway_server.backends.vendor_access import Access, RemoteVendor
from asrgateway_server.errors import GatewayError, Overloaded, UpstreamLost
from asrgateway_server.metrics import CALLERS_KEY, EndpointMetrics
from asrgateway_server.settings import Settings

# The longest result seen is some 20 KB; what is longer is no result.
_MAX_MESSAGE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """A connection while a call has it.

    Attributes:
        place: Where it may be kept for another call; None: nowhere.
        opened: The connection.
        is_new: It was opened for this call, and has carried no task.
    """

    place: Place | None
    opened: Opened
    is_new: bool


class Connector:
    """Has the connections of one backend.

    Args:
        vendor: What its refusals mean.
        settings: Timeouts and the like.
        start_limiter: Says when a connection may be opened that no call waits for.
    """

    def __init__(self, vendor: RemoteVendor, settings: Settings, start_limiter: StartLimiter) -> None:
        self._vendor = vendor
        self._ready_seconds = settings.upstream_ready_timeout_seconds
        self._ca_file = settings.upstream_ca_file
        self._start_limiter = start_limiter
        self._pool = ConnectionPool(settings)
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
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

    async def close(self) -> None:
        """Close the connections that no call has, and what all of them share."""
        await self._pool.close()
        if self._session:
            await self._session.close()

    async def connect(
        self, access: Access, path: str, model: str, metrics: EndpointMetrics, *, must_be_new: bool = False
    ) -> Lent:
        """Return a connection that is open already, else a new one.

        Args:
            access: How the call reaches the vendor.
            path: Path and query of the URL.
            model: Whose task is about to begin.
            metrics: Those of the endpoint.
            must_be_new: One that was open already had gone when it was used, and so may the others.

        Raises:
            UpstreamLost: The vendor cannot be reached, or does not answer in time.
            GatewayError: It refuses the connection.
        """
        place = None if access.is_callers else Place(access.endpoint, access.url + path, access.workspace)

        async def open_ahead() -> Opened | None:
            try:
                async with asyncio.timeout(self._ready_seconds):
                    await self._start_limiter.wait_for_spare_turn(access, model)
            except TimeoutError:
                return None
            return (await self._connected(access, metrics, new)).opened

        async def new(key: str) -> Lent:
            opened = Opened(await self._handshake(access, key, path), fingerprint(key))
            return Lent(place=place, opened=opened, is_new=True)

        async def warm(key: str) -> Lent:
            if place is None:
                return await new(key)
            opened = await self._pool.take(place, fingerprint(key), open_ahead, metrics.connections["idle"])
            return Lent(place=place, opened=opened, is_new=False) if opened else await new(key)

        if must_be_new and place:
            self._pool.replace_all(place)
        lent = await self._connected(access, metrics, new if must_be_new else warm)
        metrics.reuses["dead" if must_be_new else "cold" if lent.is_new else "warm"].inc()
        return lent

    def keep(self, lent: Lent) -> bool:
        """Keep a connection for another call; return False if there is no use for it."""
        return lent.place is not None and self._pool.give_back(lent.place, lent.opened)

    async def _connected(
        self, access: Access, metrics: EndpointMetrics, attempt: Callable[[str], Awaitable[Lent]]
    ) -> Lent:
        """Connect with a key, and once more with another one if the vendor rejects the first."""
        began = time.monotonic()
        try:
            with metrics.connections["connecting"].track_inprogress():
                async with asyncio.timeout(self._ready_seconds):
                    lent = await with_key(access.credential, attempt)
        except TimeoutError:
            metrics.connects["timeout"].inc()
            raise UpstreamLost(f"the vendor did not answer within {self._ready_seconds:g} s") from None
        except GatewayError as error:
            metrics.connects[self._connect_result(error, access)].inc()
            raise
        if lent.is_new:
            metrics.connects["ok"].inc()
            metrics.connect_duration.observe(time.monotonic() - began)
        return lent

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
            raise self._vendor.handshake_error(error.status) from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamLost("the vendor cannot be reached") from error

    def _connect_result(self, error: GatewayError, access: Access) -> str:
        if access.is_callers and self._vendor.error_for_callers_key(error) is not error:
            return CALLERS_KEY
        if isinstance(error, Overloaded):
            return "throttled"
        return "refused" if error.upstream_code else "lost"
