"""A port with TLS follows its certificate; tests/grpc_api/test_http_server.py has what any such port does."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from pathlib import Path

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry

from asrgateway_server.admission.limited_server import LimitedServer, PortLimits, listening_with_tls
from asrgateway_server.admission.tls import CertificateFiles
from asrgateway_server.metrics import Metrics
from asrgateway_server.settings import Address
from asrgateway_server.watched_files import WatchedFiles
from certificates import Certificate, make_certificate

LIMITS = PortLimits(port="web", connections=9, connections_per_peer=9, timeout_seconds=9)


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


async def until_read(address: Address, certificate: Certificate) -> None:
    while not await read(address, certificate):  # noqa: ASYNC110 the server signals nobody
        await asyncio.sleep(0.02)


async def test_new_connections_get_a_new_certificate(tmp_path: Path) -> None:
    shown, following = made(tmp_path / "shown"), made(tmp_path / "following")
    files = CertificateFiles(shown.chain, shown.key, None)
    watched = WatchedFiles(files.paths, files.read_context, 0)
    old = Certificate(Path(shutil.copy(shown.chain, tmp_path / "old.pem")), shown.key)
    server = LimitedServer(answer, LIMITS, Metrics(CollectorRegistry()))
    async with listening_with_tls(server, Address("127.0.0.1", 0), watched, 0.1, check_seconds=0.02) as address:
        assert (await read(address, old), await read(address, following)) == ("here", "")
        shutil.copy(following.key, shown.key)
        shutil.copy(following.chain, shown.chain)
        async with asyncio.timeout(60):
            await until_read(address, following)
        assert await read(address, old) == ""
