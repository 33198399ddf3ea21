"""Who may call, and what they are told who may not."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

import asrgateway.sync
import http2
from asrgateway import RecognitionClient, RecognitionError
from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.admission.keys import hashed_line
from asrgateway_server.cli import main
from asrgateway_server.lifecycle import Gateway
from asrgateway_server.logs import JsonFormatter
from asrgateway_server.metrics import METHODS, SERVICE
from asrgateway_server.settings import SettingsError
from calls import RECORDINGS, Stub, audio, config, outcome_of
from emulated_vendor import vendor_and_gateway
from gateways import eventually, open_gateway

KEY = "correct-horse-battery"
CLIENT = str(Path(sys.executable).with_name("asr-client"))
RECORDING = str(RECORDINGS / "boy.wav")
REFUSED = grpc.StatusCode.UNAUTHENTICATED
BEARER = (("authorization", f"Bearer {KEY}"),)


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"{hashed_line(KEY, 'team-a')}\n")
    return path


@asynccontextmanager
async def guarded(keys_file: Path) -> AsyncIterator[tuple[Gateway, Stub]]:
    async with open_gateway(api_keys_file=str(keys_file), embedded_workers=0) as gateway_and_stub:
        yield gateway_and_stub


async def models_with(stub: Stub, *metadata: tuple[str, str]) -> grpc.StatusCode:
    call = stub.ListModels(pb.ListModelsRequest(), metadata=metadata)
    return await call.code()


@pytest.mark.parametrize(
    "shown",
    [("authorization", f"Bearer {KEY}"), ("authorization", f"bearer  {KEY}"), ("x-api-key", KEY)],
)
async def test_a_known_key_lets_in(keys_file: Path, shown: tuple[str, str]) -> None:
    async with guarded(keys_file) as (_, stub):
        assert await models_with(stub, shown) is grpc.StatusCode.OK


@pytest.mark.parametrize(
    "shown",
    [
        ("other", KEY),
        ("authorization", KEY),
        ("authorization", f"Basic {KEY}"),
        ("authorization", "Bearer "),
        ("authorization", "Bearer wrong-wrong-wrong"),
        ("x-api-key", "wrong-wrong-wrong"),
        ("x-api-key", hashed_line(KEY)),
    ],
)
async def test_any_other_is_refused_and_counted(keys_file: Path, shown: tuple[str, str]) -> None:
    async with guarded(keys_file) as (gateway, stub):
        assert await models_with(stub, shown) is REFUSED
        assert gateway.metrics.registry.get_sample_value("asrgateway_streams_rejected_total", {"reason": "auth"}) == 1


async def test_a_refused_call_is_told_why_and_not_with_what(keys_file: Path) -> None:
    async with guarded(keys_file) as (_, stub):
        unknown = await outcome_of(stub.Recognize(metadata=(("x-api-key", "wrong-wrong-wrong"),)))
        assert (unknown.code, unknown.reason) == (REFUSED, "UNAUTHENTICATED")
        assert unknown.message == "this gateway does not know the key; send a valid one"
        without = await outcome_of(stub.Recognize())
        assert without.message == "this gateway requires a key: send the metadata `authorization: Bearer KEY`"


@pytest.mark.parametrize("method", METHODS)
async def test_a_call_without_a_key_is_refused_before_its_request_has_come(keys_file: Path, method: str) -> None:
    headers = http2.frame(http2.HEADERS, http2.call_headers(f"/{SERVICE}/{method}"), flags=http2.END_HEADERS, stream=1)
    async with open_gateway(api_keys_file=str(keys_file), config_timeout_seconds=600, embedded_workers=0) as (
        gateway,
        _,
    ):
        _, writer = await asyncio.open_connection(*gateway.address)
        writer.write(http2.PREFACE + http2.frame(http2.SETTINGS) + headers)
        await eventually(lambda: refused(gateway, method) == 1)
        writer.close()


def refused(gateway: Gateway, method: str) -> float | None:
    labels = {"grpc_type": METHODS[method], "grpc_service": SERVICE, "grpc_method": method, "grpc_code": REFUSED.name}
    return gateway.metrics.registry.get_sample_value("grpc_server_handled_total", labels)


async def reflected(gateway: Gateway, *metadata: tuple[str, str]) -> grpc.StatusCode:
    """Ask for the list of services."""
    async with grpc.aio.insecure_channel(str(gateway.address)) as channel:
        ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        call = ask(iter([reflection_pb2.ServerReflectionRequest(list_services="*")]), metadata=metadata)
        with contextlib.suppress(grpc.aio.AioRpcError):
            while await call.read() is not grpc.aio.EOF:
                pass
        code: grpc.StatusCode = await call.code()
        return code


async def test_reflection_asks_for_a_key_and_health_does_not(keys_file: Path) -> None:
    async with guarded(keys_file) as (gateway, _):
        assert await reflected(gateway) is REFUSED
        assert await reflected(gateway, *BEARER) is grpc.StatusCode.OK
        async with grpc.aio.insecure_channel(str(gateway.health_address)) as channel:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_without_reflection_nothing_is_told() -> None:
    async with open_gateway(reflection=False, embedded_workers=0) as (gateway, _):
        assert await reflected(gateway) is grpc.StatusCode.UNIMPLEMENTED


VENDORS = config(model="paraformer-realtime-v2")


@pytest.mark.parametrize("half", [[], [VENDORS, audio(bytes(3200))]], ids=["headers only", "in speech"])
async def test_a_key_that_is_taken_back_ends_its_calls_and_no_other(
    keys_file: Path, half: list[pb.RecognizeRequest]
) -> None:
    other = "another-key-of-someone"
    keys_file.write_text(f"{hashed_line(KEY)}\n{hashed_line(other)}\n")  # noqa: ASYNC240 a line
    async with vendor_and_gateway(api_keys_file=str(keys_file)) as (_, gateway, stub):
        calls = [stub.Recognize(timeout=60, metadata=(("x-api-key", key),)) for key in (KEY, other)]
        for call in calls:
            for request in half:
                await call.write(request)
        await eventually(lambda: started(gateway) == 2)
        keys_file.write_text(f"oops\n{hashed_line(other)}\n")  # noqa: ASYNC240 a line
        revoked = await outcome_of(calls[0])
        assert (revoked.code, revoked.message) == (
            REFUSED,
            "the operator has removed the key of this call; call again with a valid key",
        )
        assert await models_with(stub, *BEARER) is REFUSED
        assert not calls[1].done()
        assert gateway.metrics.registry.get_sample_value("asrgateway_api_keys_file_problems") == 1
        await calls[1].write(VENDORS if not half else audio(bytes(3200)))
        await calls[1].write(audio(bytes(3200)))
        await calls[1].done_writing()
        assert (await outcome_of(calls[1])).code is grpc.StatusCode.OK


def started(gateway: Gateway) -> float | None:
    labels = {"grpc_type": "bidi_stream", "grpc_service": SERVICE, "grpc_method": "Recognize"}
    return gateway.metrics.registry.get_sample_value("grpc_server_started_total", labels)


async def test_both_python_clients_show_their_key(keys_file: Path) -> None:
    async with guarded(keys_file) as (gateway, _):
        async with RecognitionClient(str(gateway.address), api_key=KEY) as client:
            assert (await client.list_models()).models
        async with RecognitionClient(str(gateway.address), api_key="wrong-wrong-wrong") as client:
            with pytest.raises(RecognitionError, match="UNAUTHENTICATED"):
                await client.list_models()
        with asrgateway.sync.RecognitionClient(str(gateway.address), api_key=KEY) as waiting:
            assert (await asyncio.to_thread(waiting.list_models)).models


# The command line -------------------------------------------------------------------------------------------------


async def ended(*arguments: str, **variables: str) -> tuple[int | None, str, str]:
    """Run `asr-client` to its end; return its exit code, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *(CLIENT, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | variables,
    )
    async with asyncio.timeout(60):
        out, error = await process.communicate()
    return process.returncode, out.decode(), error.decode()


def hash_key(monkeypatch: pytest.MonkeyPatch, key: str, *arguments: str) -> int:
    """Run `asr-gateway hash-key` with a key on standard input; return its exit code."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{key}\n"))
    return main(["hash-key", *arguments])


async def test_the_printed_line_lets_the_key_of_the_command_line_in(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    caplog.handler.setFormatter(JsonFormatter())
    key_file, keys_file = tmp_path / "key", tmp_path / "keys"
    key_file.write_text(f"{KEY}\n")
    assert hash_key(monkeypatch, KEY, "--name", "team-a") == 0
    keys_file.write_text(capsys.readouterr().out)
    async with open_gateway(api_keys_file=str(keys_file)) as (gateway, _):
        target = ("--target", str(gateway.address))
        by_file = await ended("file", RECORDING, "--fast", *target, "--api-key-file", str(key_file))
        by_variable = await ended("models", *target, ASR_API_KEY=KEY)
        without = await ended("models", *target)
        await eventually(lambda: "UNAUTHENTICATED" in caplog.text)
        assert "team-a" in {json.loads(line).get("client") for line in caplog.text.splitlines()}
    assert by_file[:2] == (0, "the boy was there when the sun rose\n")
    assert by_variable[0] == 0
    assert without[0] == 1
    assert "UNAUTHENTICATED: this gateway requires a key" in without[2]


def test_a_key_that_is_too_short_gets_no_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hash_key(monkeypatch, "secret") == 2
    assert capsys.readouterr() == (
        "",
        "asr-gateway: the key has 6 characters; use at least 16, so that it cannot be guessed\n",
    )


# Ports for others -------------------------------------------------------------------------------------------------


async def test_a_port_for_others_needs_to_know_who_may_call() -> None:
    with pytest.raises(SettingsError, match=r"^listen is 0\.0\.0\.0:0: every client on the network could call\."):
        async with open_gateway(listen="0.0.0.0:0", embedded_workers=0):
            pass


@pytest.mark.parametrize("setting", ["allow_anonymous", "api_keys_file"])
async def test_a_port_for_others_opens_once_it_is_known(keys_file: Path, setting: str) -> None:
    value = {"allow_anonymous": True, "api_keys_file": str(keys_file)}[setting]
    async with open_gateway(listen="0.0.0.0:0", embedded_workers=0, **{setting: value}) as (gateway, _):
        assert gateway.address.host == "0.0.0.0"  # noqa: S104 what the test asks for
        assert gateway.address.port
