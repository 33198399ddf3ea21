"""The door for browsers with TLS."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from asrgateway_server.lifecycle import Gateway
from asrgateway_server.settings import SettingsError
from certificates import Certificate, make_certificate
from gateways import open_gateway
from web_calls import CONFIG, FINISH, recognize


@pytest.fixture
def server(tmp_path: Path) -> Certificate:
    (tmp_path / "server").mkdir()
    return make_certificate(tmp_path / "server")


@pytest.fixture
def client(tmp_path: Path) -> Certificate:
    (tmp_path / "client").mkdir()
    return make_certificate(tmp_path / "client", "browser-7")


@asynccontextmanager
async def secured(server: Certificate, **settings: object) -> AsyncIterator[Gateway]:
    files = {"tls_cert_file": str(server.chain), "tls_key_file": str(server.key), "web_listen": "127.0.0.1:0"}
    async with open_gateway(**files | settings) as (gateway, _):
        yield gateway


def trusting(server: Certificate, client: Certificate | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=server.chain)
    if client:
        context.load_cert_chain(client.chain, client.key)
    return context


def url(gateway: Gateway) -> str:
    return f"https://{gateway.web_address}/v1/recognize"


async def test_the_gateways_certificate_is_that_of_its_web_door(server: Certificate, mother: bytes) -> None:
    async with secured(server) as gateway:
        outcome = await recognize(gateway, [CONFIG, mother, FINISH], url=url(gateway), ssl=trusting(server))
        assert outcome.texts == ["please call my mother tomorrow morning"]


async def test_a_browser_must_show_a_certificate_where_clients_must(server: Certificate, client: Certificate) -> None:
    async with secured(server, tls_client_ca_file=str(client.chain)) as gateway:
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await recognize(gateway, [CONFIG, FINISH], url=url(gateway), ssl=trusting(server))
        outcome = await recognize(gateway, [CONFIG, FINISH], url=url(gateway), ssl=trusting(server, client))
        assert outcome.field == "audio"


async def test_a_certificate_without_its_key_stops_the_start(server: Certificate, client: Certificate) -> None:
    with pytest.raises(SettingsError, match="is not the key of the certificate"):
        async with secured(server, tls_key_file=str(client.key)):
            pass
