"""Servers that take over a port from each other, one for each certificate."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from asrgateway_server.admission.tls import CertificateFiles
from asrgateway_server.grpc_api import rotation
from asrgateway_server.grpc_api.ports import ONLY_ONE_LISTENER, bind
from asrgateway_server.grpc_api.rotation import RotatingServer, waiting_connections
from asrgateway_server.settings import Address, SettingsError
from asrgateway_server.watched_files import WatchedFiles
from certificates import Certificate, make_certificate
from gateways import eventually
from rotating_server import make_server

HOST = "127.0.0.1"
REQUEST = health_pb2.HealthCheckRequest()


@asynccontextmanager
async def rotating(certificate: Certificate, host: str = "127.0.0.1") -> AsyncIterator[RotatingServer]:
    files = CertificateFiles(certificate.chain, certificate.key, None)
    server = RotatingServer(
        make_server,
        Address(host, 0),
        WatchedFiles(files.paths, files.read, 0.02),
        check_seconds=0.02,
        settle_seconds=0.05,
        retire_seconds=0.05,
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop(0)


@asynccontextmanager
async def asking(server: RotatingServer, certificate: Certificate) -> AsyncIterator[health_pb2_grpc.HealthStub]:
    """A client on a connection of its own that trusts this certificate alone."""
    credentials = grpc.ssl_channel_credentials(certificate.chain.read_bytes())
    alone = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(f"127.0.0.1:{server.address.port}", credentials, options=alone) as channel:
        yield health_pb2_grpc.HealthStub(channel)


async def answers(server: RotatingServer, certificate: Certificate) -> bool:
    async with asking(server, certificate) as stub:
        try:
            await stub.Check(REQUEST, timeout=60)
        except grpc.aio.AioRpcError:
            return False
        return True


def is_alone(server: RotatingServer) -> bool:
    """Whether nothing but its newest server listens."""
    with rotation._listeners(server._names) as listeners:
        return len(listeners) == len(server._names)


async def replace(server: RotatingServer, folder: Path) -> Certificate:
    """Put another certificate there, and wait until it is the only one that is shown."""
    newest = make_certificate(folder)
    pem = newest.chain.read_text()
    async with asyncio.timeout(60):
        while await asyncio.to_thread(ssl.get_server_certificate, (HOST, server.address.port)) != pem:
            pass
    await eventually(lambda: is_alone(server))
    return newest


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::"])  # noqa: S104 for a moment, with nothing to hide
async def test_each_certificate_replaces_the_one_before(tmp_path: Path, host: str) -> None:
    async with rotating(make_certificate(tmp_path), host) as server:
        for _ in range(3):
            newest = await replace(server, tmp_path)
            for _ in range(10):
                assert await answers(server, newest)


async def test_open_calls_outlive_the_time_of_their_connection(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    async with rotating(certificate) as server:
        async with asking(server, certificate) as stub:
            watching = stub.Watch(REQUEST)
            assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
            for _ in range(3):
                await replace(server, tmp_path)
            assert not watching.done()
            await eventually(lambda: len(server._servers) == 2)
            watching.cancel()
        await eventually(lambda: len(server._servers) == 1)


async def test_no_other_process_can_open_the_port(tmp_path: Path) -> None:
    async with rotating(make_certificate(tmp_path)) as server:
        await replace(server, tmp_path)
        with pytest.raises(SettingsError, match="the port is in use"):
            bind(make_server(ONLY_ONE_LISTENER), server.address)


async def test_the_port_is_free_after_the_stop(tmp_path: Path) -> None:
    async with rotating(make_certificate(tmp_path)) as server:
        await replace(server, tmp_path)
    bind(make_server(ONLY_ONE_LISTENER), server.address)


async def test_a_failed_replacement_is_logged_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    old = make_certificate(tmp_path)
    async with rotating(old) as server:
        with monkeypatch.context() as patch:
            patch.setattr(rotation, "_OPEN_FILES", tmp_path / "nowhere")
            pem, expires_at = old.chain.read_text(), server.expires_at
            newest = make_certificate(tmp_path, days=2)
            await eventually(lambda: bool(caplog.records))
            assert await asyncio.to_thread(ssl.get_server_certificate, (HOST, server.address.port)) == pem
            assert server.expires_at == expires_at
        await eventually(lambda: is_alone(server) and len(server._servers) == 1 and server.expires_at != expires_at)
        assert await answers(server, newest)
    assert caplog.messages == ["new connections still get the old certificate"]


async def test_a_listener_is_found_among_the_maximum_of_connections(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as connections:
        for _ in range(100):
            for end in socket.socketpair():
                connections.enter_context(end)
        async with rotating(make_certificate(tmp_path)) as server:
            highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())  # noqa: ASYNC240 no disk
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 20, limits[1]))
            try:
                with rotation._listeners(server._names) as listeners:
                    assert len(listeners) == len(server._names)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_connections_that_nobody_has_accepted_are_counted() -> None:
    with socket.create_server((HOST, 0)) as listener, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(socket.create_connection(listener.getsockname()))
        assert waiting_connections(listener) == 2
        listener.accept()[0].close()
        assert waiting_connections(listener) == 1
