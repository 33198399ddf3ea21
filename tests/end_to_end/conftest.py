"""A running gateway, and a caller."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from asrgateway_server.lifecycle import Gateway
from calls import Stub
from gateways import open_gateway


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[tuple[Gateway, Stub]]:
    """One gateway with one worker for a whole module."""
    async with open_gateway() as gateway_and_stub:
        yield gateway_and_stub


@pytest.fixture
def gateway(running: tuple[Gateway, Stub]) -> Gateway:
    return running[0]


@pytest.fixture
def stub(running: tuple[Gateway, Stub]) -> Stub:
    return running[1]
