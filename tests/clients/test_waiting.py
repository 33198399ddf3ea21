"""A gateway that is busy or not there is waited for, and the person at the command line knows."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from asrgateway.arguments import parse
from asrgateway.cli import run
from asrgateway.errors import DETAILS_KEY
from scripted_gateway import Failure, Gateway, final, finished, started

RESTARTING = Failure(code=grpc.StatusCode.UNAVAILABLE, message="the gateway stops")


def busy() -> Failure:
    """Return the failure of a gateway that says when to come back."""
    detail = AnyMessage()
    detail.Pack(RetryInfo(retry_delay=Duration(nanos=1_000_000)))
    status = Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="full", details=[detail])
    return Failure(
        code=grpc.StatusCode.RESOURCE_EXHAUSTED,
        message="full",
        trailing_metadata=[(DETAILS_KEY, status.SerializeToString())],
    )


async def recovering(gateway: Gateway, command: Awaitable[int]) -> int:
    """Run the command; the gateway fails its first call only."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(_awaited(command))
        await gateway.script.is_over.wait()
        gateway.script.failure = None
    return running.result()


async def _awaited(command: Awaitable[int]) -> int:
    return await command


def asr_client(*arguments: str | Path) -> Awaitable[int]:
    return run(parse([str(argument) for argument in arguments]))


@pytest.mark.parametrize(("failure", "code"), [(lambda: RESTARTING, "UNAVAILABLE"), (busy, "RESOURCE_EXHAUSTED")])
async def test_a_recording_waits_for_a_gateway(
    failure: Callable[[], Failure],
    code: str,
    gateway: Gateway,
    wav_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gateway.script.greeting = [started()]
    gateway.script.going_away = [final("hello"), finished()]
    gateway.script.failure = failure()
    assert await recovering(gateway, asr_client("file", wav_file, "--fast", "--target", gateway.target)) == 0
    captured = capsys.readouterr()
    assert captured.out == "hello\n"
    error, waiting, again, *_ = captured.err.splitlines()
    assert error.startswith(f"note: {code}: ")
    assert waiting.startswith("note: trying again for 60 s. ")
    assert again == "note: a gateway answers again"


async def test_without_reconnect_the_first_failure_is_the_last(gateway: Gateway, wav_file: Path) -> None:
    gateway.script.failure = RESTARTING
    assert await asr_client("file", wav_file, "--target", gateway.target, "--no-reconnect") == 1


@pytest.mark.parametrize("command", ["models", "file"])
async def test_waiting_has_an_end(command: str, wav_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [wav_file] if command == "file" else []
    assert await asr_client(command, *paths, "--target", "127.0.0.1:1", "--wait", "0.01") == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("asr-client: Nothing listens on 127.0.0.1:1")


async def test_after_one_recording_has_waited_in_vain_the_others_do_not_wait(
    wav_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("file", wav_file, wav_file, wav_file, "--jobs", "1", "--target", "127.0.0.1:1", "--wait", "2")
    assert await asr_client(*arguments) == 1
    error = capsys.readouterr().err
    assert error.count("note: trying again for 2 s.") == 1
    assert error.count("asr-client: UNAVAILABLE: ") == 3


@pytest.mark.parametrize("command", ["models", "file"])
async def test_something_else_than_the_gateway_is_not_waited_for(
    command: str, gateway: Gateway, wav_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [wav_file] if command == "file" else []
    assert await asr_client(command, *paths, "--target", gateway.target, "--tls") == 1
    error, advice = capsys.readouterr().err.splitlines()
    assert error.startswith("asr-client: UNAVAILABLE: ")
    assert advice.startswith(f"asr-client: {gateway.target} does not speak TLS")


async def test_an_error_that_waiting_does_not_cure_is_not_waited_for(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.script.failure = Failure(code=grpc.StatusCode.UNAUTHENTICATED, message="who are you?")
    assert await asr_client("models", "--target", gateway.target) == 1
    assert "note: " not in capsys.readouterr().err
