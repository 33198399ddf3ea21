"""The HTTP port serves Prometheus, whatever others do with their connections."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from asrgateway_server.grpc_api.http_server import http_server
from asrgateway_server.metrics import Metrics
from asrgateway_server.settings import Address, SettingsError
from gateways import eventually

ANYWHERE = Address("127.0.0.1", 0)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


@asynccontextmanager
async def served(
    metrics: Metrics, *, connections: int = 100, per_peer: int = 100, timeout_seconds: float = 10.0
) -> AsyncIterator[Address]:
    async with http_server(
        ANYWHERE,
        metrics,
        max_connections=connections,
        max_connections_per_peer=per_peer,
        timeout_seconds=timeout_seconds,
    ) as address:
        yield address


@asynccontextmanager
async def connected(
    address: Address, source: str = "127.0.0.1"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*address, local_addr=(source, 0), limit=1024)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def status_of(address: Address, path: str = "/metrics", method: str = "GET") -> int:
    async with aiohttp.ClientSession() as session, session.request(method, f"http://{address}{path}") as response:
        await response.read()
        return response.status


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Whether the other side ends the connection; what it sends before does not count."""
    async with asyncio.timeout(60):
        try:
            while await reader.read(1024):
                pass
        except ConnectionError:
            pass
    return True


def value(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(name, {"port": "http"})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/metrics", 200),
        ("HEAD", "/metrics", 200),
        ("GET", "/metrics?name=x", 200),
        ("POST", "/metrics", 405),
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
    ],
)
async def test_only_metrics_are_served(metrics: Metrics, method: str, path: str, status: int) -> None:
    async with served(metrics) as address:
        assert await status_of(address, path, method) == status


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="IPv6 is off here")
async def test_a_port_on_all_addresses_accepts_ipv4_too(metrics: Metrics) -> None:
    """As the gRPC ports are: a pod with addresses of both families is scraped at either."""
    async with http_server(
        Address("::", 0), metrics, max_connections=9, max_connections_per_peer=9, timeout_seconds=9
    ) as address:
        assert await status_of(Address("127.0.0.1", address.port)) == 200
        assert await status_of(Address("::1", address.port)) == 200


async def test_a_port_in_use_is_reported(metrics: Metrics) -> None:
    async with served(metrics) as address:
        with pytest.raises(SettingsError, match="the port is in use"):
            async with http_server(address, metrics, max_connections=1, max_connections_per_peer=1, timeout_seconds=1):
                pass


@pytest.mark.parametrize("sent", [b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\nHost: a\r\n"])
async def test_half_a_request_is_dropped(metrics: Metrics, sent: bytes) -> None:
    async with served(metrics, timeout_seconds=0.2) as address, connected(address) as (reader, writer):
        writer.write(sent)
        assert await is_closed(reader)


async def test_a_request_that_trickles_in_is_dropped(metrics: Metrics) -> None:
    async with served(metrics, timeout_seconds=0.2) as address, connected(address) as (reader, writer):
        closed = asyncio.create_task(is_closed(reader))
        writer.write(b"GET /metrics HTTP/1.1\r\n")
        while not closed.done():
            writer.write(b"x: y\r\n")
            await asyncio.sleep(0.05)
        assert closed.result()


async def test_a_response_that_nobody_reads_is_dropped(metrics: Metrics) -> None:
    for number in range(16):  # Together more than the kernel takes.
        metrics.connections.labels(f"{number}" * 1024 * 1024)
    async with served(metrics, timeout_seconds=0.2) as address, connected(address) as (_, writer):
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        await eventually(lambda: value(metrics, "asrgateway_connections") == 1)
        await eventually(lambda: value(metrics, "asrgateway_connections") == 0)


async def test_connections_beyond_the_limit_are_closed_counted_and_logged_once(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with served(metrics, connections=2) as address:
        async with connected(address), connected(address):
            await eventually(lambda: value(metrics, "asrgateway_connections") == 2)
            for _ in range(3):
                async with connected(address) as (reader, _):
                    assert await is_closed(reader)
            assert value(metrics, "asrgateway_connections_refused_total") == 3
            assert [record.message for record in caplog.records] == ["connection refused"]
        await eventually(lambda: value(metrics, "asrgateway_connections") == 0)
        assert await status_of(address) == 200


async def test_one_peer_cannot_take_all_connections(metrics: Metrics) -> None:
    async with served(metrics, per_peer=1) as address, AsyncExitStack() as stack:
        await stack.enter_async_context(connected(address, "127.0.0.2"))
        await eventually(lambda: value(metrics, "asrgateway_connections") == 1)
        reader, _ = await stack.enter_async_context(connected(address, "127.0.0.2"))
        assert await is_closed(reader)
        assert await status_of(address) == 200
