"""What a call leaves behind in the metrics."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version

import grpc
import pytest
from grpc.aio import Metadata

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.lifecycle import Gateway
from asrgateway_server.metrics import SERVICE
from calls import audio, config, in_messages, recognize
from dashscope_emulator import Fault
from dashscope_emulator.faults import Drop, Fail, Phase, Refuse, Throttle
from dashscope_emulator.recognizers.markers import marker_audio, silent_audio
from emulated_vendor import vendor_and_gateway
from gateways import eventually, open_gateway

V2 = "paraformer-realtime-v2"
SPEECH = marker_audio(0, 150) + silent_audio(100)


def requests(model: str = V2, data: bytes = SPEECH) -> Iterable[pb.RecognizeRequest]:
    return [config(model=model), *in_messages(data)]


def refused(status: int) -> Fault:
    return Fault(action=Refuse(status=status), phase=Phase.HANDSHAKE)


def value(gateway: Gateway, name: str, **labels: str) -> float:
    return gateway.metrics.registry.get_sample_value(f"asrgateway_{name}", labels) or 0.0


async def test_a_final_result_tells_how_long_its_last_audio_waited() -> None:
    async with vendor_and_gateway() as (_, gateway, stub):
        outcome = await recognize(stub, requests())
        assert len(outcome.finals) == 1
        assert value(gateway, "result_lag_seconds_count", model=V2) == 1
        assert 0 < value(gateway, "result_lag_seconds_sum", model=V2) < 5


async def test_a_call_tells_how_fast_its_audio_was_taken() -> None:
    async with vendor_and_gateway() as (_, gateway, stub):
        await recognize(stub, requests())
        assert value(gateway, "realtime_factor_ratio_count", model=V2) == 1
        assert value(gateway, "realtime_factor_ratio_sum", model=V2) < 1


async def test_nothing_waits_when_no_call_is_open() -> None:
    async with vendor_and_gateway() as (_, gateway, stub):
        await recognize(stub, requests())
        assert value(gateway, "backlog_audio_seconds") == 0


async def test_what_the_vendor_bills_is_counted_with_its_price() -> None:
    async with vendor_and_gateway() as (_, gateway, stub):
        outcome = await recognize(stub, requests())
        billed = outcome.finished.billed_duration.ToMilliseconds() / 1000
        assert value(gateway, "billed_audio_seconds_total", model=V2) == billed > 0
        assert value(gateway, "estimated_cost_cny_total", model=V2) == pytest.approx(
            outcome.finished.estimated_cost_cny
        )


async def test_a_call_that_failed_is_billed_for_what_was_sent() -> None:
    drop = Fault(action=Drop(), audio_ms=1_000)
    async with vendor_and_gateway(emulator={"faults": (drop,)}) as (_, gateway, stub):
        outcome = await recognize(stub, requests())
        assert outcome.code is grpc.StatusCode.UNAVAILABLE
        sent = value(gateway, "upstream_audio_sent_seconds_total", model=V2)
        assert value(gateway, "billed_audio_seconds_total", model=V2) == pytest.approx(sent)
        assert sent >= 0.99  # Ten chunks of 100 ms, added as floats.


async def test_connections_are_counted_while_they_are_opened_and_used() -> None:
    async with vendor_and_gateway() as (_, gateway, stub):
        call = stub.Recognize(timeout=60)
        await call.write(config(model=V2))
        await call.write(audio(marker_audio(0, 10)))
        started = await call.read()
        assert isinstance(started, pb.RecognizeResponse)
        assert value(gateway, "upstream_connections", upstream="dashscope", state="in_use") == 1
        await call.done_writing()
        while isinstance(await call.read(), pb.RecognizeResponse):
            pass
        assert value(gateway, "upstream_connections", upstream="dashscope", state="in_use") == 0
        assert value(gateway, "upstream_connections", upstream="dashscope", state="connecting") == 0
        assert value(gateway, "upstream_connects_total", upstream="dashscope", result="ok") == 1
        assert value(gateway, "upstream_connect_duration_seconds_count", upstream="dashscope") == 1


@pytest.mark.parametrize(
    ("fault", "result", "code", "reason", "grpc_code"),
    [
        (refused(503), "refused", "http", "upstream", "UNAVAILABLE"),
        (refused(401), "refused", "InvalidApiKey", "upstream", "FAILED_PRECONDITION"),
        (refused(429), "throttled", "Throttling", "quota", "RESOURCE_EXHAUSTED"),
        (Fault(action=Throttle(), phase=Phase.START), "ok", "Throttling", "quota", "RESOURCE_EXHAUSTED"),
        (Fault(action=Fail(code="Arrearage")), "ok", "Arrearage", "upstream", "FAILED_PRECONDITION"),
        (Fault(action=Fail(code="SomethingNew")), "ok", "other", "upstream", "UNAVAILABLE"),
    ],
    ids=lambda value: str(value.action) if isinstance(value, Fault) else value,
)
async def test_whose_doing_a_failure_was_is_told_by_label(
    fault: Fault, result: str, code: str, reason: str, grpc_code: str
) -> None:
    async with vendor_and_gateway(emulator={"faults": (fault,)}) as (_, gateway, stub):
        await recognize(stub, requests())
        assert value(gateway, "upstream_connects_total", upstream="dashscope", result=result) == 1
        assert value(gateway, "upstream_errors_total", upstream="dashscope", upstream_code=code) == 1
        await eventually(lambda: value(gateway, "stream_errors_total", grpc_code=grpc_code, reason=reason) == 1)


async def test_a_callers_own_wrong_key_is_not_the_operators_trouble() -> None:
    async with vendor_and_gateway(emulator={"api_key": "sk-test"}, allow_caller_keys=True) as (_, gateway, stub):
        outcome = await recognize(stub, requests(), metadata=Metadata(("x-dashscope-api-key", "sk-wrong")))
        assert outcome.code is grpc.StatusCode.UNAUTHENTICATED
        assert value(gateway, "upstream_connects_total", upstream="dashscope", result="callers_key") == 1
        assert value(gateway, "upstream_errors_total", upstream="dashscope", upstream_code="callers_key") == 1
        await eventually(
            lambda: value(gateway, "stream_errors_total", grpc_code="UNAUTHENTICATED", reason="client") == 1
        )


async def test_a_vendor_that_nobody_reaches_is_counted() -> None:
    nobody = {"dashscope_url": "ws://127.0.0.1:1", "dashscope_api_key": "sk-test", "embedded_workers": 0}
    async with open_gateway(**nobody) as (gateway, stub):
        await recognize(stub, requests())
        assert value(gateway, "upstream_connects_total", upstream="dashscope", result="lost") == 1
        assert value(gateway, "upstream_errors_total", upstream="dashscope", upstream_code="none") == 1


async def test_a_call_that_begins_wrong_is_a_refusal() -> None:
    async with vendor_and_gateway() as (_, gateway, stub):
        await recognize(stub, [config(model="no such model")])
        assert value(gateway, "streams_rejected_total", reason="invalid") == 1
        await eventually(
            lambda: value(gateway, "stream_errors_total", grpc_code="INVALID_ARGUMENT", reason="client") == 1
        )


async def test_every_message_is_counted() -> None:
    async with vendor_and_gateway() as (_, gateway, stub):
        sent = list(requests())
        outcome = await recognize(stub, sent)
        labels = {"grpc_type": "bidi_stream", "grpc_service": SERVICE, "grpc_method": "Recognize"}
        total = gateway.metrics.registry.get_sample_value
        assert total("grpc_server_msg_received_total", labels) == len(sent)
        assert total("grpc_server_msg_sent_total", labels) == len(outcome.responses)


async def test_a_busy_worker_pool_is_a_refusal_for_want_of_room() -> None:
    async with vendor_and_gateway(embedded_workers=1) as (_, gateway, stub):
        holder = stub.Recognize(timeout=60)
        await holder.write(config(model="embedded"))
        await holder.write(audio(bytes(3200)))  # The first audio takes the worker.
        await eventually(lambda: value(gateway, "workers_busy", model="embedded") == 1)
        await recognize(stub, [config(model="embedded"), audio(bytes(3200))])
        holder.cancel()
        assert value(gateway, "streams_rejected_total", reason="capacity") == 1


async def test_the_build_is_told() -> None:
    async with vendor_and_gateway(revision="4f2a91c") as (_, gateway, _stub):
        labels = {"version": version("asrgateway-server"), "revision": "4f2a91c"}
        assert value(gateway, "build_info", **labels) == 1
