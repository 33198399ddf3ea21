"""Headers that unpack: a byte for each field, from a client that does not acknowledge our limits.

gRPC binds nobody to `max_metadata_bytes` who has not acknowledged it. What can be had of it is that such a connection
ends, that its memory goes back to the system, and that the gateway answers afterwards. By default the flood is small.
`ASRGATEWAY_LONG_TESTS=1` sends 7 MB twice to each port; with `-s` it prints what was held.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.metrics import SERVICE
from http2 import CONTINUATION, END_HEADERS, HEADERS, PREFACE, SETTINGS, call_headers, frame
from processes import GatewayProcess, gateway_process

IS_LONG = bool(os.environ.get("ASRGATEWAY_LONG_TESTS"))
CALLS = 70 if IS_LONG else 10
FIELDS = 100_000
FLOODS = 2 if IS_LONG else 1
#: Longest payload of a frame that needs no leave.
FRAME_BYTES = 16_384
#: `x-a: b`, literal, and from then on the first entry of the dynamic table (RFC 7541, 6.2.1); and that entry (6.1).
LEARN, REPEAT = b"\x40\x03x-a\x01b", b"\xbe"
#: What a gateway may grow by while it works.
GROWTH_MB = 96


def unpacking_call(path: str, stream: int) -> Iterator[bytes]:
    block = call_headers(path) + LEARN + REPEAT * FIELDS
    pieces = [block[start : start + FRAME_BYTES] for start in range(0, len(block), FRAME_BYTES)]
    for number, piece in enumerate(pieces):
        is_last = number == len(pieces) - 1
        yield frame(CONTINUATION if number else HEADERS, piece, flags=END_HEADERS if is_last else 0, stream=stream)


async def flood(address: str, path: str) -> int:
    """Send all calls, and wait until the gateway closes the connection; return how many bytes it took."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    sent = 0
    with contextlib.suppress(ConnectionError):
        writer.write(PREFACE + frame(SETTINGS))
        for call in range(CALLS):
            for data in unpacking_call(path, 2 * call + 1):
                writer.write(data)
                sent += len(data)
            await writer.drain()
        async with asyncio.timeout(60):
            while await reader.read(4096):
                pass
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return sent


def memory_mb(gateway: GatewayProcess, which: str) -> float:
    lines = Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{which}:"))


@pytest.mark.timeout(600 if IS_LONG else 300)
@pytest.mark.parametrize(
    ("port", "path"), [("grpc", f"/{SERVICE}/ListModels"), ("health", "/grpc.health.v1.Health/Watch")]
)
async def test_headers_that_unpack_are_let_go(port: str, path: str) -> None:
    settings = {"embedded_workers": "0", "handshake_timeout_seconds": "1", "config_timeout_seconds": "1"}
    async with gateway_process(**settings) as (gateway, stub):
        address = await gateway.address(port)
        assert (await stub.ListModels(pb.ListModelsRequest(), timeout=60)).models
        before = memory_mb(gateway, "VmRSS")
        for number in range(FLOODS):
            sent = await flood(address, path)
            async with asyncio.timeout(180 if IS_LONG else 60):
                while memory_mb(gateway, "VmRSS") > before + GROWTH_MB:  # noqa: ASYNC110 it signals nobody
                    await asyncio.sleep(0.1)
            held = memory_mb(gateway, "VmHWM") - before
            print(f"{port}: flood {number + 1} of {sent / 1e6:.1f} MB, at most {held:.0f} MB were held")  # noqa: T201
        assert (await stub.ListModels(pb.ListModelsRequest(), timeout=60, wait_for_ready=True)).models
        async with grpc.aio.insecure_channel(await gateway.address("health")) as channel:
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60)
        assert [line for line in gateway.lines if line["level"] == "ERROR"] == []
