"""Channels by themselves, for each family: every word of each channel once, in order and at its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc
import pytest

from asrgateway import AudioItem, DecodingConfig, RecognitionClient, RecognizeResponse, StreamingConfig
from asrgateway.pacing import at_speaking_speed
from asrgateway.v1 import recognition_pb2 as pb
from asrgateway.v1 import recognition_pb2_grpc as pb_grpc
from asrgateway_server.lifecycle import Gateway
from calls import Outcome, RecognizeCall, Stub, audio, commit, config, interleaved, outcome_of, recognize
from coded_audio import stereo_flac
from dashscope_emulator import Fault
from dashscope_emulator.faults import Drop, Fail, Phase
from dashscope_emulator.recognizers.markers import marker_audio, silent_audio
from emulated_vendor import on_either_transport, vendor_and_gateway
from gateways import eventually

# The SDK leaves its socket and its event loop to the garbage collector, which comes in anybody's test.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

MODELS = ("paraformer-realtime-v2", "fun-asr-realtime", "qwen3-asr-flash-realtime")
SENTENCES = 3
#: The first word of each channel; each says five words of 0.3 s in the other one's pause.
FIRST_WORDS = (0, 100)
WORDS = [[f"w{first + number}" for number in range(5 * SENTENCES)] for first in FIRST_WORDS]
TURN = 150
MESSAGE_BYTES = 6_400  # 100 ms of two channels
DECODING = pb.DecodingConfig(sample_rate_hertz=16_000, audio_channel_count=2, channel_mode=pb.CHANNEL_MODE_SEPARATE)


def telephone() -> bytes:
    """Two speakers who take turns."""
    first, second = (
        [marker_audio(30 * start + TURN * number, TURN) for number in range(SENTENCES)] for start in FIRST_WORDS
    )
    pause = silent_audio(TURN)
    return interleaved(b"".join(one + pause for one in first), b"".join(pause + one for one in second))


TELEPHONE = telephone()


def in_messages(data: bytes) -> list[pb.RecognizeRequest]:
    return [audio(data[start : start + MESSAGE_BYTES]) for start in range(0, len(data), MESSAGE_BYTES)]


async def call(stub: Stub, model: str, *requests: pb.RecognizeRequest, **options: Any) -> Outcome:
    # A model without word times ignores the wish, and says so.
    features = pb.RecognitionFeatures(enable_word_time_offsets=True)
    first = config(model=model, decoding_config=DECODING, features=features, interim_results=True, **options)
    return await recognize(stub, [first, *(requests or in_messages(TELEPHONE))], timeout=60)


async def outcomes(*faults: Fault, transport: str = "websocket") -> dict[str, Outcome]:
    fast = {"replay_speed": 30, "backlog_speed": 30, "reconnect_pause_seconds": 0.01, "max_upstream_failures": 5}
    carried = dict.fromkeys(("paraformer", "fun_asr", "qwen3_asr"), transport)
    async with vendor_and_gateway(emulator={"faults": faults}, transports=carried, **fast) as (_, _, stub):
        found = await asyncio.gather(*(call(stub, model) for model in MODELS))
    return dict(zip(MODELS, found, strict=True))


def words(results: Sequence[pb.RecognitionResult], channel: int) -> list[str]:
    return [word for one in results if one.channel == channel for word in one.transcript.split()]


def assert_whole(outcome: Outcome) -> None:
    """Every word once, in order, in its channel and at its place; every index once."""
    assert (outcome.code, outcome.message) == (grpc.StatusCode.OK, "")
    assert [words(outcome.finals, channel) for channel in (0, 1)] == WORDS
    assert sorted(final.result_index for final in outcome.finals) == list(range(len(outcome.finals)))
    assert all(result.HasField("channel") for result in outcome.results)
    for final in outcome.finals:
        for word in final.words:
            number = int(word.word.strip()[1:]) - FIRST_WORDS[final.channel]
            expected_ms = number // 5 * 3_000 + number % 5 * 300 + 1_500 * final.channel
            assert abs(word.start_offset.ToMilliseconds() - expected_ms) <= 100


@on_either_transport
async def test_each_word_comes_once_in_its_channel_and_at_its_place(transport: str) -> None:
    for outcome in (await outcomes(transport=transport)).values():
        assert_whole(outcome)
        cursor = outcome.responses[-1].cursor
        assert cursor.finalized == min(cursor.channel_finalized, key=lambda one: one.ToMilliseconds())
        assert len(outcome.finished.channels) == 2
        assert outcome.finished.audio_duration.ToMilliseconds() == 2 * 3_000 * SENTENCES


async def test_the_channels_of_coded_audio_are_recognised_apart() -> None:
    """Its header says that there are two."""
    data = stereo_flac(TELEPHONE)
    decoding = pb.DecodingConfig(encoding=pb.AUDIO_ENCODING_FLAC, channel_mode=pb.CHANNEL_MODE_SEPARATE)
    features = pb.RecognitionFeatures(enable_word_time_offsets=True)
    first = config(model=MODELS[0], decoding_config=decoding, features=features)
    async with vendor_and_gateway(backlog_speed=30) as (_, _, stub):
        outcome = await recognize(stub, [first, *in_messages(data)], timeout=60)
    assert_whole(outcome)


@on_either_transport
@pytest.mark.parametrize("audio_ms", [300, 1_400, 2_600, 4_000])
async def test_no_word_is_lost_when_the_connection_of_one_channel_is_reset(audio_ms: int, transport: str) -> None:
    fault = Fault(action=Drop(), phase=Phase.SPEECH, audio_ms=audio_ms, times=len(MODELS))
    for outcome in (await outcomes(fault, transport=transport)).values():
        assert_whole(outcome)
        events = [one.stream_event for one in outcome.responses if one.HasField("stream_event")]
        assert all(event.HasField("channel") for event in events)


async def test_no_word_is_lost_when_every_connection_is_reset_again_and_again() -> None:
    for outcome in (await outcomes(Fault(action=Drop(), phase=Phase.SPEECH, audio_ms=3_300))).values():
        assert_whole(outcome)


@pytest.mark.parametrize("model", MODELS)
async def test_a_commit_is_answered_in_each_channel(model: str) -> None:
    middle = 360 * 640  # After two words of the first channel's second sentence: blocks of two channels.
    requests = [*in_messages(TELEPHONE[:middle]), commit(), *in_messages(TELEPHONE[middle:])]
    async with vendor_and_gateway(backlog_speed=30) as (_, _, stub):
        outcome = await call(stub, model, *requests)
    assert_whole(outcome)
    empty = pb.STREAM_EVENT_TYPE_COMMIT_EMPTY
    answers = [final.channel for final in outcome.finals if final.forced]
    answers += [one.stream_event.channel for one in outcome.responses if one.stream_event.event_type == empty]
    assert sorted(answers) == [0, 1]


async def test_one_channel_fails_and_the_other_goes_on() -> None:
    refusal = Fault(action=Fail(code="InvalidParameter"), phase=Phase.SPEECH, audio_ms=1_000, times=1)
    async with vendor_and_gateway(emulator={"faults": (refusal,)}) as (_, _, stub):
        outcome = await call(stub, MODELS[0])
    assert outcome.code is grpc.StatusCode.OK
    kind = pb.STREAM_EVENT_TYPE_CHANNEL_FAILED
    (event,) = [one.stream_event for one in outcome.responses if one.stream_event.event_type == kind]
    assert (event.error.code, event.error.reason) == (grpc.StatusCode.FAILED_PRECONDITION.value[0], "UPSTREAM_REFUSED")
    other = 1 - event.channel
    assert words(outcome.finals, other) == WORDS[other]
    assert outcome.finished.channels[event.channel].error == event.error
    assert not outcome.finished.channels[other].HasField("error")


async def test_a_call_whose_channels_all_fail_ends_with_the_error() -> None:
    refusal = Fault(action=Fail(code="InvalidParameter"), phase=Phase.SPEECH, audio_ms=1_000)
    async with vendor_and_gateway(emulator={"faults": (refusal,)}) as (_, _, stub):
        outcome = await call(stub, MODELS[0])
    assert (outcome.code, outcome.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "UPSTREAM_REFUSED")


# Limits -----------------------------------------------------------------------------------------------------------


def value(gateway: Gateway, name: str) -> float:
    samples = [one for metric in gateway.metrics.registry.collect() for one in metric.samples]
    return sum(one.value for one in samples if one.name == f"asrgateway_{name}")


async def test_each_channel_counts_as_a_stream() -> None:
    async with vendor_and_gateway(max_streams=1) as (_, gateway, stub):
        assert (await call(stub, MODELS[0])).code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert value(gateway, "streams_active") == 0
    async with vendor_and_gateway(max_streams=2) as (_, gateway, stub):
        for _ in range(2):
            assert_whole(await call(stub, MODELS[0]))
        assert value(gateway, "streams_active") == 0


async def test_the_operator_limits_the_channels() -> None:
    async with vendor_and_gateway(max_channels=1) as (_, _, stub):
        outcome = await call(stub, MODELS[0])
    assert outcome.code is grpc.StatusCode.INVALID_ARGUMENT
    assert outcome.field == "streaming_config.decoding_config.audio_channel_count"


# Endings ----------------------------------------------------------------------------------------------------------


async def cancelled(call: RecognizeCall, _channel: grpc.aio.Channel) -> None:
    call.cancel()


async def past_its_deadline(call: RecognizeCall, _channel: grpc.aio.Channel) -> None:
    assert (await outcome_of(call)).code is grpc.StatusCode.DEADLINE_EXCEEDED


async def disconnected(_call: RecognizeCall, channel: grpc.aio.Channel) -> None:
    await channel.close()


@pytest.mark.parametrize("end", [cancelled, past_its_deadline, disconnected], ids=lambda one: one.__name__)
async def test_a_call_that_ends_early_leaves_nothing_behind(end: Callable[..., Any]) -> None:
    async with vendor_and_gateway() as (_, gateway, stub):
        assert_whole(await call(stub, MODELS[0]))
        tasks = len(asyncio.all_tasks())
        async with grpc.aio.insecure_channel(str(gateway.address)) as channel:
            opened = pb_grpc.SpeechRecognitionServiceStub(channel).Recognize(timeout=3)
            await opened.write(config(model=MODELS[0], decoding_config=DECODING))
            await opened.write(audio(TELEPHONE[:MESSAGE_BYTES]))
            await eventually(lambda: value(gateway, "streams_active") == 2)
            await end(opened, channel)
        await eventually(lambda: value(gateway, "streams_active") == 0)
        await eventually(lambda: len(asyncio.all_tasks()) <= tasks)


# Resumed calls ----------------------------------------------------------------------------------------------------


async def spoken() -> AsyncIterator[AudioItem]:
    messages = (TELEPHONE[start : start + MESSAGE_BYTES] for start in range(0, len(TELEPHONE), MESSAGE_BYTES))
    async for message in at_speaking_speed(messages, 0.1):
        yield message


async def resumed(target: str, model: str) -> list[RecognizeResponse]:
    decoding = DecodingConfig()
    decoding.CopyFrom(DECODING)
    async with RecognitionClient(target) as client:
        asked = StreamingConfig(model=model, decoding_config=decoding, interim_results=True)
        return [one async for one in client.recognize(asked, spoken(), timeout=60, reconnect=True)]


async def test_a_client_that_reconnects_gets_each_word_of_each_channel_once() -> None:
    async with vendor_and_gateway(max_stream_seconds=2.0) as (_, gateway, _):
        found = await asyncio.gather(*(resumed(str(gateway.address), model) for model in MODELS))
    for responses in found:
        finals = [one.result for one in responses if one.result.is_final]
        assert [words(finals, channel) for channel in (0, 1)] == WORDS
        indexes = [final.result_index for final in finals]
        assert len(set(indexes)) == len(indexes)
        assert sum(one.HasField("started") for one in responses) > 2
