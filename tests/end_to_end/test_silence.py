"""A quiet client keeps its call, and the silence sent in its place never shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.lifecycle import Gateway
from calls import RecognizeCall, Stub, audio, config, in_messages, outcome_of, recognize
from dashscope_emulator.recognizers.markers import marker_audio
from emulated_vendor import vendor_and_gateway
from gateways import eventually

BYTES_PER_SECOND = 32_000
FIRST, SECOND = marker_audio(0, 150), marker_audio(150, 150)
WORD_TIMES = pb.RecognitionFeatures(enable_word_time_offsets=True)
MODELS = ["paraformer-realtime-v2"]


def quiet_after(seconds: float) -> pb.KeepAliveConfig:
    keep_alive = pb.KeepAliveConfig(policy=pb.KEEP_ALIVE_POLICY_INJECT)
    keep_alive.quiet_after.FromMilliseconds(round(seconds * 1000))
    return keep_alive


async def begun(stub: Stub, model: str, pace_seconds: float = 0.1, **options_set: object) -> RecognizeCall:
    """A call that has said its first sentence, at its own pace or at once, and is mute since."""
    call = stub.Recognize(timeout=60)
    await call.write(config(model=model, features=WORD_TIMES, **options_set))
    for message in in_messages(FIRST):
        await call.write(message)
        await asyncio.sleep(pace_seconds)
    return call


@pytest.mark.parametrize("model", MODELS)
async def test_quiet_beyond_every_limit_of_the_vendor_loses_no_word_and_moves_no_time(model: str) -> None:
    """The vendor's 23 s are 1.5 s here and its 60 s are 4 s: long enough for a busy machine to keep them too."""
    async with vendor_and_gateway(emulator={"time_scale": 15.0}) as (vendor, gateway, stub):
        call = await begun(stub, model, keep_alive=quiet_after(0.1))
        (task,) = vendor.journals
        await eventually(lambda: task.silent_bytes >= 5 * BYTES_PER_SECOND)
        await call.write(audio(SECOND))
        await call.done_writing()
        outcome = await outcome_of(call)
        injected_ms = task.silent_bytes * 1000 // BYTES_PER_SECOND
        counted = gateway.metrics.registry.get_sample_value(
            "asrgateway_silence_injected_seconds_total", {"model": model}
        )
    assert outcome.code is grpc.StatusCode.OK
    assert outcome.texts == ["w0 w1 w2 w3 w4", "w5 w6 w7 w8 w9"]
    assert [final.words[0].start_offset.ToMilliseconds() for final in outcome.finals] == [0, 1500]
    assert outcome.finals[1].end_offset.ToMilliseconds() == 3000
    assert outcome.finished.injected_silence.ToMilliseconds() == injected_ms
    assert outcome.responses[-1].cursor.injected_silence.ToMilliseconds() == injected_ms
    assert counted == pytest.approx(injected_ms / 1000)
    assert outcome.finished.audio_duration.ToMilliseconds() == 3000


async def test_so_much_silence_is_added_in_a_row_and_no_more_until_audio_comes() -> None:
    """The sentence comes at once: a busy machine might pause within it, and that would be a row by itself."""
    async with vendor_and_gateway(max_injected_silence_seconds=1.0) as (vendor, gateway, stub):
        call = await begun(stub, MODELS[0], pace_seconds=0.0, keep_alive=quiet_after(0.1))
        await eventually(lambda: injected_seconds(gateway) == pytest.approx(1.0))
        await asyncio.sleep(0.5)
        assert injected_seconds(gateway) == pytest.approx(1.0)
        await call.write(audio(SECOND))
        await eventually(lambda: injected_seconds(gateway) == pytest.approx(2.0))
        await asyncio.sleep(0.5)
        await call.done_writing()
        outcome = await outcome_of(call)
        assert vendor.journals[0].silent_bytes == 2 * BYTES_PER_SECOND
    assert outcome.texts == ["w0 w1 w2 w3 w4", "w5 w6 w7 w8 w9"]


def injected_seconds(gateway: Gateway) -> float | None:
    return gateway.metrics.registry.get_sample_value("asrgateway_silence_injected_seconds_total", {"model": MODELS[0]})


@pytest.mark.parametrize("model", MODELS)
async def test_silence_closes_the_open_sentence(model: str) -> None:
    async with vendor_and_gateway() as (_, _, stub):
        call = await begun(stub, model, keep_alive=quiet_after(0.1))
        async with asyncio.timeout(60):
            while not isinstance(response := await call.read(), pb.RecognizeResponse) or not response.result.is_final:
                pass
        assert response.result.transcript == "w0 w1 w2 w3 w4"
        assert not response.result.forced
        call.cancel()


async def test_a_mute_is_filled_after_half_a_second() -> None:
    async with vendor_and_gateway() as (vendor, _, stub):
        call = await begun(stub, MODELS[0])
        await eventually(lambda: bool(vendor.journals and vendor.journals[0].silent_bytes))
        call.cancel()


@pytest.mark.parametrize("model", MODELS)
async def test_without_keep_alive_no_limit_of_the_vendor_ends_the_call(model: str) -> None:
    """The vendor ends its task with the words still open; they are finished, and the next audio begins another one."""
    settings: dict[str, Any] = {"max_upstream_failures": 5, "upstream_stall_timeout_seconds": 0.5}
    async with vendor_and_gateway(emulator={"time_scale": 20.0}, **settings) as (vendor, _, stub):
        call = await begun(stub, model, keep_alive=pb.KeepAliveConfig(policy=pb.KEEP_ALIVE_POLICY_OFF))
        responses: list[pb.RecognizeResponse] = []
        async with asyncio.timeout(60):
            while pb.STREAM_EVENT_TYPE_HIBERNATED not in {one.stream_event.event_type for one in responses}:
                response = await call.read()
                assert isinstance(response, pb.RecognizeResponse)
                responses.append(response)
        await call.write(audio(marker_audio(150, 150)))
        await call.done_writing()
        outcome = await outcome_of(call)
        assert sum(journal.silent_bytes for journal in vendor.journals) == 0
    assert [one.result.transcript for one in responses if one.result.is_final] == ["w0 w1 w2 w3 w4"]
    assert (outcome.code, outcome.texts) == (grpc.StatusCode.OK, ["w5 w6 w7 w8 w9"])
    assert outcome.responses[0].stream_event.event_type == pb.STREAM_EVENT_TYPE_WOKE


async def test_before_the_first_audio_nothing_is_added() -> None:
    async with vendor_and_gateway(quiet_after_seconds=0.1) as (vendor, _, stub):
        call = stub.Recognize(timeout=60)
        await call.write(config(model=MODELS[0]))
        await call.read()
        await asyncio.sleep(0.4)
        await call.write(audio(FIRST))
        await call.done_writing()
        outcome = await outcome_of(call)
        assert vendor.journals[0].silent_bytes == 0
    assert outcome.finals[0].start_offset.ToMilliseconds() == 0


# Clients that pause between messages, and are not quiet -----------------------------------------------------------


def at_its_own_pace(message_ms: int) -> Iterator[tuple[float, bytes]]:
    """Pauses and messages of two seconds of speech."""
    size = message_ms * BYTES_PER_SECOND // 1000
    speech = marker_audio(0, 200)
    for start in range(0, len(speech), size):
        yield message_ms / 1000, speech[start : start + size]


def in_bursts() -> Iterator[tuple[float, bytes]]:
    """Ten messages of 100 ms each second, 150 ms too early or too late."""
    speech = marker_audio(0, 300)
    for burst, jitter in enumerate((0.0, 0.15, -0.15)):
        for message in range(10):
            start = (burst * 10 + message) * 3200
            yield (1.0 + jitter if not message else 0.0), speech[start : start + 3200]


async def spoken(pieces: Iterator[tuple[float, bytes]]) -> AsyncIterator[pb.RecognizeRequest]:
    yield config(model=MODELS[0])
    for pause, piece in pieces:
        await asyncio.sleep(pause)
        yield audio(piece)


async def test_pauses_between_messages_are_no_quiet() -> None:
    speakers = [at_its_own_pace(message_ms) for message_ms in (20, 100, 320, 512)]
    async with vendor_and_gateway() as (vendor, _, stub):
        outcomes = await asyncio.gather(*(recognize(stub, spoken(pieces)) for pieces in (*speakers, in_bursts())))
        assert [task.silent_bytes for task in vendor.journals] == [0] * 5
    assert [outcome.finished.injected_silence.ToMilliseconds() for outcome in outcomes] == [0] * 5
    assert [outcome.code for outcome in outcomes] == [grpc.StatusCode.OK] * 5
