"""What callers of a vendor's model see when their gateway stops or their call has lasted too long."""

from __future__ import annotations

import asyncio

import grpc

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.lifecycle import Gateway
from calls import RecognizeCall, Stub, audio, config, in_messages, outcome_of, recognize
from dashscope_emulator.faults import Fault, Phase, Stall
from dashscope_emulator.recognizers.markers import marker_audio
from emulated_vendor import vendor_and_gateway
from gateways import eventually

V2 = "paraformer-realtime-v2"
#: Five words; without a pause no sentence ends by itself.
SPOKEN = marker_audio(0, 150)
SENTENCE = "w0 w1 w2 w3 w4"


async def spoken_to(stub: Stub) -> RecognizeCall:
    """A call in the middle of a sentence."""
    call = stub.Recognize(timeout=60)
    await call.write(config(model=V2, interim_results=True))
    for message in in_messages(SPOKEN):
        await call.write(message)
    while isinstance(response := await call.read(), pb.RecognizeResponse):
        if response.result.transcript == SENTENCE:
            return call
    raise AssertionError(f"the call ended with {await call.code()}")


async def drained(gateway: Gateway) -> None:
    gateway.drain.begin()
    await gateway.drain.finish()


async def test_a_sentence_that_is_cut_off_still_gets_its_final_result() -> None:
    async with vendor_and_gateway(drain_seconds=0.1, drain_finalize_seconds=10) as (vendor, gateway, stub):
        call = await spoken_to(stub)
        _, outcome = await asyncio.gather(drained(gateway), outcome_of(call))
        assert outcome.kinds == ["going_away", "result"]
        assert outcome.texts == [SENTENCE]
        assert (outcome.code, outcome.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        assert outcome.retry_seconds == 1.0
        assert vendor.journals[0].outcome == "finished"


async def test_going_away_tells_how_far_the_call_has_come() -> None:
    async with vendor_and_gateway(drain_seconds=0.1) as (_, gateway, stub):
        call = await spoken_to(stub)
        _, outcome = await asyncio.gather(drained(gateway), outcome_of(call))
        told = outcome.responses[0]
        assert 0 < told.going_away.deadline.ToMilliseconds() <= 100
        assert told.cursor.received.ToMilliseconds() == len(SPOKEN) // 32


async def test_a_call_that_has_said_nothing_yet_is_sent_elsewhere() -> None:
    async with vendor_and_gateway(drain_seconds=0.05) as (_, gateway, stub):
        silent, configured = stub.Recognize(timeout=60), stub.Recognize(timeout=60)
        await silent.initial_metadata()
        await configured.write(config(model=V2))
        await configured.read()
        _, *outcomes = await asyncio.gather(drained(gateway), outcome_of(silent), outcome_of(configured))
        assert {(outcome.code, outcome.reason) for outcome in outcomes} == {(grpc.StatusCode.UNAVAILABLE, "DRAINING")}


async def test_a_vendor_that_does_not_finish_holds_up_no_stop() -> None:
    stuck = {"faults": (Fault(action=Stall(), phase=Phase.FINISH),)}
    async with vendor_and_gateway(emulator=stuck, drain_seconds=0.05, drain_finalize_seconds=0.1) as (_, gateway, stub):
        call = await spoken_to(stub)
        async with asyncio.timeout(60):
            _, outcome = await asyncio.gather(drained(gateway), outcome_of(call))
        assert (outcome.code, outcome.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")


async def test_callers_who_end_their_calls_in_time_notice_nothing() -> None:
    async with vendor_and_gateway(drain_seconds=120) as (_, gateway, stub):
        call = await spoken_to(stub)
        gateway.drain.begin()
        await call.write(audio(marker_audio(150, 30)))
        await call.done_writing()
        outcome = await outcome_of(call)
        async with asyncio.timeout(60):
            await gateway.drain.finish()
        assert outcome.code is grpc.StatusCode.OK
        assert outcome.texts == [f"{SENTENCE} w5"]
        assert outcome.kinds[-1] == "finished"


async def test_whose_doing_it_was_is_counted() -> None:
    async with vendor_and_gateway(drain_seconds=0.05) as (_, gateway, stub):
        call = await spoken_to(stub)
        await asyncio.gather(drained(gateway), outcome_of(call))
        await recognize(stub, [config(model=V2)])
        value = gateway.metrics.registry.get_sample_value
        errors = {"grpc_code": "UNAVAILABLE", "reason": "drain"}
        # A call's error is counted once its status is sent, which is after its client may have it.
        await eventually(lambda: value("asrgateway_stream_errors_total", errors) == 2)
        assert value("asrgateway_drain_streams_cut_total") == 1
        assert value("asrgateway_streams_rejected_total", {"reason": "draining"}) == 1


async def test_a_call_that_lasts_too_long_goes_on_in_a_new_one() -> None:
    async with vendor_and_gateway(max_stream_seconds=1.0) as (_, gateway, stub):
        call = await spoken_to(stub)
        outcome = await outcome_of(call)
        assert outcome.kinds == ["going_away", "result"]
        assert outcome.texts == [SENTENCE]
        assert (outcome.code, outcome.reason) == (grpc.StatusCode.UNAVAILABLE, "STREAM_EXPIRED")
        assert outcome.retry_seconds == 0.0
        errors = {"grpc_code": "UNAVAILABLE", "reason": "quota"}
        value = gateway.metrics.registry.get_sample_value
        # The count follows the status, which the client may read first.
        await eventually(lambda: value("asrgateway_stream_errors_total", errors) == 1)
