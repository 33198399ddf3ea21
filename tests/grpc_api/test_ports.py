"""The ports of gRPC servers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from asrgateway_server.grpc_api.ports import ANOTHER_LISTENER, ONLY_ONE_LISTENER, bind, handshake_options
from asrgateway_server.settings import Address, SettingsError

ANY_PORT = Address("127.0.0.1", 0)


@pytest_asyncio.fixture
async def first() -> AsyncIterator[tuple[grpc.aio.Server, Address]]:
    server = grpc.aio.server(options=[ANOTHER_LISTENER])
    address = bind(server, ANY_PORT)
    await server.start()
    yield server, address
    await server.stop(None)


async def test_port_0_becomes_the_port_that_was_opened(first: tuple[grpc.aio.Server, Address]) -> None:
    _, address = first
    assert address.host == "127.0.0.1"
    assert address.port > 0


async def test_a_port_in_use_is_an_error_that_names_it(first: tuple[grpc.aio.Server, Address]) -> None:
    _, address = first
    second = grpc.aio.server(options=[ONLY_ONE_LISTENER])
    with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{address.port}: the port is in use"):
        bind(second, address)
    await second.stop(None)


async def test_a_server_may_take_over_the_port_of_another_one(first: tuple[grpc.aio.Server, Address]) -> None:
    _, address = first
    second = grpc.aio.server(options=[ANOTHER_LISTENER])
    assert bind(second, address) == address
    await second.stop(None)


async def test_an_address_of_another_machine_is_an_error() -> None:
    server = grpc.aio.server()
    with pytest.raises(SettingsError, match=r"192\.0\.2\.1:1: .* not one of this machine"):
        bind(server, Address("192.0.2.1", 1))
    await server.stop(None)


def test_a_handshake_has_whole_milliseconds() -> None:
    assert {milliseconds for _, milliseconds in handshake_options(2.5004)} == {2500}
