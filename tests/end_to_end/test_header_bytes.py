"""Bytes in headers that are no text: no client of gRPC sends them, anyone else may."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import pytest
import pytest_asyncio

from asrgateway_server.admission.keys import hashed_line
from asrgateway_server.metrics import SERVICE
from http2 import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, call_headers, field, frame
from processes import GatewayProcess, gateway_process

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "correct-horse-battery"
EMPTY_MESSAGE = bytes(5)
#: The byte alone is no UTF-8. Read as Latin-1 the first two are blanks to Python.
BYTES = (b"\xa0", b"\x85", b"\xff", b"\xc3")


@asynccontextmanager
async def listing_models(gateway: GatewayProcess, *headers: Mapping[str, bytes]) -> AsyncIterator[None]:
    """Call ListModels once for each of these headers on one connection."""
    host, _, port = (await gateway.address("grpc")).rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(PREFACE + frame(SETTINGS))
    for number, more in enumerate(headers):
        block = call_headers(f"/{SERVICE}/ListModels") + b"".join(field(*pair) for pair in more.items())
        writer.write(frame(HEADERS, block, flags=END_HEADERS, stream=2 * number + 1))
        writer.write(frame(DATA, EMPTY_MESSAGE, flags=END_STREAM, stream=2 * number + 1))
    try:
        yield
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def handled(gateway: GatewayProcess) -> dict[str, float]:
    """How many calls of ListModels ended with each status."""
    async with aiohttp.ClientSession() as session, session.get(await gateway.address("metrics")) as response:
        text = await response.text()
    lines = [line for line in text.splitlines() if line.startswith("grpc_server_handled_total")]
    found = {line.split('grpc_code="')[1].split('"')[0]: float(line.split()[-1]) for line in lines if "ListM" in line}
    return {code: number for code, number in found.items() if number}


async def all_handled(gateway: GatewayProcess, number: float) -> dict[str, float]:
    async with asyncio.timeout(60):
        while sum((found := await handled(gateway)).values()) < number:
            pass
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayProcess]:
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(f"{hashed_line(KEY)}\n")
    async with gateway_process(api_keys_file=str(path), log_level="DEBUG") as (gateway, _):
        await gateway.line("listening")
        yield gateway


async def test_a_call_without_a_key_leaves_two_short_lines(gateway: GatewayProcess) -> None:
    before = len(gateway.lines)
    async with listing_models(gateway, {f"x-{number}": b"\xff" * 100 for number in range(100)}):
        await gateway.line("call finished")
    written = [line for line in gateway.lines[before:] if line["level"] != "DEBUG"]
    assert [line["message"] for line in written] == ["call started", "call finished"]
    assert len(str(written)) < 1500


async def test_a_key_with_such_a_byte_is_none_and_reaches_no_log(gateway: GatewayProcess) -> None:
    before = sum((await handled(gateway)).values())
    shown = [
        {"authorization": b"Bearer " + start + KEY.encode() + end}
        for start, end in [*((b"", byte) for byte in BYTES), *((byte, b"") for byte in BYTES)]
    ]
    shown += [{"x-api-key": KEY.encode() + byte} for byte in BYTES]
    async with listing_models(gateway, *shown):
        assert set(await all_handled(gateway, before + len(shown))) == {"UNAUTHENTICATED"}
    assert KEY not in str(gateway.lines)
    assert [line for line in gateway.lines if line["level"] not in {"DEBUG", "INFO"}] == []


async def test_blanks_around_a_key_do_not_count(gateway: GatewayProcess) -> None:
    async with listing_models(gateway, {"authorization": f"Bearer \t{KEY} ".encode()}):
        async with asyncio.timeout(60):
            while "OK" not in await handled(gateway):
                pass
