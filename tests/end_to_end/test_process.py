"""The gateway as an operator meets it: a process with ports, signals, exit codes, metrics and a log."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import socket
from collections.abc import AsyncIterator

import aiohttp
import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.lifecycle import Gateway
from asrgateway_server.metrics import SERVICE
from calls import RECORDINGS, RecognizeCall, Stub, audio, config, in_messages, outcome_of, pcm, recognize
from gateways import eventually, open_gateway, signalled_gateway
from ports import free_port
from processes import COMMAND, GatewayProcess, children, environment, gateway_process, is_running, start

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOY = pcm(RECORDINGS / "boy.wav")
BOYS_WORDS = "the boy was there when the sun rose"
READINESS = ("", SERVICE, "readiness", "startup")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[tuple[GatewayProcess, Stub]]:
    """One process for all tests that leave it running."""
    async with gateway_process() as gateway_and_stub:
        yield gateway_and_stub


@pytest.fixture
def process(served: tuple[GatewayProcess, Stub]) -> GatewayProcess:
    return served[0]


@pytest.fixture
def stub(served: tuple[GatewayProcess, Stub]) -> Stub:
    return served[1]


async def open_call(stub: Stub) -> RecognizeCall:
    """Open a call, and wait until it has begun."""
    call = stub.Recognize(timeout=60)
    await call.write(config())
    started = await call.read()
    assert isinstance(started, pb.RecognizeResponse)
    assert started.HasField("started")
    return call


async def probe(gateway: GatewayProcess, *names: str) -> set[str]:
    """Ask the health port for services, as Kubernetes does."""
    async with grpc.aio.insecure_channel(await gateway.address("health")) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answers = [await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=60) for name in names]
        return {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status) for answer in answers}


async def scrape(url: str, accept: str = "text/plain") -> tuple[str, str]:
    """Return the content type and the body of the metrics."""
    async with aiohttp.ClientSession() as session, session.get(url, headers={"Accept": accept}) as response:
        assert response.status == 200
        return response.headers["Content-Type"], await response.text()


def is_refused(address: str) -> bool:
    """Whether nobody listens there."""
    host, _, port = address.rpartition(":")
    with socket.socket() as connection:
        return connection.connect_ex((host, int(port))) != 0


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = parser.text_string_to_metric_families(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def metric(gateway: Gateway, name: str, **labels: str) -> float | None:
    return gateway.metrics.registry.get_sample_value(name, labels)


# Ports -------------------------------------------------------------------------------------------------------------


async def test_probes_are_answered_also_while_every_worker_is_busy(process: GatewayProcess, stub: Stub) -> None:
    assert await probe(process, *READINESS, "liveness") == {"SERVING"}
    call = stub.Recognize(timeout=60)
    await call.write(config(interim_results=True))
    await call.write(audio(BOY))
    while isinstance(response := await call.read(), pb.RecognizeResponse) and not response.HasField("result"):
        pass
    refused = await recognize(stub, [config(), audio(BOY)])
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await probe(process, *READINESS, "liveness") == {"SERVING"}
    await call.done_writing()
    assert (await outcome_of(call)).texts == [BOYS_WORDS]


async def test_reflection_tells_the_service(process: GatewayProcess) -> None:
    async with grpc.aio.insecure_channel(await process.address("grpc")) as channel:
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = [reflection_pb2.ServerReflectionRequest(list_services="*")]
        (answer,) = [answer async for answer in reflection.ServerReflectionInfo(iter(asked), timeout=60)]
    assert SERVICE in [service.name for service in answer.list_services_response.service]


async def test_metrics_count_a_call(process: GatewayProcess, stub: Stub) -> None:
    url = await process.address("metrics")
    before = samples((await scrape(url))[1])
    await recognize(stub, [config(), *in_messages(BOY)])
    content_type, text = await scrape(url)
    after = samples(text)

    def growth(name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return after[key] - before.get(key, 0.0)

    assert content_type.startswith("text/plain")
    for kind in ("first", "last"):
        for scope in ("client", "upstream"):
            name = f"asrgateway_{kind}_package_delay_seconds_count"
            assert growth(name, model="embedded", scope=scope) == 1
    assert growth("asrgateway_audio_received_seconds_total", model="embedded") == pytest.approx(
        len(BOY) / 32_000, abs=0.01
    )
    assert growth("asrgateway_results_total", model="embedded", kind="final") == 1
    labels = {"grpc_type": "bidi_stream", "grpc_service": SERVICE, "grpc_method": "Recognize", "grpc_code": "OK"}
    assert growth("grpc_server_handled_total", **labels) == 1


async def test_a_served_model_has_a_series_of_open_calls_before_its_first_call() -> None:
    settings = {"dashscope_url": "ws://127.0.0.1:1", "default_model": "fun-asr-realtime", "allow_caller_keys": True}
    async with open_gateway(embedded_workers=0, **settings) as (gateway, stub):
        served = await stub.ListModels(pb.ListModelsRequest(), timeout=60)
        assert served.models
        for model in served.models:
            assert metric(gateway, "asrgateway_streams_active", model=model.name) == 0


async def test_metrics_are_openmetrics_when_asked(process: GatewayProcess) -> None:
    content_type, text = await scrape(await process.address("metrics"), "application/openmetrics-text; version=1.0.0")
    families = {family.name for family in openmetrics_parser.text_string_to_metric_families(text)}  # type: ignore[no-untyped-call] # untyped in the library
    assert content_type.startswith("application/openmetrics-text")
    assert families >= {"asrgateway_first_package_delay_seconds", "asrgateway_streams_active", "grpc_server_handled"}


# Log ---------------------------------------------------------------------------------------------------------------


async def test_a_call_is_two_lines_of_the_log_without_a_word_of_what_was_said(
    process: GatewayProcess, stub: Stub
) -> None:
    await recognize(stub, [config(request_id="my-call"), *in_messages(BOY)])
    await eventually(lambda: process.lines[-1].get("request_id") == "my-call")
    started, finished = process.lines[-2:]
    assert (started["message"], finished["message"]) == ("call started", "call finished")
    assert started["method"] == finished["method"] == "Recognize"
    assert (finished["grpc_code"], finished["model"]) == ("OK", "embedded")
    assert finished["call_id"]
    logged = str(process.lines)
    assert not [word for word in BOYS_WORDS.split() if f" {word} " in logged]


# Signals -----------------------------------------------------------------------------------------------------------


async def going_away(call: RecognizeCall) -> None:
    """Read until a call is told that its gateway is going away."""
    while isinstance(response := await call.read(), pb.RecognizeResponse):
        if response.HasField("going_away"):
            return
    raise AssertionError(f"the call ended with {await call.code()}")


async def end_of(stopped: asyncio.Task[None]) -> None:
    async with asyncio.timeout(60):
        await stopped


async def test_sigterm_lets_an_open_call_finish() -> None:
    async with gateway_process(drain_seconds="120") as (gateway, stub):
        call = await open_call(stub)
        gateway.process.terminate()
        await gateway.line("stopping")
        assert await probe(gateway, *READINESS) == {"NOT_SERVING"}
        assert await probe(gateway, "liveness") == {"SERVING"}
        await call.write(audio(BOY))
        await call.done_writing()
        outcome = await outcome_of(call)
        assert (outcome.code, outcome.texts) == (grpc.StatusCode.OK, [BOYS_WORDS])
        assert outcome.kinds == ["going_away", "result", "finished"]
        assert 60 < outcome.responses[0].going_away.deadline.ToMilliseconds() / 1000 <= 120
        async with asyncio.timeout(60):
            assert await gateway.exit_code() == 0


async def test_a_call_that_outlasts_the_drain_gets_its_last_result_and_is_sent_elsewhere() -> None:
    async with signalled_gateway(drain_seconds=0.1, last_scrape_seconds=0, drain_finalize_seconds=20) as served:
        _, stub, stopped = served
        call = await open_call(stub)
        await call.write(audio(BOY))
        signal.raise_signal(signal.SIGTERM)
        outcome = await outcome_of(call)
        assert outcome.texts == [BOYS_WORDS]
        assert outcome.kinds[0] == "going_away"
        assert "finished" not in outcome.kinds
        assert (outcome.code, outcome.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        assert outcome.retry_seconds == 1.0
        await end_of(stopped)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_the_wait(second: signal.Signals) -> None:
    async with signalled_gateway(drain_seconds=120, drain_finalize_seconds=20) as (_, stub, stopped):
        call = await open_call(stub)
        signal.raise_signal(signal.SIGINT)
        await going_away(call)
        signal.raise_signal(second)
        outcome = await outcome_of(call)
        assert (outcome.code, outcome.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        await end_of(stopped)


async def test_a_late_call_on_an_open_connection_is_sent_elsewhere() -> None:
    async with signalled_gateway(drain_seconds=120) as (gateway, stub, _):
        call = await open_call(stub)
        signal.raise_signal(signal.SIGTERM)
        await eventually(lambda: is_refused(str(gateway.address)))
        late = await recognize(stub, [config(), audio(BOY)])
        # CANCELLED: gRPC's core ends so what comes as the gateway stops to listen; clients send both again.
        assert late.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        assert late.responses == ()
        call.cancel()


WAITING = {"drain_seconds": 0, "drain_finalize_seconds": 20, "last_scrape_seconds": 600}


async def test_metrics_tell_of_cut_calls_until_they_are_read(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with signalled_gateway(**WAITING) as (gateway, stub, stopped):
        call = await open_call(stub)
        signal.raise_signal(signal.SIGTERM)
        assert (await outcome_of(call)).reason == "DRAINING"
        await eventually(lambda: "waiting for the last scrape" in caplog.messages)
        text = (await scrape(f"http://{gateway.http_address}/metrics"))[1]
        assert samples(text)["asrgateway_drain_streams_cut_total", frozenset()] == 1
        signal.raise_signal(signal.SIGTERM)
        await end_of(stopped)


async def test_a_stop_by_hand_waits_for_no_scrape() -> None:
    async with signalled_gateway(**WAITING) as (_, stub, stopped):
        call = await open_call(stub)
        signal.raise_signal(signal.SIGINT)
        assert (await outcome_of(call)).reason == "DRAINING"
        await end_of(stopped)


async def test_a_probe_that_watches_holds_up_no_stop() -> None:
    async with (
        signalled_gateway(drain_seconds=120, embedded_workers=0) as (gateway, _, stopped),
        grpc.aio.insecure_channel(str(gateway.health_address)) as channel,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="readiness"))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        signal.raise_signal(signal.SIGTERM)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        await end_of(stopped)


async def test_open_reflection_holds_up_no_stop() -> None:
    async with (
        signalled_gateway(drain_seconds=120, embedded_workers=0) as (gateway, _, stopped),
        grpc.aio.insecure_channel(str(gateway.address)) as channel,
    ):
        asking = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
        await asking.write(reflection_pb2.ServerReflectionRequest(list_services="*"))
        await asking.read()
        signal.raise_signal(signal.SIGTERM)
        await end_of(stopped)


async def test_the_port_is_closed_while_open_calls_finish() -> None:
    async with signalled_gateway(drain_seconds=120) as (gateway, stub, stopped):
        call = await open_call(stub)
        signal.raise_signal(signal.SIGTERM)
        await eventually(lambda: is_refused(str(gateway.address)))
        assert not stopped.done()
        call.cancel()
        await end_of(stopped)


async def test_a_killed_gateway_leaves_no_worker() -> None:
    async with gateway_process(embedded_workers="2") as (gateway, stub):
        await open_call(stub)
        workers = children(gateway.process.pid)
        assert len(workers) == 2
        gateway.process.kill()
        await eventually(lambda: not any(is_running(worker) for worker in workers))


# Exit codes --------------------------------------------------------------------------------------------------------


async def test_on_a_terminal_it_says_in_one_line_that_it_is_ready() -> None:
    terminal, its_end = pty.openpty()
    variables = environment(embedded_workers="1", log_level="WARNING")
    process = await asyncio.create_subprocess_exec(COMMAND, "serve", env=variables, stderr=its_end)
    os.close(its_end)
    screen = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(screen), os.fdopen(terminal, "rb")
    )
    try:
        async with asyncio.timeout(60):
            line = (await screen.readline()).decode()
            process.terminate()
            assert await process.wait() == 0
    finally:
        transport.close()
        if process.returncode is None:
            process.kill()
    address = line.split()[2].rstrip(":")
    assert line == (
        f"Ready on {address}: model embedded. Try in another terminal: "
        f"asr-client file SPEECH.wav --target {address}\r\n"
    )


async def test_a_second_gateway_on_the_machine_needs_one_setting() -> None:
    ports = {name: free_port() for name in ("listen", "health_listen", "http_listen")}
    taken = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    async with open_gateway(**taken, embedded_workers=0), gateway_process(**taken, listen_offset="100") as second:
        other, stub = second
        for port, name in {"grpc": "listen", "health": "health_listen"}.items():
            assert await other.address(port) == f"127.0.0.1:{ports[name] + 100}"
        assert (await recognize(stub, [config(), audio(BOY)])).texts == [BOYS_WORDS]


async def test_a_misspelt_setting_is_told() -> None:
    process = await start("serve", drain_second="5")
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    assert process.returncode == 2
    assert said == b"asr-gateway: ASRGATEWAY_DRAIN_SECOND is no setting; did you mean ASRGATEWAY_DRAIN_SECONDS?\n"
