"""The service on a real server and channel, with a backend that answers at once."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway.v1 import recognition_pb2_grpc as pb_grpc
from asrgateway_server import logs
from asrgateway_server.admission.drain import Drain
from asrgateway_server.admission.edge_limits import EdgeLimits
from asrgateway_server.admission.peer_calls import PeerCalls
from asrgateway_server.admission.recognitions import Recognitions
from asrgateway_server.admission.vendor_metadata import VendorMetadata
from asrgateway_server.backends.base import Completed, Emit, TaskEnd, TaskInput
from asrgateway_server.backends.circuit_breaker import CircuitLimits
from asrgateway_server.backends.route import Routes
from asrgateway_server.call.replay_memory import ReplayMemory
from asrgateway_server.config import RecognitionConfig
from asrgateway_server.errors import Overloaded
from asrgateway_server.events import FinalResult, Ready
from asrgateway_server.grpc_api.interceptor import CallInterceptor
from asrgateway_server.grpc_api.ports import ONLY_ONE_LISTENER
from asrgateway_server.grpc_api.servicer import RecognitionServicer
from asrgateway_server.metrics import SERVICE, Metrics
from asrgateway_server.tracing import IdOnlyTracer
from calls import Outcome, Stub, audio, commit, config, outcome_of, recognize
from catalogues import WITHOUT_KEY
from gateways import eventually
from limits import LIMITS

EDGE = EdgeLimits(
    vendor_metadata=VendorMetadata({}, is_allowed=False),
    max_streams=2,
    max_message_bytes=10_000,
    config_timeout_seconds=10.0,
    first_audio_timeout_seconds=10.0,
    write_timeout_seconds=10.0,
    max_commits_per_minute=5,
)
CHUNK = audio(bytes(3_200))


class Counting:
    """A backend whose final result is the number of packets; or it raises an error.

    Attributes:
        error: Raised at the beginning of each call.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None

    @property
    def ends_at_commit(self) -> bool:
        return False

    @asynccontextmanager
    async def open(self, _config: RecognitionConfig) -> AsyncIterator[Counting]:
        yield self

    async def rest(self) -> None:
        """Keep nothing."""

    async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
        await emit(Ready(request_id=config.model.name), time.monotonic())
        if self.error:
            raise self.error
        count = 0
        while await task_input.next() is not None:
            count += 1
        await emit(FinalResult(text=f"{count} chunks"), time.monotonic())
        return Completed(read_at=time.monotonic())


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running service.

    Attributes:
        channel: Leads to it.
        stub: Calls it.
        backend: What answers.
        metrics: What it counts.
    """

    channel: grpc.aio.Channel
    stub: Stub
    backend: Counting
    metrics: Metrics

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


@pytest.fixture
def edge() -> EdgeLimits:
    return EDGE


@pytest.fixture
async def service(edge: EdgeLimits) -> AsyncIterator[Service]:
    metrics, backend = Metrics(CollectorRegistry()), Counting()
    server = grpc.aio.server(
        interceptors=[CallInterceptor(metrics, IdOnlyTracer(), 10.0, 10.0, PeerCalls(0, metrics))],
        options=[ONLY_ONE_LISTENER],
    )
    served = WITHOUT_KEY
    recognitions = Recognitions(
        served,
        Routes(served, {"pocketsphinx": backend}, CircuitLimits(), metrics),
        edge,
        LIMITS,
        metrics,
        Drain(0.1, 0.1, 0.0, metrics),
        ReplayMemory(math.inf),
    )
    servicer = RecognitionServicer(served, recognitions, metrics)
    pb_grpc.add_SpeechRecognitionServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = pb_grpc.SpeechRecognitionServiceStub(channel)
        yield Service(channel=channel, stub=stub, backend=backend, metrics=metrics)
    await server.stop(None)


def seen(outcome: Outcome) -> tuple[grpc.StatusCode, str, str]:
    return outcome.code, outcome.reason, outcome.field


HANDLED: Mapping[str, str] = {
    "grpc_type": "bidi_stream",
    "grpc_service": SERVICE,
    "grpc_method": "Recognize",
}


# A call -----------------------------------------------------------------------------------------------------------


async def test_a_call_starts_returns_its_result_and_finishes(service: Service) -> None:
    outcome = await recognize(service.stub, [config(), CHUNK, CHUNK])
    assert outcome.code == grpc.StatusCode.OK
    assert outcome.kinds == ["started", "result", "finished"]
    assert outcome.texts == ["2 chunks"]


async def test_the_response_header_names_the_call_before_anything_was_sent(service: Service) -> None:
    call = service.stub.Recognize(timeout=60)
    header = dict(await call.initial_metadata())
    await call.write(config())
    response = await call.read()
    call.cancel()
    assert isinstance(response, pb.RecognizeResponse)
    assert header == {"asr-call-id": response.started.call_id}


async def test_every_call_has_an_id_of_its_own(service: Service) -> None:
    outcomes = [await recognize(service.stub, [config(), CHUNK]) for _ in range(2)]
    ids = {outcome.responses[0].started.call_id for outcome in outcomes}
    assert len(ids) == 2
    assert "" not in ids


async def test_every_response_has_a_cursor(service: Service) -> None:
    outcome = await recognize(service.stub, [config(), CHUNK])
    assert all(response.HasField("cursor") for response in outcome.responses)


async def test_the_models_are_those_of_the_catalogue(service: Service) -> None:
    models = await service.stub.ListModels(pb.ListModelsRequest())
    assert [model.name for model in models.models] == ["embedded"]


async def test_a_call_is_counted_from_start_to_end(service: Service) -> None:
    await recognize(service.stub, [config(), CHUNK])
    await eventually(lambda: service.value("grpc_server_handled_total", **HANDLED, grpc_code="OK") == 1)
    assert service.value("grpc_server_started_total", **HANDLED) == 1
    assert service.value("asrgateway_streams_active", model="embedded") == 0
    assert service.value("asrgateway_stream_duration_seconds_count", model="embedded") == 1


# Requests that have no place --------------------------------------------------------------------------------------

INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("first", [CHUNK, pb.RecognizeRequest(), pb.RecognizeRequest(commit=pb.Commit())])
async def test_the_first_request_must_be_the_config(service: Service, first: pb.RecognizeRequest) -> None:
    outcome = await recognize(service.stub, [first, CHUNK])
    assert seen(outcome) == (INVALID, "INVALID_REQUEST", "streaming_config")


async def test_a_stream_without_any_request_is_refused(service: Service) -> None:
    outcome = await recognize(service.stub, [])
    assert seen(outcome) == (INVALID, "INVALID_REQUEST", "streaming_config")


@pytest.mark.parametrize(
    ("request_", "code", "reason", "field"),
    [
        (config(), INVALID, "INVALID_REQUEST", "streaming_config"),
        (pb.RecognizeRequest(), INVALID, "INVALID_REQUEST", "request"),
        (audio(bytes(10_001)), INVALID, "INVALID_REQUEST", "audio"),
    ],
)
async def test_a_wrong_later_request_ends_the_call(
    service: Service, request_: pb.RecognizeRequest, code: grpc.StatusCode, reason: str, field: str
) -> None:
    outcome = await recognize(service.stub, [config(), CHUNK, request_])
    assert seen(outcome) == (code, reason, field)


async def test_bytes_that_are_no_request_end_the_call(service: Service) -> None:
    recognize_bytes: grpc.aio.StreamStreamMultiCallable[Any, pb.RecognizeResponse] = service.channel.stream_stream(
        f"/{SERVICE}/Recognize", response_deserializer=pb.RecognizeResponse.FromString
    )
    outcome = await outcome_of(recognize_bytes(iter([b"\xff\xff\xff"])))
    assert seen(outcome) == (INVALID, "INVALID_REQUEST", "request")


async def test_a_list_models_request_that_cannot_be_parsed_is_refused(service: Service) -> None:
    list_bytes: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = service.channel.unary_unary(f"/{SERVICE}/ListModels")
    with pytest.raises(grpc.aio.AioRpcError, match="the request cannot be parsed") as caught:
        await list_bytes(b"\xff\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_list_models_without_a_request_is_refused(service: Service) -> None:
    list_nothing: grpc.aio.StreamUnaryMultiCallable[bytes, bytes] = service.channel.stream_unary(
        f"/{SERVICE}/ListModels"
    )
    with pytest.raises(grpc.aio.AioRpcError, match="ended before its request arrived") as caught:
        await list_nothing(iter(()))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_message_of_the_largest_size_is_accepted(service: Service) -> None:
    outcome = await recognize(service.stub, [config(), audio(bytes(10_000))])
    assert outcome.code == grpc.StatusCode.OK


async def test_an_unknown_model_is_refused(service: Service) -> None:
    outcome = await recognize(service.stub, [config(model="gpt"), CHUNK])
    assert seen(outcome) == (INVALID, "UNKNOWN_MODEL", "streaming_config.model")


# Limits -----------------------------------------------------------------------------------------------------------


async def test_a_call_beyond_the_limit_is_refused_for_now(service: Service) -> None:
    calls = [service.stub.Recognize() for _ in range(2)]
    for call in calls:
        await call.write(config())
        await call.read()
    outcome = await recognize(service.stub, [config(), CHUNK])
    assert seen(outcome) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", "")
    assert outcome.retry_seconds == 1.0
    assert service.value("asrgateway_streams_rejected_total", reason="capacity") == 1
    for call in calls:
        call.cancel()


async def test_a_cancelled_call_makes_room(service: Service) -> None:
    for _ in range(3):
        call = service.stub.Recognize()
        await call.write(config())
        await call.read()
        call.cancel()
        await eventually(lambda: service.value("asrgateway_streams_active", model="embedded") == 0)
    assert (await recognize(service.stub, [config(), CHUNK])).code == grpc.StatusCode.OK
    await eventually(lambda: service.value("grpc_server_handled_total", **HANDLED, grpc_code="CANCELLED") == 3)


@pytest.mark.parametrize("edge", [replace(EDGE, config_timeout_seconds=0.05)])
async def test_a_client_that_sends_no_config_gets_deadline_exceeded(service: Service) -> None:
    call = service.stub.Recognize()
    outcome = await outcome_of(call)
    assert seen(outcome) == (grpc.StatusCode.DEADLINE_EXCEEDED, "CLIENT_STALLED", "streaming_config")


async def silent_call(service: Service, *requests: pb.RecognizeRequest) -> Outcome:
    """A call that sends these, and nothing more."""
    call = service.stub.Recognize()
    for request in (config(), *requests):
        await call.write(request)
    return await outcome_of(call)


@pytest.mark.parametrize("edge", [replace(EDGE, first_audio_timeout_seconds=0.2)])
@pytest.mark.parametrize(
    "requests", [(), (audio(b""),) * 3, (commit(),) * 5], ids=["nothing", "empty audio", "commits"]
)
async def test_a_client_that_sends_no_audio_gets_deadline_exceeded(
    service: Service, requests: tuple[pb.RecognizeRequest, ...]
) -> None:
    outcome = await silent_call(service, *requests)
    assert seen(outcome) == (grpc.StatusCode.DEADLINE_EXCEEDED, "CLIENT_STALLED", "audio")
    assert outcome.message == "no audio came within 0.2 s"
    assert outcome.kinds[0] == "started"
    assert service.value("asrgateway_streams_active", model="embedded") == 0


@pytest.mark.parametrize("edge", [replace(EDGE, first_audio_timeout_seconds=0.2)])
async def test_after_the_first_audio_a_client_may_be_quiet_for_longer(service: Service) -> None:
    call = service.stub.Recognize()
    for request in (config(), CHUNK):
        await call.write(request)
    await asyncio.sleep(0.5)
    await call.done_writing()
    assert (await outcome_of(call)).texts == ["1 chunks"]


async def test_a_commit_too_many_ends_the_call_and_names_its_field(service: Service) -> None:
    outcome = await silent_call(service, CHUNK, *[commit()] * 6)
    assert seen(outcome) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "CLIENT_LIMIT_REACHED", "commit")
    assert outcome.message == "a call may send 5 commits in a minute, and this one has sent more"
    assert outcome.retry_seconds == pytest.approx(12.0, abs=1.0)


@pytest.mark.parametrize("edge", [replace(EDGE, max_client_streams=1)])
async def test_a_client_with_enough_open_calls_is_refused_another(service: Service) -> None:
    call = service.stub.Recognize()
    await call.write(config())
    await call.read()
    outcome = await recognize(service.stub, [config(), CHUNK])
    assert seen(outcome) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "CLIENT_LIMIT_REACHED", "")
    assert outcome.retry_seconds == 1.0
    assert service.value("asrgateway_streams_rejected_total", reason="quota") == 1
    assert service.value("asrgateway_streams_rejected_total", reason="capacity") == 0
    await call.write(CHUNK)
    await call.done_writing()
    assert (await outcome_of(call)).texts == ["1 chunks"]
    assert (await recognize(service.stub, [config(), CHUNK])).texts == ["1 chunks"]


@pytest.mark.parametrize("edge", [replace(EDGE, max_client_starts_per_minute=2)])
async def test_a_client_that_starts_too_many_calls_gets_the_time_to_try_again(service: Service) -> None:
    first = [await recognize(service.stub, [config(), CHUNK]) for _ in range(2)]
    assert [outcome.code for outcome in first] == [grpc.StatusCode.OK] * 2
    outcome = await recognize(service.stub, [config(), CHUNK])
    assert seen(outcome) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "CLIENT_LIMIT_REACHED", "")
    assert outcome.retry_seconds is not None
    assert 0 < outcome.retry_seconds <= 30
    assert (await service.stub.ListModels(pb.ListModelsRequest())).models


# Errors -----------------------------------------------------------------------------------------------------------


async def test_an_error_of_the_backend_reaches_the_client(service: Service) -> None:
    service.backend.error = Overloaded("all workers are busy", retry_after_seconds=0.5)
    outcome = await recognize(service.stub, [config(), CHUNK])
    assert seen(outcome) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", "")
    assert (outcome.message, outcome.retry_seconds) == ("all workers are busy", 0.5)


async def test_a_bug_is_reported_without_its_text(service: Service) -> None:
    service.backend.error = RuntimeError("the secret")
    outcome = await recognize(service.stub, [config(), CHUNK])
    assert outcome.code == grpc.StatusCode.INTERNAL
    assert "the secret" not in outcome.message
    await eventually(
        lambda: service.value("asrgateway_stream_errors_total", grpc_code="INTERNAL", reason="internal") == 1
    )


async def test_an_error_is_counted_with_its_cause(service: Service) -> None:
    await recognize(service.stub, [CHUNK])
    await eventually(
        lambda: service.value("asrgateway_stream_errors_total", grpc_code="INVALID_ARGUMENT", reason="client") == 1
    )


async def test_a_deadline_is_not_counted_as_a_cancel(service: Service) -> None:
    call = service.stub.Recognize(timeout=0.3)
    await call.write(config())
    assert (await outcome_of(call)).code == grpc.StatusCode.DEADLINE_EXCEEDED
    await eventually(lambda: service.value("grpc_server_handled_total", **HANDLED, grpc_code="DEADLINE_EXCEEDED") == 1)


async def test_the_log_has_the_names_that_the_client_sent(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    fields: list[dict[str, object]] = []

    def keep(_: logging.LogRecord) -> bool:
        fields.append(dict(logs.call_fields.get() or {}))
        return True

    caplog.handler.addFilter(keep)
    await recognize(service.stub, [config(request_id="my-call", resume=pb.Resume(call_id="an-earlier-call")), CHUNK])
    caplog.handler.removeFilter(keep)
    assert {"request_id": "my-call", "resumes": "an-earlier-call"}.items() <= fields[-1].items()
