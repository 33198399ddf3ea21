"""Connections that misuse HTTP/2: the others are served meanwhile, and nothing remains of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count, repeat
from pathlib import Path

import aiohttp
import grpc
import pytest
import pytest_asyncio

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.metrics import SERVICE
from calls import RECORDINGS, RecognizeCall, Stub, config, in_messages, outcome_of, pcm
from http2 import (
    CANCEL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PING,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    call_headers,
    field,
    frame,
    setting,
)
from processes import GatewayProcess, gateway_process

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOY = pcm(RECORDINGS / "boy.wav")
BOYS_WORDS = "the boy was there when the sun rose"
CALL = call_headers(f"/{SERVICE}/Recognize")
LIST = call_headers(f"/{SERVICE}/ListModels")
HELLO = PREFACE + frame(SETTINGS)
STREAMS = range(1, 2**31, 2)
CONNECTIONS = 5
ABUSE_SECONDS = 0.5

Abuse = Callable[[], Iterator[bytes]]


def continuation_flood() -> Iterator[bytes]:
    yield HELLO + frame(HEADERS, CALL, stream=1)
    yield from repeat(frame(CONTINUATION, field("x-more", "x" * 100) * 100, stream=1))


def empty_continuation_flood() -> Iterator[bytes]:
    yield HELLO + frame(HEADERS, CALL, stream=1)
    yield from repeat(frame(CONTINUATION, stream=1) * 500)


def rapid_reset() -> Iterator[bytes]:
    yield HELLO
    for stream in STREAMS:
        yield frame(HEADERS, CALL, flags=END_HEADERS, stream=stream) + frame(RST_STREAM, CANCEL, stream=stream)


def calls_without_end() -> Iterator[bytes]:
    yield HELLO
    for stream in STREAMS:
        yield frame(HEADERS, CALL, flags=END_HEADERS, stream=stream)


def settings_flood() -> Iterator[bytes]:
    yield HELLO
    yield from repeat(frame(SETTINGS, setting(INITIAL_WINDOW_SIZE, 65_535)) * 200)


def ping_flood() -> Iterator[bytes]:
    yield HELLO
    yield from repeat(frame(PING, bytes(8)) * 200)


def priority_flood() -> Iterator[bytes]:
    yield HELLO
    yield from (frame(PRIORITY, bytes(5), stream=stream) * 100 for stream in STREAMS)


def zero_windows() -> Iterator[bytes]:
    """Ask, and leave no room for an answer."""
    yield PREFACE + frame(SETTINGS, setting(INITIAL_WINDOW_SIZE, 0))
    for stream in STREAMS:
        yield frame(HEADERS, LIST, flags=END_HEADERS, stream=stream)
        yield frame(DATA, bytes(5), flags=END_STREAM, stream=stream)


def window_overflow() -> Iterator[bytes]:
    yield HELLO
    yield from repeat(frame(WINDOW_UPDATE, (2**31 - 1).to_bytes(4, "big")) * 10)


def empty_data_flood() -> Iterator[bytes]:
    yield HELLO + frame(HEADERS, CALL, flags=END_HEADERS, stream=1)
    yield from repeat(frame(DATA, stream=1) * 500)


def messages_that_promise_much() -> Iterator[bytes]:
    """Each says that 4 GB follow."""
    yield HELLO
    for stream in STREAMS:
        yield frame(HEADERS, CALL, flags=END_HEADERS, stream=stream)
        yield frame(DATA, b"\0\xff\xff\xff\xff" + bytes(100), stream=stream)


def frames_that_lie() -> Iterator[bytes]:
    yield HELLO
    yield from repeat(frame(DATA, bytes(64), stream=1, length=2**24 - 1))


def garbage() -> Iterator[bytes]:
    chance = random.Random(1)
    yield PREFACE
    yield from (chance.randbytes(1000) for _ in count())


def another_protocol() -> Iterator[bytes]:
    yield from repeat(b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n")


def half_a_greeting() -> Iterator[bytes]:
    yield PREFACE[:10]
    yield from repeat(b"")


ABUSES: list[Abuse] = [
    continuation_flood,
    empty_continuation_flood,
    rapid_reset,
    calls_without_end,
    settings_flood,
    ping_flood,
    priority_flood,
    zero_windows,
    window_overflow,
    empty_data_flood,
    messages_that_promise_much,
    frames_that_lie,
    garbage,
    another_protocol,
    half_a_greeting,
]

#: gRPC 1.85 reads header blocks without end, far beyond the limits of metadata, and keeps some 20 MB of each second.
COSTS_MEMORY = {continuation_flood}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[tuple[GatewayProcess, Stub]]:
    """One process for all of them: what one leaves behind, the next would find."""
    async with gateway_process(embedded_workers="1", config_timeout_seconds="1") as gateway_and_stub:
        yield gateway_and_stub


async def abuse_for(seconds: float, address: str, frames: Iterator[bytes]) -> None:
    """Write frames and read nothing, until the gateway has had enough or the time is over."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(seconds):
            for data in frames:
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(0)
    writer.transport.abort()
    reader.feed_eof()


def resident_mb(gateway: GatewayProcess) -> float:
    lines = Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


async def open_calls(gateway: GatewayProcess) -> float:
    """How many calls have started and not ended."""
    async with aiohttp.ClientSession() as session, session.get(await gateway.address("metrics")) as response:
        lines = [line for line in (await response.text()).splitlines() if 'grpc_method="Recognize"' in line]
    started = sum(float(line.split()[-1]) for line in lines if line.startswith("grpc_server_started_total"))
    return started - sum(float(line.split()[-1]) for line in lines if line.startswith("grpc_server_handled_total"))


async def begun(stub: Stub) -> RecognizeCall | None:
    """A call that has started. gRPC cancels new ones while a thousand wait in its queue, as a flood leaves them."""
    call = stub.Recognize(timeout=60)
    try:
        await call.write(config())
        await call.read()
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.CANCELLED:
            raise
        return None
    return call


async def is_served(stub: Stub) -> bool:
    """Make a short call, which gRPC may cancel for the same reason."""
    try:
        return bool((await stub.ListModels(pb.ListModelsRequest(), timeout=60)).models)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.CANCELLED:
            raise
        return False


@pytest.mark.parametrize("abuse", ABUSES, ids=lambda abuse: abuse.__name__)
async def test_misuse_harms_nobody_and_leaves_nothing(served: tuple[GatewayProcess, Stub], abuse: Abuse) -> None:
    gateway, stub = served
    address = await gateway.address("grpc")
    async with asyncio.timeout(60):
        while (other := await begun(stub)) is None:
            pass
    before = resident_mb(gateway)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CONNECTIONS):
            tasks.create_task(abuse_for(ABUSE_SECONDS, address, abuse()))
        for message in in_messages(BOY):
            await other.write(message)
    await other.done_writing()
    assert (await outcome_of(other)).texts == [BOYS_WORDS]
    async with asyncio.timeout(60):
        while await open_calls(gateway):
            pass
    async with asyncio.timeout(60):
        while not await is_served(stub):
            pass
    assert abuse in COSTS_MEMORY or resident_mb(gateway) < before + 40
    assert [line for line in gateway.lines if line["level"] == "ERROR"] == []
