"""Calls that begin together wait for each other, so that the vendor refuses none."""

from __future__ import annotations

import asyncio

import grpc

from calls import Outcome, Stub, commit, config, in_messages, recognize
from dashscope_emulator import Fault
from dashscope_emulator.faults import Phase, Throttle
from dashscope_emulator.recognizers.markers import marker_audio
from emulated_vendor import on_either_transport, vendor_and_gateway

MODELS = {"paraformer-realtime-v2": "paraformer", "qwen3-asr-flash-realtime": "qwen3_asr"}
SPEECH = in_messages(marker_audio(0, 150))
WORDS = ["w0 w1 w2 w3 w4"]


async def speak(stub: Stub, model: str = "paraformer-realtime-v2") -> Outcome:
    return await recognize(stub, [config(model=model), *SPEECH], timeout=60)


async def test_the_vendor_refuses_none_of_many_calls_at_once() -> None:
    # What was sent together need not arrive together, so that the vendor here allows a few more.
    throttle = Fault(action=Throttle(starts_per_second=25), phase=Phase.START)
    limits = {"max_task_starts_per_second": 15, "max_task_start_wait_seconds": 60}
    async with vendor_and_gateway(emulator={"faults": (throttle,)}, **limits) as (_, _, stub):
        outcomes = await asyncio.gather(*(speak(stub) for _ in range(45)))
    assert [outcome.texts for outcome in outcomes] == [WORDS] * 45


async def test_a_commit_that_begins_another_task_waits_for_its_turn_too() -> None:
    async with vendor_and_gateway(max_task_starts_per_second=1, max_task_start_wait_seconds=60) as (_, _, stub):
        requests = [config(model="paraformer-realtime-v2"), *SPEECH, commit(), *in_messages(marker_audio(150, 150))]
        outcome = await recognize(stub, requests, timeout=60)
    assert outcome.texts == [*WORDS, "w5 w6 w7 w8 w9"]


@on_either_transport
async def test_a_call_that_would_wait_too_long_is_told_when_to_come_again(transport: str) -> None:
    transports = dict.fromkeys(MODELS.values(), transport)
    async with vendor_and_gateway(max_task_starts_per_second=0.01, transports=transports) as (vendor, _, stub):
        for model in MODELS:
            first, second = await speak(stub, model), await speak(stub, model)
            assert first.texts == WORDS
            assert (second.code, second.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
            assert second.retry_seconds is not None
            assert 0 < second.retry_seconds <= 100
        assert len(vendor.journals) == len(MODELS)
