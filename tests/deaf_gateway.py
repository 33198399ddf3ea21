"""Gateways on loopback that leave messages on their way: a connection's calls get 64 KiB of room, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

from gateways import eventually
from http2 import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, field, frame
from scripted_gateway import TAKEN

#: How much it takes (RFC 9113, 6.9.2).
WINDOW_BYTES: Final = 65_535
#: Turns of the event loop until a connection that was accepted is served.
_TURNS_TO_ACCEPT: Final = 5
_ACKNOWLEDGED: Final = 1
_FRAME_BYTES: Final = 9
_GRPC: Final = field(":status", "200") + field("content-type", "application/grpc")
_HEADER: Final = frame(HEADERS, _GRPC + b"".join(field(*one) for one in TAKEN), flags=END_HEADERS)
_UNAVAILABLE: Final = frame(HEADERS, _GRPC + field("grpc-status", "14"), flags=END_HEADERS | END_STREAM)


@dataclass(slots=True, kw_only=True)
class DeafGateway:
    """A running one.

    Attributes:
        target: Where it listens.
        arrivals: How many calls came; connections where no call can come.
    """

    target: str = ""
    arrivals: int = 0


@asynccontextmanager
async def silent_listener() -> AsyncIterator[DeafGateway]:
    """Take connections, and say nothing."""

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        gateway.arrivals += 1
        await reader.read()

    async with _serving(serve) as gateway:
        yield gateway


@asynccontextmanager
async def speechless_gateway() -> AsyncIterator[DeafGateway]:
    """Take connections, and never answer a call."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for kind, _, _ in _frames(reader, writer):
            gateway.arrivals += kind == HEADERS

    async with _serving(serve) as gateway:
        yield gateway


@asynccontextmanager
async def losing_gateway(*, takes_calls: bool = True) -> AsyncIterator[DeafGateway]:
    """Lose the connection of a call once nothing more fits."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = 0
        async for kind, stream, count in _frames(reader, writer):
            gateway.arrivals += kind == HEADERS
            if kind == HEADERS and takes_calls:
                writer.write(_on(stream, _HEADER))
            received += count if kind == DATA else 0
            if received >= WINDOW_BYTES:
                return

    async with _serving(serve) as gateway:
        yield gateway


@asynccontextmanager
async def refusing_gateway(*, after_bytes: int, takes_others: bool = True) -> AsyncIterator[DeafGateway]:
    """Refuse the first call once so much of it came, and take all others, or never answer them."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = 0
        async for kind, stream, count in _frames(reader, writer):
            gateway.arrivals += kind == HEADERS
            if kind == HEADERS and gateway.arrivals > 1 and takes_others:
                writer.write(_on(stream, _HEADER))
            elif kind == DATA and gateway.arrivals == 1:
                received += count
                writer.write(_on(stream, _UNAVAILABLE) if received >= after_bytes else b"")

    async with _serving(serve) as gateway:
        yield gateway


_Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class _Connection(asyncio.StreamReaderProtocol):
    """A connection that its owner sees as long as it is open."""

    def __init__(self, serve: _Serve, open_ones: set[_Connection]) -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError, asyncio.IncompleteReadError):  # The client may leave.
                await serve(reader, writer)
            writer.transport.abort()

        super().__init__(asyncio.StreamReader(), connected)
        self._open_ones = open_ones
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport
        self._open_ones.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._open_ones.discard(self)


@asynccontextmanager
async def _serving(serve: _Serve) -> AsyncIterator[DeafGateway]:
    open_ones: set[_Connection] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(serve, open_ones), "127.0.0.1", 0)
    try:
        yield DeafGateway(target=f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    finally:
        # Python leaves a connection open that it has accepted, but not yet served, when its server is closed.
        for _ in range(_TURNS_TO_ACCEPT):
            await asyncio.sleep(0)
        server.close()
        for one in open_ones:
            assert one.transport is not None
            one.transport.abort()
        await eventually(lambda: not open_ones)
        await server.wait_closed()


async def _frames(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> AsyncIterator[tuple[int, int, int]]:
    """Greet a client and read its frames: the kind, the stream, and the length of the payload."""
    await reader.readexactly(len(PREFACE))
    writer.write(frame(SETTINGS))
    while True:
        head = await reader.readexactly(_FRAME_BYTES)
        count, kind, flags, stream = int.from_bytes(head[:3]), head[3], head[4], int.from_bytes(head[5:])
        await reader.readexactly(count)
        if kind == SETTINGS and not flags:
            writer.write(frame(SETTINGS, flags=_ACKNOWLEDGED))
        yield kind, stream, count


def _on(stream: int, one: bytes) -> bytes:
    """The frame on this stream."""
    return one[:5] + stream.to_bytes(4, "big") + one[_FRAME_BYTES:]
