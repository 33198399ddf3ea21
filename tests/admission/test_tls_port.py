"""A port with TLS bounds its handshakes and follows its certificate; test_http_server.py has what any port does."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from asrgateway_server.admission.limited_server import LimitedServer, PortLimits
from asrgateway_server.admission.tls import CertificateFiles
from asrgateway_server.admission.tls_port import listening_with_tls
from asrgateway_server.metrics import Metrics
from asrgateway_server.settings import Address
from asrgateway_server.watched_files import WatchedFiles
from certificates import Certificate, make_certificate


async def answer(_: web.BaseRequest) -> web.Response:
    return web.Response(text="here")


def made(folder: Path) -> Certificate:
    folder.mkdir()
    return make_certificate(folder)


async def read(address: Address, certificate: Certificate) -> str:
    """What the port says to a client that trusts this certificate only; empty if it does not trust the port."""
    context = ssl.create_default_context(cafile=certificate.chain)
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(f"https://{address}/", ssl=context) as response:
                return await response.text()
        except aiohttp.ClientConnectorCertificateError:
            return ""


@asynccontextmanager
async def served(
    certificate: Certificate, metrics: Metrics, *, handshake_seconds: float = 60, connections: int = 9
) -> AsyncIterator[Address]:
    files = CertificateFiles(certificate.chain, certificate.key, None)
    limits = PortLimits(port="web", connections=connections, connections_per_peer=9, timeout_seconds=9)
    async with listening_with_tls(
        LimitedServer(answer, limits, metrics),
        Address("127.0.0.1", 0),
        WatchedFiles(files.paths, files.read_context, 0),
        handshake_seconds=handshake_seconds,
        shutdown_seconds=0.1,
    ) as address:
        yield address


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


async def test_new_connections_get_a_new_certificate(tmp_path: Path, metrics: Metrics) -> None:
    shown, following = made(tmp_path / "shown"), made(tmp_path / "following")
    old = Certificate(Path(shutil.copy(shown.chain, tmp_path / "old.pem")), shown.key)
    async with served(shown, metrics) as address:
        assert (await read(address, old), await read(address, following)) == ("here", "")
        shutil.copy(following.key, shown.key)
        shutil.copy(following.chain, shown.chain)
        assert (await read(address, old), await read(address, following)) == ("", "here")


async def test_half_a_handshake_is_dropped(tmp_path: Path, metrics: Metrics) -> None:
    async with served(made(tmp_path / "shown"), metrics, handshake_seconds=0.1) as address:
        assert await is_closed(address)


async def test_handshakes_count_as_connections(tmp_path: Path, metrics: Metrics) -> None:
    async with served(made(tmp_path / "shown"), metrics, connections=1) as address:
        _, first = await asyncio.open_connection(*address)
        assert await is_closed(address)
        assert metrics.registry.get_sample_value("asrgateway_connections_refused_total", {"port": "web"}) == 1
        first.transport.abort()


async def is_closed(address: Address) -> bool:
    """Whether the port ends a connection that says nothing."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        async with asyncio.timeout(60):
            return not await reader.read()
    except ConnectionError:
        return True
    finally:
        writer.transport.abort()
