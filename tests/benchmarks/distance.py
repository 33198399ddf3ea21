"""A TCP relay on loopback that makes its far side seem far away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

_READ_BYTES: Final = 65_536
_END_SECONDS: Final = 5.0
# Timers of the loop are late by up to this; the last of it is waited out awake.
_TIMER_SECONDS: Final = 0.0015


@asynccontextmanager
async def distance_to(host: str, port: int, round_trip_seconds: float) -> AsyncIterator[int]:
    """Yield a port of 127.0.0.1 behind which ``host:port`` is so far away.

    The kernel's handshake with the relay takes no time, so the client's first bytes wait for the round trip that
    it would have taken.
    """
    connections: set[asyncio.StreamWriter] = set()
    is_idle = asyncio.Event()
    is_idle.set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        is_idle.clear()
        try:
            with contextlib.suppress(OSError):
                await _relay(reader, writer, host, port, round_trip_seconds)
        finally:
            writer.close()
            connections.discard(writer)
            if not connections:
                is_idle.set()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in connections:
            connection.transport.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await is_idle.wait()


async def _relay(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int, round_trip_seconds: float
) -> None:
    opened = asyncio.get_running_loop().time()
    far_reader, far_writer = await asyncio.open_connection(host, port)
    one_way = round_trip_seconds / 2
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_carry(reader, far_writer, one_way, opened + round_trip_seconds))
            tasks.create_task(_carry(far_reader, writer, one_way, opened))
    except* OSError:
        pass  # one side is gone, and so is the connection
    finally:
        far_writer.close()


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, one_way_seconds: float, not_before: float
) -> None:
    """Write what is read, each piece so much later than it came, until the end is carried too."""
    clock = asyncio.get_running_loop().time
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def write() -> None:
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(due - clock() - _TIMER_SECONDS)
            while clock() < due:  # noqa: ASYNC110 nothing else tells the time
                await asyncio.sleep(0)
            if not piece:
                writer.close()
                return
            writer.write(piece)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        while True:
            piece = await reader.read(_READ_BYTES)
            pieces.put_nowait((max(clock(), not_before) + one_way_seconds, piece))
            if not piece:
                return
