"""What happens to TCP once the emulator has sent its close frame, as a client sees it that reads bytes."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from dashscope_emulator import Emulator, Fault
from dashscope_emulator.faults import Close

TEXT, BINARY, CLOSE = 0x1, 0x2, 0x8
FOREVER = 1000.0


class RawClient:
    """A WebSocket in frames; each of ours is masked with zeros."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, opcode: int, data: bytes) -> None:
        size = struct.pack(">B", 0x80 | len(data)) if len(data) < 126 else struct.pack(">BH", 0x80 | 126, len(data))
        self.writer.write(bytes((0x80 | opcode,)) + size + bytes(4) + data)
        await self.writer.drain()

    async def receive(self) -> tuple[int, bytes]:
        async with asyncio.timeout(60):
            head, size = await self.reader.readexactly(2)
            if size == 126:
                (size,) = struct.unpack(">H", await self.reader.readexactly(2))
            return head & 0x0F, await self.reader.readexactly(size)

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        async with asyncio.timeout(60):
            return await self.reader.read()


Open = Callable[..., Awaitable[RawClient]]


@pytest.fixture
async def open_raw() -> AsyncIterator[Open]:
    writers = []

    async def open_on(emulator: Emulator, path: str = "/api-ws/v1/inference") -> RawClient:
        reader, writer = await asyncio.open_connection("127.0.0.1", emulator.port)
        writers.append(writer)
        key = base64.b64encode(bytes(16)).decode()
        head = ("Host: x", "Upgrade: websocket", "Connection: Upgrade", "Authorization: Bearer k")
        more = ("Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", "", "")
        writer.write("\r\n".join((f"GET {path} HTTP/1.1", *head, *more)).encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        return RawClient(reader, writer)

    yield open_on
    for writer in writers:
        writer.close()


async def fail(client: RawClient) -> None:
    """Break the protocol; read `task-failed` and the close frame."""
    await client.send(TEXT, b"{")
    opcode, data = await client.receive()
    assert (opcode, json.loads(data)["header"]["event"]) == (TEXT, "task-failed")
    assert await client.receive() == (CLOSE, struct.pack(">H", 1000))


async def test_tcp_stays_open_until_the_client_answers_the_close_frame(start: Any, open_raw: Open) -> None:
    """A connection cut at once answers what is still on its way with a reset, and the client loses `task-failed`."""
    client = await open_raw(await start(knobs={"close_seconds": FOREVER}))
    await fail(client)
    for _ in range(20):
        await client.send(BINARY, bytes(3200))
    await client.send(CLOSE, struct.pack(">H", 1000))
    assert await client.rest() == b""


async def test_a_client_that_never_answers_is_reset(start: Any, open_raw: Open) -> None:
    client = await open_raw(await start(knobs={"close_seconds": 0.05}))
    await fail(client)
    assert await client.rest() == b""


async def test_nothing_follows_the_close_frame(start: Any, open_raw: Open) -> None:
    emulator = await start(faults=(Fault(action=Close(code=1011, reason="oops"), packets=1),))
    client = await open_raw(emulator, "/api-ws/v1/realtime?model=qwen3-asr-flash-realtime")
    audio = json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(3200)).decode()})
    await client.receive()
    await client.send(TEXT, audio.encode())
    assert await client.receive() == (CLOSE, struct.pack(">H", 1011) + b"oops")
    await client.send(TEXT, audio.encode())
    await client.send(TEXT, b'{"type": "session.finish"}')
    await client.send(CLOSE, struct.pack(">H", 1011))
    assert await client.rest() == b""
    assert emulator.journals[-1].audio_ms == 100


async def test_a_client_that_closes_first_gets_an_answer(start: Any, open_raw: Open) -> None:
    client = await open_raw(await start(knobs={"close_seconds": FOREVER}))
    await client.send(CLOSE, struct.pack(">H", 1001))
    assert await client.receive() == (CLOSE, struct.pack(">H", 1001))
    assert await client.rest() == b""


@pytest.mark.parametrize("answers", [True, False])
async def test_a_stopping_emulator_waits_for_the_answer_but_not_for_ever(
    start: Any, open_raw: Open, answers: bool
) -> None:
    emulator = await start(knobs={"close_seconds": 5.0 if answers else 0.05})
    client = await open_raw(emulator)
    stopping = asyncio.create_task(emulator.stop())
    assert await client.receive() == (CLOSE, struct.pack(">H", 1001) + b"shutting down")
    if answers:
        await client.send(CLOSE, struct.pack(">H", 1001))
        assert await client.rest() == b""
    async with asyncio.timeout(60):
        await stopping
