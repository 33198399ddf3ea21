"""Connections that are reset in their handshake, while certificates are replaced: what crashed gRPC's core.

By default it is a short storm. `ASRGATEWAY_LONG_TESTS=1` makes it 10,000 connections across 50 new certificates, and
20,000 without any: some two minutes.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from cryptography import x509

import rotating_server
from certificates import Certificate, make_certificate

IS_LONG = bool(os.environ.get("ASRGATEWAY_LONG_TESTS"))
RESETS = 20_000 if IS_LONG else 1_500
ROTATIONS = 50 if IS_LONG else 3
RESETS_PER_ROTATION = 200
THREADS = 8
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST.


def untrusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def client_hello() -> bytes:
    out = ssl.MemoryBIO()
    handshake = untrusting().wrap_bio(ssl.MemoryBIO(), out)
    with pytest.raises(ssl.SSLWantReadError):
        handshake.do_handshake()
    return out.read()


class Storm:
    """Threads that open a connection, begin a handshake and reset it, again and again.

    Attributes:
        resets: How many they have made.
        errors: What else came in their way.
    """

    def __init__(self, port: int) -> None:
        self._address = ("127.0.0.1", port)
        self._hello = client_hello()
        self._is_over = threading.Event()
        self._made = [0] * THREADS
        self.errors: list[OSError] = []

    @property
    def resets(self) -> int:
        return sum(self._made)

    @contextmanager
    def raging(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._reset_many, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join()

    async def reach(self, resets: int) -> None:
        async with asyncio.timeout(300 if IS_LONG else 60):
            while self.resets < resets and not self.errors:  # noqa: ASYNC110 the threads signal nobody
                await asyncio.sleep(0.01)

    def _reset_many(self, number: int) -> None:
        while not self._is_over.is_set():
            try:
                with socket.create_connection(self._address, timeout=60) as connection:
                    connection.sendall(self._hello)
                    if self._made[number] % 2:
                        connection.recv(100)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            except OSError as error:
                self.errors.append(error)
                return
            self._made[number] += 1


class Served:
    """A server in a child process.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.port = port

    async def replaced(self) -> str:
        """Wait until it has taken a new certificate; return what it says of it."""
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            return (await self._process.stdout.readline()).decode().strip()

    def is_running(self) -> bool:
        return self._process.returncode is None

    def serial_number(self) -> int:
        """The serial number of the certificate that a new client sees."""
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=60) as plain,
            untrusting().wrap_socket(plain) as secure,
        ):
            shown = secure.getpeercert(binary_form=True)
        assert shown is not None
        return x509.load_der_x509_certificate(shown).serial_number


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Served]:
    make_certificate(folder)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        rotating_server.__file__,
        str(folder),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # gRPC's core has a line for each handshake that fails.
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            port = int(await process.stdout.readline())
        yield Served(process, port)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def serial_number(certificate: Certificate) -> int:
    return x509.load_pem_x509_certificate(certificate.chain.read_bytes()).serial_number


@pytest.mark.timeout(600 if IS_LONG else 300)
async def test_handshakes_that_are_reset_crash_nothing(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        storm = Storm(server.port)
        with storm.raging():
            await storm.reach(RESETS)
        assert (storm.errors, server.is_running()) == ([], True)
        assert await asyncio.to_thread(server.serial_number)


@pytest.mark.timeout(900 if IS_LONG else 300)
async def test_certificates_are_replaced_in_a_storm(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        storm = Storm(server.port)
        with storm.raging():
            for rotation in range(1, ROTATIONS + 1):
                newest = make_certificate(tmp_path)
                assert await server.replaced() == "new connections get the new certificate"
                assert await asyncio.to_thread(server.serial_number) == serial_number(newest)
                await storm.reach(rotation * RESETS_PER_ROTATION)
        assert (storm.errors, server.is_running()) == ([], True)
