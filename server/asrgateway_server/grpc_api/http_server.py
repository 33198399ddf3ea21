"""The HTTP port: `/metrics` for Prometheus, with limits on connections, because it requires no key."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from prometheus_client.exposition import choose_encoder

from asrgateway_server.metrics import Metrics
from asrgateway_server.settings import Address, SettingsError

log = logging.getLogger(__name__)

# Refused connections are logged at most once in this time.
_LOG_SECONDS: Final = 10.0


@asynccontextmanager
async def http_server(
    listen: Address,
    metrics: Metrics,
    *,
    max_connections: int,
    max_connections_per_peer: int,
    timeout_seconds: float,
) -> AsyncIterator[Address]:
    """Answer GET /metrics.

    Args:
        listen: Its address.
        metrics: The answer.
        max_connections: How many may be open; further ones are closed at once.
        max_connections_per_peer: The same, from one address.
        timeout_seconds: How long a client may take to send a request or to read its response, or leave a connection
            idle.

    Raises:
        SettingsError: The port cannot be opened.
    """
    server = _LimitedServer(metrics, max_connections, max_connections_per_peer, timeout_seconds)
    runner = web.ServerRunner(server)
    await runner.setup()
    try:
        try:
            await _site(runner, listen).start()
        except OSError:
            raise SettingsError(
                f"cannot listen on {listen}: the port is in use, or the address is not one of this machine"
            ) from None
        yield Address(listen.host, runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _site(runner: web.ServerRunner, listen: Address) -> web.BaseSite:
    """Listen on all addresses for ``::`` as gRPC does; asyncio would leave out those of IPv4."""
    if listen.host != "::" or not socket.has_dualstack_ipv6():
        return web.TCPSite(runner, listen.host, listen.port)
    return web.SockSite(runner, socket.create_server(listen, family=socket.AF_INET6, dualstack_ipv6=True))


class _LimitedServer(web.Server):
    """Accepts a limited number of connections, each for a limited time."""

    def __init__(
        self, metrics: Metrics, max_connections: int, max_connections_per_peer: int, timeout_seconds: float
    ) -> None:
        # The timeout for idle connections also closes those that never complete a request.
        super().__init__(self._answer, access_log=None, keepalive_timeout=timeout_seconds)
        self._metrics = metrics
        self._max_connections = max_connections
        self._max_connections_per_peer = max_connections_per_peer
        self._timeout_seconds = timeout_seconds
        self._open = metrics.connections.labels("http")
        self._refused = metrics.connections_refused.labels("http")
        self._peers: dict[RequestHandler, str] = {}
        self._per_peer: Counter[str] = Counter()
        self._logged_at = -_LOG_SECONDS

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Close a connection beyond the limits."""
        super().connection_made(handler, transport)
        peer = str((transport.get_extra_info("peername") or ("",))[0])
        is_peer_at_limit = self._per_peer[peer] >= self._max_connections_per_peer
        self._peers[handler] = peer
        self._per_peer[peer] += 1
        self._open.set(len(self._peers))
        if is_peer_at_limit or len(self._peers) > self._max_connections:
            self._refuse(peer, "per peer" if is_peer_at_limit else "total")
            # The handler starts in the next turn of the loop; without a connection it would fail.
            asyncio.get_running_loop().call_soon(transport.abort)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Remove a connection from the counts."""
        super().connection_lost(handler, exc)
        peer = self._peers.pop(handler)
        self._per_peer[peer] -= 1
        if not self._per_peer[peer]:
            del self._per_peer[peer]
        self._open.set(len(self._peers))

    def _refuse(self, peer: str, which: str) -> None:
        self._refused.inc()
        now = time.monotonic()
        if now - self._logged_at >= _LOG_SECONDS:
            self._logged_at = now
            log.warning("connection refused", extra={"port": "http", "peer": peer, "limit": which})

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        response = self._response_to(request)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        return response

    def _response_to(self, request: web.BaseRequest) -> web.Response:
        if request.path != "/metrics":
            return web.Response(status=404, text="404: Not Found")
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405, text="405: Method Not Allowed", headers={"Allow": "GET,HEAD"})
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._metrics.registry), headers={"Content-Type": content_type})
