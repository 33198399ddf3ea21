"""What one client may take, whoever it is, and how long it may say nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from io import StringIO
from pathlib import Path

import grpc
import pytest

import http2
from asrgateway import tls_credentials
from asrgateway.v1 import recognition_pb2_grpc as pb_grpc
from asrgateway_server import logs
from asrgateway_server.admission.keys import hashed_line
from asrgateway_server.lifecycle import Gateway
from asrgateway_server.metrics import METHODS, SERVICE
from calls import Outcome, Stub, audio, commit, config, outcome_of
from certificates import Certificate, make_certificate
from emulated_vendor import vendor_and_gateway
from gateways import eventually, open_gateway

KEYS = ("correct-horse-battery", "another-key-of-someone")
NAMES = ("team-a", "team-b")
REFUSED = (grpc.StatusCode.RESOURCE_EXHAUSTED, "CLIENT_LIMIT_REACHED")
LATE = grpc.StatusCode.DEADLINE_EXCEEDED


@asynccontextmanager
async def open_calls(*stubs: Stub, key: str = "") -> AsyncIterator[None]:
    """A call on each that has begun and says nothing."""
    metadata = (("x-api-key", key),) if key else ()
    async with AsyncExitStack() as ends:
        for stub in stubs:
            call = stub.Recognize(timeout=60, metadata=metadata)
            ends.callback(call.cancel)
            await call.write(config())
            await call.read()
        yield


async def another(stub: Stub, key: str = "") -> Outcome:
    """One more call, which ends at once where it is let in: there is no such model."""
    call = stub.Recognize(timeout=60, metadata=(("x-api-key", key),) if key else ())
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        await call.write(config(model="none"))
    return await outcome_of(call)


def is_refused(outcome: Outcome) -> bool:
    assert outcome.reason in {REFUSED[1], "UNKNOWN_MODEL"}
    return (outcome.code, outcome.reason) == REFUSED and outcome.retry_seconds is not None


async def test_one_key_leaves_room_for_the_others(tmp_path: Path) -> None:
    keys_file = tmp_path / "keys"
    keys_file.write_text("".join(f"{hashed_line(key)}\n" for key in KEYS))
    async with vendor_and_gateway(api_keys_file=str(keys_file), max_client_streams=2) as (_, _, stub):
        async with open_calls(stub, stub, key=KEYS[0]):
            assert [is_refused(await another(stub, key)) for key in KEYS] == [True, False]
        await eventually_let_in(stub, KEYS[0])


async def eventually_let_in(stub: Stub, key: str) -> None:
    async with asyncio.timeout(60):
        while is_refused(await another(stub, key)):  # noqa: ASYNC110 a cancel takes its time to arrive
            await asyncio.sleep(0.01)


async def test_one_address_is_one_client_however_many_connections_it_has() -> None:
    async with (
        vendor_and_gateway(max_client_streams=2) as (_, gateway, stub),
        grpc.aio.insecure_channel(str(gateway.address), options=[("grpc.use_local_subchannel_pool", 1)]) as channel,
    ):
        other = pb_grpc.SpeechRecognitionServiceStub(channel)
        async with open_calls(stub, other):
            assert is_refused(await another(stub))
            assert is_refused(await another(other))


@pytest.fixture
def log() -> Iterator[StringIO]:
    """What the gateway writes to its log."""
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.JsonFormatter())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield written
    root.removeHandler(handler)
    root.setLevel(before)


@pytest.fixture
def certificates(tmp_path: Path) -> list[Certificate]:
    """The server's, and one of each team."""
    for name in ("server", *NAMES):
        (tmp_path / name).mkdir()
    return [make_certificate(tmp_path / "server"), *(make_certificate(tmp_path / name, name) for name in NAMES)]


async def test_one_certificate_leaves_room_for_the_others_and_is_logged(
    tmp_path: Path, certificates: list[Certificate], log: StringIO
) -> None:
    server, *clients = certificates
    trusted = tmp_path / "clients.pem"
    trusted.write_bytes(b"".join(client.chain.read_bytes() for client in clients))
    async with AsyncExitStack() as stack:
        _, gateway, _ = await stack.enter_async_context(
            vendor_and_gateway(
                tls_cert_file=str(server.chain),
                tls_key_file=str(server.key),
                tls_client_ca_file=str(trusted),
                max_client_streams=1,
            )
        )
        first, second = [
            pb_grpc.SpeechRecognitionServiceStub(
                await stack.enter_async_context(
                    grpc.aio.secure_channel(
                        str(gateway.address),
                        tls_credentials(ca_file=server.chain, cert_file=client.chain, key_file=client.key),
                    )
                )
            )
            for client in clients
        ]
        async with open_calls(first):
            assert is_refused(await another(first))
            assert not is_refused(await another(second))
    names = [json.loads(line)["client"] for line in log.getvalue().splitlines() if "call started" in line]
    assert names == [NAMES[0], *NAMES]


async def test_starts_are_counted_by_key(tmp_path: Path) -> None:
    keys_file = tmp_path / "keys"
    keys_file.write_text("".join(f"{hashed_line(key)}\n" for key in KEYS))
    async with vendor_and_gateway(api_keys_file=str(keys_file), max_client_starts_per_minute=3) as (_, gateway, stub):
        assert [is_refused(await another(stub, KEYS[0])) for _ in range(5)] == [False] * 3 + [True] * 2
        assert not is_refused(await another(stub, KEYS[1]))
        rejected = gateway.metrics.registry.get_sample_value("asrgateway_streams_rejected_total", {"reason": "quota"})
        assert rejected == 2


# Clients that say nothing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["paraformer-realtime-v2", "qwen3-asr-flash-realtime", "embedded"])
async def test_a_call_without_audio_is_ended_whatever_else_it_says(model: str) -> None:
    async with vendor_and_gateway(embedded_workers=int(model == "embedded"), first_audio_timeout_seconds=1.0) as (
        _,
        gateway,
        stub,
    ):
        call = stub.Recognize(timeout=60)
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # It may be over before the last.
            for request in (config(model=model), audio(b""), *[commit()] * 5):
                await call.write(request)
        outcome = await outcome_of(call)
        assert (outcome.code, outcome.reason, outcome.field) == (LATE, "CLIENT_STALLED", "audio")
        active = {"model": model}
        await eventually(lambda: gateway.metrics.registry.get_sample_value("asrgateway_streams_active", active) == 0)


def handled(gateway: Gateway, method: str) -> float | None:
    labels = {"grpc_type": METHODS[method], "grpc_service": SERVICE, "grpc_method": method, "grpc_code": LATE.name}
    return gateway.metrics.registry.get_sample_value("grpc_server_handled_total", labels)


HALF_A_MESSAGE = http2.frame(http2.DATA, b"\0\0\0\0\x10abc", stream=1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rest", [b"", HALF_A_MESSAGE], ids=["headers only", "half a message"])
async def test_a_method_that_is_opened_and_asked_nothing_is_ended(method: str, rest: bytes) -> None:
    headers = http2.frame(http2.HEADERS, http2.call_headers(f"/{SERVICE}/{method}"), flags=http2.END_HEADERS, stream=1)
    async with open_gateway(config_timeout_seconds=0.2, embedded_workers=0) as (gateway, _):
        _, writer = await asyncio.open_connection(*gateway.address)
        writer.write(http2.PREFACE + http2.frame(http2.SETTINGS) + headers + rest)
        await eventually(lambda: handled(gateway, method) == 1)
        writer.close()
