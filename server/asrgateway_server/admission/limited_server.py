"""An HTTP server that accepts a limited number of connections, each for a limited time."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from asrgateway_server.metrics import Metrics
from asrgateway_server.settings import Address, CannotListen

log = logging.getLogger(__name__)

# Refused connections are logged at most once in this time.
_LOG_SECONDS: Final = 10.0

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PortLimits:
    """What one port takes.

    Attributes:
        port: Its name in log and metrics.
        connections: How many may be open; further ones are closed at once.
        connections_per_peer: The same, from one address.
        timeout_seconds: How long a client may take to send a request or to read its response, or leave a connection
            idle.
    """

    port: str
    connections: int
    connections_per_peer: int
    timeout_seconds: float


@asynccontextmanager
async def listening(server: web.Server, listen: Address, shutdown_seconds: float = 60.0) -> AsyncIterator[Address]:
    """Open a port; at the end close its connections.

    Args:
        server: Answers there.
        listen: Its address.
        shutdown_seconds: How long requests may take to end by themselves.

    Raises:
        CannotListen: The port cannot be opened.
    """
    runner = web.ServerRunner(server, shutdown_timeout=shutdown_seconds)
    await runner.setup()
    try:
        try:
            await _site(runner, listen).start()
        except OSError:
            raise CannotListen(listen) from None
        yield Address(listen.host, runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _site(runner: web.ServerRunner, listen: Address) -> web.BaseSite:
    """Listen on all addresses for ``::`` as gRPC does; asyncio would leave out those of IPv4."""
    return web.SockSite(runner, listening_socket(listen)) if listen.host == "::" else web.TCPSite(runner, *listen)


def listening_socket(listen: Address) -> socket.socket:
    """Open a port, without its server; raise OSError if that cannot be."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    is_dual = listen.host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server(listen, family=family, dualstack_ipv6=is_dual)


class LimitedServer(web.Server):
    """Accepts a limited number of connections, each for a limited time."""

    def __init__(self, answer: Answer, limits: PortLimits, metrics: Metrics, *, cancels_left: bool = False) -> None:
        """Answer requests by ``answer``, which is cancelled when the client leaves if ``cancels_left``."""
        # The timeout for idle connections also closes those that never complete a request.
        super().__init__(
            answer, handler_cancellation=cancels_left, access_log=None, keepalive_timeout=limits.timeout_seconds
        )
        self._limits = limits
        self._open = metrics.connections.labels(limits.port)
        self._refused = metrics.connections_refused.labels(limits.port)
        self._peers: dict[RequestHandler, str] = {}
        self._per_peer: Counter[str] = Counter()
        self._logged_at = -_LOG_SECONDS

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Close a connection beyond the limits."""
        super().connection_made(handler, transport)
        peer = peer_of(transport)
        is_peer_at_limit = self._per_peer[peer] >= self._limits.connections_per_peer
        self._peers[handler] = peer
        self._per_peer[peer] += 1
        self._open.set(len(self._peers))
        if is_peer_at_limit or len(self._peers) > self._limits.connections:
            self.refuse(peer, "per peer" if is_peer_at_limit else "total")
            # The handler starts in the next turn of the loop; without a connection it would fail.
            asyncio.get_running_loop().call_soon(transport.abort)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Remove a connection from the counts."""
        super().connection_lost(handler, exc)
        if (peer := self._peers.pop(handler, None)) is None:
            return
        self._per_peer[peer] -= 1
        if not self._per_peer[peer]:
            del self._per_peer[peer]
        self._open.set(len(self._peers))

    def has_room_beside(self, others: int) -> bool:
        """Say whether another connection is within the limit of all, if so many others count too."""
        return len(self._peers) + others < self._limits.connections

    def refuse(self, peer: str, which: str) -> None:
        """Count a connection that is closed at once, and log it now and then."""
        self._refused.inc()
        now = time.monotonic()
        if now - self._logged_at >= _LOG_SECONDS:
            self._logged_at = now
            log.warning("connection refused", extra={"port": self._limits.port, "peer": peer, "limit": which})


def peer_of(transport: asyncio.BaseTransport) -> str:
    """Return the other side's address, without its port."""
    return str((transport.get_extra_info("peername") or ("",))[0])


async def send_within(request: web.BaseRequest, response: web.StreamResponse, seconds: float) -> None:
    """Send a response; cut a client that does not read it. One that has given up, such as a scrape, is no error."""
    try:
        async with asyncio.timeout(seconds):
            await response.prepare(request)
            await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        log.debug("a client left before its response", extra={"peer": request.remote})
