"""A gateway that never makes room for more than 64 KiB of all calls on a connection: messages stay on their way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

from http2 import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, field, frame
from scripted_gateway import TAKEN

Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

#: How much it takes (RFC 9113, 6.9.2).
WINDOW_BYTES: Final = 65_535
_ACKNOWLEDGED: Final = 1
_FRAME_BYTES: Final = 9
_GRPC: Final = field(":status", "200") + field("content-type", "application/grpc")
_HEADER: Final = frame(HEADERS, _GRPC + b"".join(field(*one) for one in TAKEN), flags=END_HEADERS)
_UNAVAILABLE: Final = frame(HEADERS, _GRPC + field("grpc-status", "14"), flags=END_HEADERS | END_STREAM)


@asynccontextmanager
async def losing_gateway() -> AsyncIterator[str]:
    """Take each call, and lose its connection once nothing more fits; yields the target."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = 0
        while received < WINDOW_BYTES:
            kind, stream, count = await _read_frame(reader, writer)
            received += count if kind == DATA else 0
            if kind == HEADERS:
                writer.write(_on(stream, _HEADER))

    async with _serving(serve) as target:
        yield target


@asynccontextmanager
async def refusing_gateway(*, after_bytes: int) -> AsyncIterator[str]:
    """Refuse the first call once so much of it came, and take all others; yields the target."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = calls = 0
        while True:
            kind, stream, count = await _read_frame(reader, writer)
            if kind == HEADERS:
                calls += 1
                writer.write(_on(stream, _HEADER) if calls > 1 else b"")
            elif kind == DATA and calls == 1:
                received += count
                writer.write(_on(stream, _UNAVAILABLE) if received >= after_bytes else b"")

    async with _serving(serve) as target:
        yield target


@asynccontextmanager
async def _serving(serve: Serve) -> AsyncIterator[str]:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readexactly(len(PREFACE))
            writer.write(frame(SETTINGS))
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # The client has left.
        finally:
            writer.transport.abort()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _read_frame(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, int, int]:
    """Read a frame; return its kind, its stream and the length of its payload."""
    head = await reader.readexactly(_FRAME_BYTES)
    count, kind, flags, stream = int.from_bytes(head[:3]), head[3], head[4], int.from_bytes(head[5:])
    await reader.readexactly(count)
    if kind == SETTINGS and not flags:
        writer.write(frame(SETTINGS, flags=_ACKNOWLEDGED))
    return kind, stream, count


def _on(stream: int, one: bytes) -> bytes:
    """A frame on another stream than 0."""
    return one[:5] + stream.to_bytes(4, "big") + one[_FRAME_BYTES:]
