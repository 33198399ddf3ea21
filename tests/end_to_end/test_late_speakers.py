"""A caller that connects long before it speaks: no limit of the vendor ends its call, and its first word comes fast."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from aiohttp import WSMsgType, web

import messages
from asrgateway.v1 import recognition_pb2 as pb
from calls import RecognizeCall, Stub, audio, commit, config, in_messages, outcome_of
from dashscope_emulator.knobs import Knobs
from dashscope_emulator.recognizers.markers import marker_audio
from emulated_vendor import on_either_transport, reaching, task_vendor, vendor_and_gateway
from gateways import eventually, open_gateway

# The SDK leaves its socket and its event loop to the garbage collector, which comes in anybody's test.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

V2 = "paraformer-realtime-v2"
FUN_ASR = "fun-asr-realtime"
QWEN3 = "qwen3-asr-flash-realtime"
SPEECH, WORDS = marker_audio(0, 150), "w0 w1 w2 w3 w4"
OK = grpc.StatusCode.OK
SOON: dict[str, Any] = {"task_idle_seconds": 0.2}


async def started(stub: Stub, model: str = V2, **values: object) -> RecognizeCall:
    """A call whose caller has read that it has started, and has said nothing."""
    call = stub.Recognize(timeout=60)
    await call.write(config(model=model, **values))
    while isinstance(response := await call.read(), pb.RecognizeResponse):
        if response.HasField("started"):
            return call
    raise AssertionError(f"the call ended with {await call.code()}")


async def spoken(call: RecognizeCall) -> list[str]:
    """Say what there is to say; return the texts of a call that ends well."""
    await call.write(audio(SPEECH))
    await call.done_writing()
    outcome = await outcome_of(call)
    assert (outcome.code, outcome.message) == (OK, "")
    return outcome.texts


@on_either_transport
@pytest.mark.parametrize("model", [V2, FUN_ASR, QWEN3])
async def test_a_task_without_audio_is_ended_unseen_and_another_hears_the_first_word(
    transport: str, model: str
) -> None:
    on = {"transports": {"paraformer": transport, "fun_asr": transport, "qwen3_asr": transport}}
    async with vendor_and_gateway(**SOON, **on) as (vendor, gateway, stub):
        call = await started(stub, model)
        await eventually(lambda: vendor.open_connections == 0)
        assert await spoken(call) == [WORDS]
        first, second = vendor.journals
        errors = [
            sample.value
            for family in gateway.metrics.registry.collect()
            for sample in family.samples
            if sample.name == "asrgateway_upstream_errors_total"
        ]
    assert (first.packets, second.blocks) == (0, list(range(150)))
    assert first.outcome in ("finished", "failed")  # In order: the vendor may call it an error that nothing was said.
    assert sum(errors) == 0


async def test_it_is_ended_before_the_vendors_limit() -> None:
    """Of all three dialects at once: the emulator's 23 s are 1.5 s here, and the gateway's 10 s are 0.65 s."""
    knobs = Knobs(session_idle_seconds=23.0)
    async with vendor_and_gateway(emulator={"time_scale": 15.0, "knobs": knobs}, task_idle_seconds=0.65) as (
        vendor,
        _,
        stub,
    ):
        calls = [await started(stub, model) for model in (V2, FUN_ASR, QWEN3)]
        await asyncio.sleep(2.0)
        assert await asyncio.gather(*map(spoken, calls)) == [[WORDS]] * 3
        assert [journal.packets for journal in vendor.journals][:3] == [0, 0, 0]


async def test_a_limit_of_the_vendor_that_comes_sooner_does_not_show_either() -> None:
    async with vendor_and_gateway(emulator={"time_scale": 100.0}) as (vendor, _, stub):
        call = await started(stub)
        await eventually(lambda: vendor.open_connections == 0)
        assert vendor.journals[0].outcome == "failed"
        assert await spoken(call) == [WORDS]


async def test_a_caller_that_speaks_at_once_has_one_task() -> None:
    async with vendor_and_gateway(**SOON) as (vendor, _, stub):
        call = await started(stub)
        assert await spoken(call) == [WORDS]
        assert len(vendor.journals) == 1


async def test_the_call_has_a_name_for_each_of_its_tasks() -> None:
    async with vendor_and_gateway(**SOON) as (vendor, _, stub):
        call = await started(stub)
        await eventually(lambda: vendor.open_connections == 0)
        await call.write(audio(SPEECH))
        await call.done_writing()
        outcome = await outcome_of(call)
        assert list(outcome.finished.upstream_request_ids) == [journal.task_id for journal in vendor.journals]
    assert outcome.kinds == ["result", "finished"]
    assert outcome.finished.HasField("last_package_delay")
    assert outcome.finished.billed_duration.ToMilliseconds() == 2000


async def test_commits_and_updates_meanwhile_are_answered_and_kept() -> None:
    said = pb.ContextMessage(role=pb.CONTEXT_ROLE_USER, text="a window")
    update = pb.ConfigUpdate(adaptation=pb.SpeechAdaptation(context_messages=[said]))
    async with vendor_and_gateway(**SOON) as (vendor, _, stub):
        call = await started(stub, FUN_ASR)
        await eventually(lambda: vendor.open_connections == 0)
        await call.write(commit())
        await call.write(pb.RecognizeRequest(update=update))
        events: list[int] = []
        while len(events) < 2:
            response = await call.read()
            assert isinstance(response, pb.RecognizeResponse)
            events.append(response.stream_event.event_type)
        assert await spoken(call) == [WORDS]
        assert vendor.journals[1].contexts == [
            [{"role": "user", "content": [{"type": "input_text", "text": "a window"}]}]
        ]
    assert events == [pb.STREAM_EVENT_TYPE_COMMIT_EMPTY, pb.STREAM_EVENT_TYPE_UPDATE_APPLIED]


async def test_what_was_updated_before_is_in_force_in_the_next_task_too() -> None:
    said = pb.ContextMessage(role=pb.CONTEXT_ROLE_USER, text="a window")
    update = pb.ConfigUpdate(adaptation=pb.SpeechAdaptation(context_messages=[said]))
    async with vendor_and_gateway(**SOON) as (vendor, _, stub):
        call = await started(stub, FUN_ASR)
        await call.write(pb.RecognizeRequest(update=update))
        await eventually(lambda: vendor.open_connections == 0)
        assert await spoken(call) == [WORDS]
        first, second = vendor.journals
    assert first.contexts == second.contexts != []


async def test_half_close_without_a_word_is_still_wrong() -> None:
    async with vendor_and_gateway(**SOON) as (vendor, _, stub):
        call = await started(stub)
        await eventually(lambda: vendor.open_connections == 0)
        await call.done_writing()
        outcome = await outcome_of(call)
    assert (outcome.code, outcome.field) == (grpc.StatusCode.INVALID_ARGUMENT, "audio")


async def test_a_cancel_meanwhile_leaves_nothing_behind() -> None:
    async with vendor_and_gateway(**SOON) as (vendor, gateway, stub):
        call = await started(stub)
        await eventually(lambda: vendor.open_connections == 0)
        call.cancel()
        value = gateway.metrics.registry.get_sample_value
        await eventually(lambda: value("asrgateway_streams_active", {"model": V2}) == 0)


@on_either_transport
async def test_the_first_word_does_not_wait_for_the_end_of_a_silent_task(transport: str) -> None:
    """The vendor never confirms the first end."""
    connections = 0
    asked = asyncio.Event()

    async def confirm_the_second(_: web.Request, connection: web.WebSocketResponse) -> None:
        nonlocal connections
        connections += 1
        number = connections
        while (message := await connection.receive()).type is WSMsgType.BINARY:
            pass
        if number == 1:
            asked.set()
        elif message.type is WSMsgType.TEXT:
            await connection.send_str(messages.final(WORDS))
            await connection.send_str(messages.finished())
        await connection.receive()

    async with (
        task_vendor(confirm_the_second) as url,
        open_gateway(**reaching(url, transport), **SOON, upstream_stall_timeout_seconds=600.0) as (_, stub),
    ):
        call = await started(stub)
        await asked.wait()
        for message in in_messages(SPEECH):
            await call.write(message)
        await call.done_writing()
        outcome = await outcome_of(call)
    assert (outcome.code, outcome.texts) == (OK, [WORDS])
