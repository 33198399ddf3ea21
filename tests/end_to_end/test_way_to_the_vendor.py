"""TLS, certificates and proxies between the gateway and the vendor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from asrgateway_server.settings import SettingsError
from calls import Outcome, Stub, config, in_messages, recognize
from certificates import make_certificate
from dashscope_emulator.recognizers.markers import marker_audio
from emulated_vendor import vendor_and_gateway
from gateways import open_gateway

WORDS = "w0 w1 w2 w3 w4"


async def call(stub: Stub) -> Outcome:
    return await recognize(stub, [config(model="paraformer-realtime-v2"), *in_messages(marker_audio(0, 150))])


async def test_a_vendor_behind_tls_is_trusted_by_its_certificate(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    tls = {"tls_cert": certificate.chain, "tls_key": certificate.key}
    async with vendor_and_gateway(emulator=tls, upstream_ca_file=str(certificate.chain)) as (vendor, _, stub):
        assert vendor.url.startswith("wss://")
        assert (await call(stub)).texts == [WORDS]


async def test_a_call_of_many_packets_goes_through_tls(tmp_path: Path) -> None:
    """On TLS a buffer limit of 0 stops the writer for good after a few packets: "empty" then counts as "full"."""
    certificate = make_certificate(tmp_path)
    tls = {"tls_cert": certificate.chain, "tls_key": certificate.key}
    async with vendor_and_gateway(emulator=tls, upstream_ca_file=str(certificate.chain)) as (_, _, stub):
        requests = [config(model="paraformer-realtime-v2"), *in_messages(marker_audio(0, 3000))]
        outcome = await recognize(stub, requests, timeout=60)
    assert outcome.code is grpc.StatusCode.OK
    assert outcome.finished.audio_duration.ToMilliseconds() == 30_000
    assert outcome.texts


async def test_a_vendor_whose_certificate_nobody_vouches_for_is_not_spoken_to(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    async with vendor_and_gateway(emulator={"tls_cert": certificate.chain, "tls_key": certificate.key}) as (
        vendor,
        _,
        stub,
    ):
        outcome = await call(stub)
        assert list(vendor.journals) == []
    assert (outcome.code, outcome.reason) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")


async def test_a_ca_file_that_is_not_there_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="upstream_ca_file"):
        async with open_gateway(dashscope_api_key="k", upstream_ca_file="/nowhere/ca.pem"):
            pass


@asynccontextmanager
async def proxy() -> AsyncIterator[tuple[str, list[str]]]:
    """An HTTP proxy that only opens tunnels; its URL, and the first line of each request."""
    asked: list[str] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(request.splitlines()[0])
        host, _, port = asked[-1].split()[1].rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pump(reader, far_writer))
            tasks.create_task(pump(far_reader, writer))

    server = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def test_the_vendor_is_reached_through_the_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(tmp_path)
    tls = {"tls_cert": certificate.chain, "tls_key": certificate.key}
    async with (
        proxy() as (url, asked),
        vendor_and_gateway(emulator=tls, upstream_ca_file=str(certificate.chain)) as (vendor, _, stub),
    ):
        monkeypatch.setenv("HTTPS_PROXY", url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        outcome = await call(stub)
        assert asked == [f"CONNECT 127.0.0.1:{vendor.port} HTTP/1.1"]
    assert outcome.texts == [WORDS]
