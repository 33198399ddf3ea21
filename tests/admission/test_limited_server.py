"""What a port does about clients that leave; tests/grpc_api/test_http_server.py has what its limits do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from asrgateway_server.admission.limited_server import LimitedServer, PortLimits, listening, send_within
from asrgateway_server.metrics import Metrics
from asrgateway_server.settings import Address
from gateways import eventually


class Port:
    """A port whose only answer is ready when the test says so.

    Attributes:
        asked: A request has come.
        may_answer: Its answer is ready.
        answered: It was sent, or could not be.
    """

    def __init__(self, body: bytes) -> None:
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.answered = asyncio.Event()
        self._body = body
        self._metrics = Metrics(CollectorRegistry())

    @asynccontextmanager
    async def served(self) -> AsyncIterator[Address]:
        limits = PortLimits(port="http", connections=9, connections_per_peer=9, timeout_seconds=60)
        server = LimitedServer(self._answer, limits, self._metrics)
        async with listening(server, Address("127.0.0.1", 0)) as address:
            yield address

    async def is_left(self) -> None:
        await eventually(
            lambda: self._metrics.registry.get_sample_value("asrgateway_connections", {"port": "http"}) == 0
        )

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.Response(body=self._body)
        self.asked.set()
        await self.may_answer.wait()
        try:
            await send_within(request, response, 60)
        finally:
            self.answered.set()
        return response


async def asking(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*address, limit=1024)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
    return reader, writer


async def test_a_client_that_leaves_before_its_answer_is_ready_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """A scrape that takes too long is given up by Prometheus."""
    port = Port(b"metrics")
    async with asyncio.timeout(60), port.served() as address:
        _, writer = await asking(address)
        await port.asked.wait()
        writer.transport.abort()
        await port.is_left()
        port.may_answer.set()
        await port.answered.wait()
    assert caplog.records == []


async def test_a_client_that_leaves_while_it_is_answered_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    port = Port(bytes(16 * 1024 * 1024))  # More than the kernel takes.
    async with asyncio.timeout(60), port.served() as address:
        reader, writer = await asking(address)
        port.may_answer.set()
        await reader.readexactly(1)
        assert not port.answered.is_set()
        writer.transport.abort()
        await port.answered.wait()
    assert caplog.records == []
