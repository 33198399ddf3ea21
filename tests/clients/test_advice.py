"""Advice that fits the cause, with gRPC's own messages where they decide."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from aiohttp import web

from asrgateway import RecognitionError
from asrgateway.advice import advice_for
from asrgateway.arguments import parse
from asrgateway.cli import run
from asrgateway.connection import Connection
from certificates import Certificate, make_certificate
from scripted_gateway import Gateway


def connection(target: str) -> Connection:
    return parse(["models", "--target", target]).connection


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path)


@asynccontextmanager
async def tls_server(certificate: Certificate) -> AsyncIterator[str]:
    """Run a server with TLS and yield its address."""
    credentials = grpc.ssl_server_credentials([(certificate.key.read_bytes(), certificate.chain.read_bytes())])
    server = grpc.aio.server()
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@asynccontextmanager
async def http_server() -> AsyncIterator[str]:
    """Run a server of HTTP alone and yield its address."""
    runner = web.AppRunner(web.Application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"{host}:{port}"
    await runner.cleanup()


class Advice:
    """What the command says to do; `of` runs it."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    async def of(self, target: str, *flags: str) -> str:
        quick = ("--no-reconnect", "--channel-option", "grpc.enable_retries=0")
        assert await run(parse(["models", "--target", target, *quick, *flags])) == 1
        return self._capsys.readouterr().err.splitlines()[-1].removeprefix("asr-client: ").replace(target, "TARGET")


@pytest.fixture
def advice(capsys: pytest.CaptureFixture[str]) -> Advice:
    return Advice(capsys)


async def test_nothing_listens(advice: Advice) -> None:
    assert (
        await advice.of("127.0.0.1:1") == "Nothing listens on TARGET: start 'asr-gateway serve', or correct --target."
    )


def test_the_host_is_not_known() -> None:
    message = "errors resolving nowhere.invalid:50051: [address lookup failed for nowhere.invalid:50051: not found]"
    error = RecognitionError(grpc.StatusCode.UNAVAILABLE, message)
    expected = "The host of nowhere.invalid:50051 is not known: correct --target."
    assert advice_for(error, connection("nowhere.invalid:50051")) == expected


async def test_the_port_speaks_http(advice: Advice) -> None:
    async with http_server() as target:
        assert (await advice.of(target)).startswith("TARGET speaks HTTP, not gRPC: correct the port")


async def test_tls_to_a_gateway_without_it(advice: Advice, gateway: Gateway) -> None:
    assert (await advice.of(gateway.target, "--tls")).startswith("TARGET does not speak TLS: leave out --tls")


async def test_no_tls_to_a_gateway_with_it(advice: Advice, certificate: Certificate) -> None:
    async with tls_server(certificate) as target:
        assert "try --tls" in await advice.of(target)


async def test_a_certificate_that_is_not_trusted(advice: Advice, certificate: Certificate) -> None:
    async with tls_server(certificate) as target:
        assert "is not trusted: name its authority's file with --ca" in await advice.of(target, "--tls")


async def test_something_else_answers(advice: Advice, certificate: Certificate) -> None:
    async with tls_server(certificate) as target:
        answer = await advice.of(target, "--ca", str(certificate.chain))
    assert answer == "No speech-recognition gateway answers on TARGET: correct --target."


@pytest.mark.parametrize(
    ("port", "what"),
    [("50052", "health checks"), ("9464", "metrics"), ("8765", "emulator"), ("8080", "browsers")],
)
def test_a_port_of_the_gateway_that_takes_no_calls_is_named(port: str, what: str) -> None:
    error = RecognitionError(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
    advice = advice_for(error, connection(f"gateway:{port}"))
    assert f"{port} is " in advice
    assert what in advice
    assert what not in advice_for(error, connection("gateway:50051"))


def test_what_the_gateway_does_not_have_yet_is_no_wrong_port() -> None:
    error = RecognitionError(grpc.StatusCode.UNIMPLEMENTED, "not built yet", reason="NOT_BUILT_YET")
    assert advice_for(error, connection("gateway:50052")) == error.advice


def test_other_errors_keep_their_own_advice() -> None:
    error = RecognitionError(grpc.StatusCode.UNAVAILABLE, "the vendor does not answer", retry_after_seconds=2)
    assert advice_for(error, connection("gateway:50051")) == error.advice
