"""A call is a span, each of its upstream tasks another; who traces finds ours in theirs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

import pytest
from grpc.aio import Metadata
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.logs import JsonFormatter
from asrgateway_server.tracing import CallTrace, IdOnlyTracer
from calls import Outcome, commit, config, in_messages, recognize
from dashscope_emulator import Fault
from dashscope_emulator.faults import Fail
from dashscope_emulator.recognizers.markers import marker_audio, silent_audio
from emulated_vendor import vendor_and_gateway
from observability.collector import Collector, attributes, running_collector

V2 = "paraformer-realtime-v2"
SPEECH = marker_audio(0, 100) + silent_audio(100)
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
SAMPLED = Metadata(("traceparent", f"00-{TRACE_ID}-{SPAN_ID}-01"))
NOT_SAMPLED = Metadata(("traceparent", f"00-{TRACE_ID}-{SPAN_ID}-00"))


async def traced(
    requests: Iterable[pb.RecognizeRequest] = (config(model=V2), *in_messages(SPEECH)),
    *,
    metadata: Metadata | None = None,
    faults: tuple[Fault, ...] = (),
    **settings: Any,
) -> tuple[Outcome, Collector]:
    """Make one call, stop the gateway, and return what the collector has by then."""
    async with running_collector() as collector:
        values = {"otlp_endpoint": collector.url} | settings
        async with vendor_and_gateway(emulator={"faults": faults}, **values) as (_, _gateway, stub):
            outcome = await recognize(stub, requests, metadata=metadata)
        return outcome, collector


async def test_a_call_is_a_span_with_its_model_and_its_status() -> None:
    outcome, collector = await traced()
    (call,) = collector.named("/Recognize")
    assert call.kind == Span.SPAN_KIND_SERVER
    told = attributes(call)
    assert told["rpc.system"] == "grpc"
    assert told["rpc.grpc.status_code"] == "0"
    assert told["asrgateway.model"] == V2
    assert told["asrgateway.call_id"] == outcome.responses[0].started.call_id
    assert collector.services == {"asr-gateway"}


async def test_an_upstream_task_is_a_span_in_it_with_the_vendors_request_id() -> None:
    outcome, collector = await traced()
    (call,) = collector.named("/Recognize")
    (task,) = collector.named("upstream task")
    assert (task.trace_id, task.parent_span_id, task.kind) == (call.trace_id, call.span_id, Span.SPAN_KIND_CLIENT)
    assert [attributes(task)["asrgateway.upstream_request_id"]] == list(outcome.finished.upstream_request_ids)
    assert call.start_time_unix_nano <= task.start_time_unix_nano <= task.end_time_unix_nano <= call.end_time_unix_nano


async def test_a_commit_makes_another_task_and_another_span() -> None:
    speech = [*in_messages(marker_audio(0, 60)), commit(), *in_messages(marker_audio(60, 60))]
    outcome, collector = await traced([config(model=V2), *speech])
    ids = [attributes(task)["asrgateway.upstream_request_id"] for task in collector.named("upstream task")]
    assert len(ids) == 2
    assert ids == list(outcome.finished.upstream_request_ids)


async def test_a_call_continues_the_trace_of_its_caller() -> None:
    _, collector = await traced(metadata=SAMPLED)
    (call,) = collector.named("/Recognize")
    assert (call.trace_id.hex(), call.parent_span_id.hex()) == (TRACE_ID, SPAN_ID)


async def test_a_caller_who_does_not_trace_is_not_traced() -> None:
    _, collector = await traced(metadata=NOT_SAMPLED)
    assert collector.spans == []


async def test_the_operator_says_how_many_of_the_others_are_traced() -> None:
    _, collector = await traced(trace_sample_ratio=0.0)
    assert collector.spans == []


async def test_a_failure_is_told_without_the_vendors_words() -> None:
    secret = "the vendor quotes a hot word"  # noqa: S105 it is none
    fault = Fault(action=Fail(code="InternalError", message=secret), audio_ms=500)
    _, collector = await traced(faults=(fault,))
    (call,) = collector.named("/Recognize")
    (task,) = collector.named("upstream task")
    assert (call.status.code, call.status.message) == (Status.STATUS_CODE_ERROR, "UPSTREAM_UNAVAILABLE")
    assert (task.status.code, task.status.message) == (Status.STATUS_CODE_ERROR, "UpstreamLost")
    assert attributes(call)["rpc.grpc.status_code"] == "14"
    assert not any(secret.encode() in body for body in collector.bodies)


async def test_neither_text_nor_hot_words_nor_keys_leave_the_gateway() -> None:
    adaptation = pb.SpeechAdaptation(context="the annual report of Contoso")
    outcome, collector = await traced([config(model=V2, adaptation=adaptation), *in_messages(SPEECH)])
    assert outcome.texts == ["w0 w1 w2"]
    sent = b"".join(collector.bodies)
    assert sent
    assert [word for word in (b"w0", b"Contoso", b"sk-test") if word in sent] == []


async def test_other_methods_are_spans_too() -> None:
    async with running_collector() as collector:
        async with vendor_and_gateway(otlp_endpoint=collector.url) as (_, _gateway, stub):
            await stub.ListModels(pb.ListModelsRequest())
        assert [span.name for span in collector.spans] == ["asrgateway.v1.SpeechRecognitionService/ListModels"]


async def test_a_collector_may_have_an_ipv6_address_and_ask_for_a_password() -> None:
    async with running_collector("::1") as collector:
        endpoint = collector.url.replace("http://", "http://user:pass%40word@")
        async with vendor_and_gateway(otlp_endpoint=endpoint) as (_, _gateway, stub):
            await stub.ListModels(pb.ListModelsRequest())
    assert [span.name for span in collector.spans] == ["asrgateway.v1.SpeechRecognitionService/ListModels"]
    assert collector.authorizations == {f"Basic {b64encode(b'user:pass@word').decode()}"}


async def test_a_collector_that_is_away_disturbs_nobody() -> None:
    began = time.monotonic()
    async with vendor_and_gateway(otlp_endpoint="http://127.0.0.1:1") as (_, _gateway, stub):
        outcome = await recognize(stub, [config(model=V2), *in_messages(SPEECH)])
    assert outcome.texts == ["w0 w1 w2"]
    assert time.monotonic() - began < 20


async def test_the_lines_of_a_call_bear_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.setFormatter(JsonFormatter())
    with caplog.at_level("INFO"):
        async with vendor_and_gateway() as (_, _gateway, stub):
            await recognize(stub, [config(model=V2), *in_messages(SPEECH)], metadata=SAMPLED)
            await recognize(stub, [config(model=V2), *in_messages(SPEECH)])
    lines = [json.loads(line) for line in caplog.text.splitlines()]
    told = [(line["message"], line.get("trace_id")) for line in lines if line["message"].startswith("call ")]
    assert told == [
        ("call started", TRACE_ID),
        ("call finished", TRACE_ID),
        ("call started", None),
        ("call finished", None),
    ]


def test_a_caller_who_traces_is_known_by_its_id() -> None:
    trace = IdOnlyTracer().begin("Recognize", {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"})
    assert (trace.trace_id, trace.exemplar) == (TRACE_ID, {"trace_id": TRACE_ID})


def test_a_trace_that_nobody_keeps_is_no_example() -> None:
    trace = IdOnlyTracer().begin("Recognize", {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-00"})
    assert (trace.trace_id, trace.exemplar) == (TRACE_ID, None)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        f"00-{TRACE_ID}-{SPAN_ID}",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{TRACE_ID.upper()}-{SPAN_ID}-01",
    ],
)
def test_what_is_no_trace_is_none(header: str) -> None:
    trace = IdOnlyTracer().begin("Recognize", {"traceparent": header})
    assert (trace.trace_id, trace.exemplar) == ("", None)


def test_without_a_trace_there_is_nothing_to_do() -> None:
    trace = CallTrace()
    with trace.task("m"):
        trace.task_ready("m", "t")
        trace.task_failed("UpstreamLost")
    trace.set_attributes(model="m")
    trace.end(0, "OK")


def test_without_a_collector_nothing_is_imported() -> None:
    program = (
        "import sys, asrgateway_server.cli; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
