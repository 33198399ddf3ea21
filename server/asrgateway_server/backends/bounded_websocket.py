"""A WebSocket connection whose sends wait until the kernel has taken the message, and whose end is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections import deque
from typing import Any, Final, cast

import aiohttp

# What an upstream does not read must slow the client soon: a quarter of a second of audio may wait in the kernel
# unsent. What is on its way does not count, so that a long round trip slows nobody. Linux: tcp(7), TCP_NOTSENT_LOWAT.
_UNSENT_BYTES: Final = 8 * 1024
_TCP_NOTSENT_LOWAT: Final = 25
#: How long a peer may take part in closing.
CLOSE_SECONDS: Final = 1.0
# A vendor greets with one message at most, before it is sent anything.
_MOST_HELD: Final = 8
#: What ``send_*`` raises when the connection is gone.
GONE: Final = (aiohttp.ClientError, OSError)


def bound_unsent(connection: socket.socket) -> None:
    """Let no more than a quarter of a second of audio wait in the kernel, where the system can."""
    if sys.platform == "linux":
        connection.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _UNSENT_BYTES)


def bounded_socket(address: Any) -> socket.socket:  # Any: the library's alias of what getaddrinfo returns
    """Return a socket for an address, see ``bound_unsent``."""
    family, kind, protocol, _, _ = address
    connection = socket.socket(family=family, type=kind, proto=protocol)
    bound_unsent(connection)
    return connection


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
        self._held: deque[aiohttp.WSMessage] = deque()
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
        if self._held:
            return self._held.popleft()
        message = await super().receive(timeout)
        if message.type is aiohttp.WSMsgType.PING:
            with contextlib.suppress(*GONE):  # What follows says so.
                await self.pong(message.data)
        return message

    async def wait_for_end(self) -> None:
        """Read while nobody uses the connection; return once nobody can any more.

        Unless it is read, neither its end shows nor is a ping answered. If this is cancelled, ``receive`` returns what
        came meanwhile.
        """
        came: list[aiohttp.WSMessage] = []
        try:
            while len(came) < _MOST_HELD:
                message = await self.receive()
                if message.type is aiohttp.WSMsgType.TEXT:
                    came.append(message)
                elif message.type not in {aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG}:
                    return
        finally:
            self._held.extend(came)
            if not self.closed:
                self._close_code = None  # The library takes a read that is cancelled for the end of the connection.

    async def close(self, *, code: int = aiohttp.WSCloseCode.OK, message: bytes = b"") -> bool:
        """Close in order if the peer takes part in it for a second; cut what it does not take."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                return await super().close(code=code, message=message)
        except TimeoutError:
            self._response.close()  # The library may still have waited for a reader.
            return True
        except asyncio.CancelledError:
            self._response.close()
            raise
        finally:
            if _has_unwritten_bytes(self._transport):
                self._transport.abort()

    async def is_pinged(self) -> bool:
        """Ask for a pong; return that one will show."""
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
