"""A running gateway, and a caller."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import grpc
import pytest
import pytest_asyncio

from asrgateway.v1 import recognition_pb2_grpc as pb_grpc
from asrgateway_server.rpc.lifecycle import Gateway, running_gateway
from asrgateway_server.settings import Settings
from calls import Stub

OpenGateway = Callable[..., AbstractAsyncContextManager[tuple[Gateway, Stub]]]


@asynccontextmanager
async def open_gateway(**settings: object) -> AsyncIterator[tuple[Gateway, Stub]]:
    """Run a gateway on free ports, with one worker unless told otherwise, and a caller connected to it."""
    anywhere = {"listen": "127.0.0.1:0", "health_listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0"}
    values = anywhere | {"embedded_workers": 1, "drain_seconds": 0.5} | settings
    async with (
        running_gateway(Settings(**values)) as gateway,  # type: ignore[arg-type] # validated when it is made
        grpc.aio.insecure_channel(str(gateway.address)) as channel,
    ):
        yield gateway, pb_grpc.SpeechRecognitionServiceStub(channel)


@pytest.fixture(name="open_gateway", scope="session")
def open_gateway_fixture() -> OpenGateway:
    return open_gateway


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway() -> AsyncIterator[tuple[Gateway, Stub]]:
    """One gateway with one worker for a whole module."""
    async with open_gateway() as running:
        yield running


@pytest.fixture
def stub(gateway: tuple[Gateway, Stub]) -> Stub:
    return gateway[1]


@pytest.fixture
def count_open_files() -> Callable[[], int]:
    """How many files, pipes and sockets this process has open."""
    return lambda: len(os.listdir("/proc/self/fd"))  # noqa: PTH208 names are enough
