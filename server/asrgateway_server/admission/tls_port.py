"""A port with TLS: its handshakes count as connections, and each gets the newest certificate."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from asrgateway_server.admission.limited_server import LimitedServer, listening_socket, peer_of
from asrgateway_server.settings import Address, CannotListen
from asrgateway_server.watched_files import WatchedFiles


@asynccontextmanager
async def listening_with_tls(
    server: LimitedServer,
    listen: Address,
    certificate: WatchedFiles[ssl.SSLContext],
    *,
    handshake_seconds: float,
    shutdown_seconds: float,
) -> AsyncIterator[Address]:
    """Do what ``listening`` does, with TLS.

    By themselves neither asyncio nor the library counts a connection before its handshake is over, for which asyncio
    gives it a minute: enough to use up all files of the process.

    Args:
        server: Answers there.
        listen: Its address.
        certificate: The certificate, and who must have signed those of clients.
        handshake_seconds: How long a handshake may take.
        shutdown_seconds: How long requests may take to end by themselves.

    Raises:
        CannotListen: The port cannot be opened.
    """
    try:
        listener = listening_socket(listen)
    except OSError:
        raise CannotListen(listen) from None
    port = listener.getsockname()[1]
    handshakes: set[asyncio.Task[None]] = set()
    accepting = await asyncio.get_running_loop().create_server(
        lambda: _Arrival(server, certificate, handshake_seconds, handshakes), sock=listener
    )
    try:
        yield Address(listen.host, port)
    finally:
        accepting.close()
        for handshake in tuple(handshakes):
            handshake.cancel()
        server.pre_shutdown()
        await server.shutdown(shutdown_seconds)


class _Arrival(asyncio.Protocol):
    """A connection before its handshake."""

    def __init__(
        self,
        server: LimitedServer,
        certificate: WatchedFiles[ssl.SSLContext],
        handshake_seconds: float,
        handshakes: set[asyncio.Task[None]],
    ) -> None:
        self._server = server
        self._certificate = certificate
        self._handshake_seconds = handshake_seconds
        self._handshakes = handshakes

    def connection_made(self, made: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", made)  # Each of TCP is one; uvloop's does not say so.
        transport.pause_reading()  # Until TLS reads.
        if not self._server.has_room_beside(len(self._handshakes)):
            self._server.refuse(peer_of(transport), "total")
            transport.abort()
            return
        handshake = asyncio.create_task(self._handshake(transport), name="TLS handshake")
        self._handshakes.add(handshake)
        handshake.add_done_callback(self._handshakes.discard)

    async def _handshake(self, transport: asyncio.Transport) -> None:
        handler = self._server()
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport,
                handler,
                self._certificate.current(),
                server_side=True,
                ssl_handshake_timeout=self._handshake_seconds,
            )
        except OSError:  # An error of TLS is one too, and so is one that takes too long.
            transport.abort()
        else:
            if secured is not None:
                handler.connection_made(secured)
