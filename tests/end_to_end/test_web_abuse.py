"""What one browser does to a gateway stays with it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import messages
from asrgateway_server.lifecycle import Gateway
from asrgateway_server.web_api import calls
from dashscope_emulator.recognizers.markers import marker_audio
from emulated_vendor import reaching, task_vendor, vendor_and_gateway
from gateways import eventually, open_gateway
from web_calls import CONFIG, FINISH, SUBPROTOCOL, connected, in_frames, outcome_of, recognize, send, url_of

WEB: dict[str, Any] = {"web_listen": "127.0.0.1:0"}
V2: dict[str, Any] = {"model": "paraformer-realtime-v2", "interimResults": True} | CONFIG
SPOKEN = marker_audio(0, 150)
SENTENCE = "w0 w1 w2 w3 w4"
UPGRADE = (
    f"GET /v1/recognize HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n"
).encode()
#: How much a second of audio is.
SECOND = 32_000


@asynccontextmanager
async def raw(gateway: Gateway, sent: bytes = b"") -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TCP connection that has sent something."""
    assert gateway.web_address is not None
    reader, writer = await asyncio.open_connection(*gateway.web_address)
    writer.write(sent)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def frame(opcode: int, payload: bytes, *, final: bool = True, reserved: int = 0, size: int | None = None) -> bytes:
    """A frame with an empty mask; ``size`` replaces the true one."""
    length = len(payload) if size is None else size
    head = bytes([(0x80 if final else 0) | reserved | opcode])
    if length < 126:
        return head + bytes([0x80 | length]) + bytes(4) + payload
    if length < 65_536:
        return head + struct.pack(">BH", 0x80 | 126, length) + bytes(4) + payload
    return head + struct.pack(">BQ", 0x80 | 127, length) + bytes(4) + payload


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """Everything until the other side closes."""
    found = b""
    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(65_536):
                found += part
    return found


async def is_served(gateway: Gateway) -> bool:
    return (await recognize(gateway, [V2, *in_frames(SPOKEN), FINISH])).texts == [SENTENCE]


def finished(caplog: pytest.LogCaptureFixture) -> list[object]:
    return [vars(record)["grpc_code"] for record in caplog.records if record.message == "call finished"]


# Handshakes and connections -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"GET /v1", UPGRADE, b"\x16\x03\x01", b"garbage\r\n\r\n", os.urandom(2000)])
async def test_half_a_handshake_is_dropped(sent: bytes) -> None:
    async with open_gateway(handshake_timeout_seconds=0.2, **WEB) as (gateway, _), raw(gateway, sent) as (reader, _):
        assert b"101 Switching" not in await rest_of(reader)


async def test_a_thousand_connections_are_held_and_one_more_is_closed() -> None:
    async with (
        open_gateway(max_web_connections=1000, handshake_timeout_seconds=600, **WEB) as (gateway, _),
        contextlib.AsyncExitStack() as stack,
    ):

        def is_open(number: int) -> bool:
            return gateway.metrics.registry.get_sample_value("asrgateway_connections", {"port": "web"}) == number

        for _ in range(1000):
            await stack.enter_async_context(raw(gateway))
        await eventually(lambda: is_open(1000))
        async with raw(gateway) as (reader, _):
            assert await rest_of(reader) == b""
        refused = gateway.metrics.registry.get_sample_value("asrgateway_connections_refused_total", {"port": "web"})
        assert refused == 1


async def test_the_connections_of_one_address_are_limited() -> None:
    async with (
        open_gateway(max_web_connections_per_peer=1, **WEB) as (gateway, _),
        raw(gateway),
        raw(gateway, UPGRADE + b"\r\n") as (reader, _),
    ):
        assert await rest_of(reader) == b""


# Frames ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "close_code"),
    [
        (frame(2, b"", size=2**62), 1009),
        (frame(2, b"", size=2**63 + 1), 1009),
        (frame(1, b"\xff\xfe"), 1007),
        (frame(2, b"x" * 100, reserved=0x40), 1002),
        (frame(3, b""), 1002),
        (frame(9, b"x" * 126), 1002),
        (frame(0, b"x"), 1002),
        (frame(2, bytes(2_000_000), final=False) + frame(0, bytes(2_000_000), final=False) * 2, 1009),
    ],
    ids=["huge", "negative", "no text", "compressed", "no opcode", "long ping", "no beginning", "in parts"],
)
async def test_a_frame_that_is_none_ends_the_connection(
    sent: bytes, close_code: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    config = frame(1, json.dumps(V2).encode())
    async with vendor_and_gateway(**WEB) as (vendor, gateway, _):
        async with raw(gateway, UPGRADE + b"\r\n" + config + sent) as (reader, _):
            assert struct.pack(">H", close_code) in (await rest_of(reader))[-8:]
        await eventually(lambda: len(finished(caplog)) == 1)
        assert finished(caplog)[0] in {"INVALID_ARGUMENT", "CANCELLED"}
        await eventually(lambda: vendor.open_connections == 0)
        assert await is_served(gateway)


async def test_compression_is_not_agreed() -> None:
    async with open_gateway(**WEB) as (gateway, _), connected(gateway, compress=15) as connection:
        assert not connection.compress


async def test_endless_small_frames_end_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "FRAMES_PER_MINUTE", 100)
    async with vendor_and_gateway(**WEB) as (_, gateway, _):
        outcome = await recognize(gateway, [V2, *[b""] * 1000])
        assert (outcome.code, outcome.reason, outcome.field) == (8, "CLIENT_LIMIT_REACHED", "request")
        assert outcome.retry_delay


async def test_endless_pings_end_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "FRAMES_PER_MINUTE", 100)
    async with vendor_and_gateway(**WEB) as (_, gateway, _), connected(gateway) as connection:
        await send(connection, V2)
        for _ in range(1000):
            with contextlib.suppress(ConnectionError):
                await connection.ping()
        assert (await outcome_of(connection)).code == 8


# Pressure -------------------------------------------------------------------------------------------------------------


async def test_a_vendor_that_reads_nothing_slows_the_browser() -> None:
    """What waits between them: some audio of the log, of the library, and of the kernels."""
    released = asyncio.Event()

    async def deaf(request: web.Request, _: web.WebSocketResponse) -> None:
        assert isinstance(request.transport, asyncio.Transport)
        request.transport.pause_reading()
        await released.wait()

    patient = {"backlog_speed": 1000.0, "upstream_stall_timeout_seconds": 600.0}
    async with (
        task_vendor(deaf) as url,
        open_gateway(**reaching(url, "websocket") | patient, **WEB) as (gateway, _),
        connected(gateway) as connection,
    ):
        await send(connection, V2)
        await connection.receive_json()
        sender = connection._writer.transport
        sender.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sender.set_write_buffer_limits(high=1)
        sent = await bytes_until_stuck(connection)
        assert SECOND < sent < 8 * SECOND
        released.set()


async def bytes_until_stuck(connection: aiohttp.ClientWebSocketResponse[bool]) -> int:
    """Speak until nothing was taken for half a second; return how much was."""
    sent = 0
    with contextlib.suppress(TimeoutError):
        while True:
            async with asyncio.timeout(0.5):
                await connection.send_bytes(SPOKEN[:3200])
                await connection._writer.protocol._drain_helper()
            sent += 3200
    return sent


async def test_a_browser_that_reads_nothing_slows_the_vendor_and_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def flood(_: web.Request, connection: web.WebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError):
            for start_ms in itertools.count(step=100):
                await connection.send_str(messages.final("x" * 10_000, start_ms, start_ms + 100))

    async with (
        task_vendor(flood) as url,
        open_gateway(**reaching(url, "websocket"), write_timeout_seconds=0.5, **WEB) as (gateway, _),
        raw(gateway, UPGRADE + b"\r\n" + frame(1, json.dumps(V2).encode()) + frame(2, SPOKEN)) as (reader, writer),
    ):
        writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader._transport.pause_reading()  # type: ignore[attr-defined] # it has one
        await eventually(lambda: finished(caplog) == ["DEADLINE_EXCEEDED"])
        await eventually(
            lambda: gateway.metrics.registry.get_sample_value("asrgateway_connections", {"port": "web"}) == 0
        )


# Signs of life --------------------------------------------------------------------------------------------------------


async def test_a_browser_that_shows_no_sign_of_life_is_gone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(calls, "HEARTBEAT_SECONDS", 0.1)
    caplog.set_level(logging.INFO)
    async with (
        vendor_and_gateway(**WEB) as (vendor, gateway, _),
        raw(gateway, UPGRADE + b"\r\n" + frame(1, json.dumps(V2).encode())),
    ):
        await eventually(lambda: finished(caplog) == ["CANCELLED"])
        await eventually(lambda: vendor.open_connections == 0)


async def test_a_browser_that_is_only_quiet_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "HEARTBEAT_SECONDS", 0.05)
    async with vendor_and_gateway(**WEB) as (_, gateway, _), connected(gateway, autoping=False) as connection:
        await send(connection, V2)
        pings = 0
        while pings < 5:
            message = await connection.receive()
            if message.type is aiohttp.WSMsgType.PING:
                await connection.pong(message.data)
                pings += 1
        for part in in_frames(SPOKEN):
            await send(connection, part)
        await send(connection, FINISH)
        assert (await outcome_of(connection)).texts == [SENTENCE]


# The page -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("GET", "/index.html", 200),
        ("POST", "/", 405),
        ("GET", "/../pyproject.toml", 404),
        ("GET", "/%2e%2e/pyproject.toml", 404),
        ("GET", "/v1/recognize", 426),
        ("GET", "/metrics", 404),
    ],
)
async def test_the_page_and_nothing_else_is_served(method: str, path: str, status: int) -> None:
    async with (
        open_gateway(**WEB) as (gateway, _),
        aiohttp.ClientSession() as session,
        session.request(method, url_of(gateway, path)) as response,
    ):
        assert response.status == status
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
