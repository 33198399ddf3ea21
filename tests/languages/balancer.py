"""A plain TCP balancer, as a cloud has one in front of its gateways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

_PIECE_BYTES: Final = 1 << 16


class Balancer:
    """Passes each new connection to the next of its gateways, and what flows on it in both directions.

    Attributes:
        gateways: Addresses that get new connections, in turn; a connection stays when its gateway is taken out.
        target: Where clients reach it.
        passed_bytes: What it has passed on so far.
    """

    def __init__(self) -> None:
        self.gateways: list[str] = []
        self.target = ""
        self.passed_bytes = 0
        self._turn = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on until either side closes it."""
        host, port = self._next_gateway().rsplit(":", 1)
        with suppress(OSError):
            back_reader, back_writer = await asyncio.open_connection(host, int(port))
            ways = (self._pass_on(reader, back_writer), self._pass_on(back_reader, writer))
            tasks = [asyncio.ensure_future(way) for way in ways]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                back_writer.close()
        writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_PIECE_BYTES):
                writer.write(data)
                self.passed_bytes += len(data)
                await writer.drain()

    def _next_gateway(self) -> str:
        self._turn += 1
        return self.gateways[self._turn % len(self.gateways)]


@asynccontextmanager
async def running_balancer() -> AsyncIterator[Balancer]:
    """Run a balancer that has no gateways yet."""
    balancer = Balancer()
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(balancer.serve(reader, writer), name="balance")
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    balancer.target = "{}:{}".format(*server.sockets[0].getsockname())
    try:
        async with server:
            yield balancer
    finally:
        tasks = tuple(connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
