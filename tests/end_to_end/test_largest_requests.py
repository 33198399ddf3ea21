"""The largest request of each kind holds up no other call: what one turn of the event loop may cost.

Measured in processor time of the loop's thread, so that a busy machine changes little. The loop carries client, gateway
and vendor here. Before there were limits 48 KB of context took 15 s.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import cast

import grpc
import pytest
import pytest_asyncio

from all_settings import Settings
from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.contract.requests import MAX_CONFIG_BYTES
from asrgateway_server.lifecycle import Gateway
from asrgateway_server.metrics import SERVICE
from calls import Outcome, config, in_messages, outcome_of
from cpu_time import LoopWatch
from emulated_vendor import vendor_and_gateway
from waves import fmt, part, wav

MOST_SECONDS = 0.4
CHUNK = pb.RecognizeRequest(audio=bytes(3_200)).SerializeToString()
FUN_ASR, QWEN3, QWEN_AUDIO = "fun-asr-realtime", "qwen3-asr-flash-realtime", "qwen-audio-3.0-asr-flash-streaming"
MESSAGE_BYTES = Settings().max_message_bytes


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway() -> AsyncIterator[Gateway]:
    async with vendor_and_gateway(quiet_after_seconds=60.0) as (_, gateway, _):
        yield gateway


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def recognized(gateway: Gateway, *requests: bytes) -> tuple[Outcome, float]:
    """Send what has been serialised, and return how it ended and the longest turn of the loop."""
    async with grpc.aio.insecure_channel(str(gateway.address)) as channel, LoopWatch() as watch:
        method: grpc.aio.StreamStreamMultiCallable[pb.RecognizeRequest, pb.RecognizeResponse]
        method = channel.stream_stream(f"/{SERVICE}/Recognize", response_deserializer=pb.RecognizeResponse.FromString)
        call = method(cast("Iterator[pb.RecognizeRequest]", iter(requests)), timeout=60.0)
        outcome = await outcome_of(call)
    return outcome, watch.longest_seconds


def adapted(model: str, **adaptation: object) -> bytes:
    values = pb.SpeechAdaptation(**adaptation)  # type: ignore[arg-type] # any field
    return config(model=model, adaptation=values).SerializeToString()


def padded(text: str, size: int) -> str:
    return text * (size // len(text))


def parameters() -> bytes:
    request = config(model=FUN_ASR)
    request.streaming_config.vendor_parameters.update({f"x{number}": None for number in range(1_100)})
    return request.SerializeToString()


def masked() -> bytes:
    words = pb.SensitiveWordFilter(masked_words=[f"w{number}" for number in range(10_000)])
    return config(model=FUN_ASR, features=pb.RecognitionFeatures(sensitive_word_filter=words)).SerializeToString()


WORDS = [pb.Hotword(text=f"{number:x}") for number in range(16, 8_800)]
PHRASES = [pb.Hotword(text=f"{number:x} " * 6 + padded("y", 150)) for number in range(2_000)]
LEGAL = {
    "words of one model": adapted(QWEN3, hotwords=WORDS),
    "words of another": adapted(QWEN_AUDIO, hotwords=PHRASES),
    "turns": adapted(FUN_ASR, context_messages=[pb.ContextMessage(text=padded("好", 100))] * 1_000),
    "context": adapted(QWEN_AUDIO, context=padded("hearing ", MAX_CONFIG_BYTES - 200)),
    "words to mask": masked(),
    "the vendor's parameters": parameters(),
}
REFUSED = {
    "empty words in as many bytes as gRPC takes": adapted(FUN_ASR, hotwords=[pb.Hotword()] * 2_000_000),
    "more words than any model takes": adapted(FUN_ASR, hotwords=[pb.Hotword()] * 200_000),
    "more turns than any model takes": adapted(FUN_ASR, context_messages=[pb.ContextMessage()] * 200_000),
    "languages": config(language_codes=[""] * 200_000).SerializeToString(),
    "a word of a million letters": adapted(FUN_ASR, hotwords=[pb.Hotword(text=padded("ba", 500_000))]),
    "a context that is too long": adapted(QWEN3, context=padded("a", MAX_CONFIG_BYTES - 200)),
}


@pytest.mark.parametrize("request_bytes", LEGAL.values(), ids=LEGAL.keys())
async def test_the_largest_config_of_each_kind_is_read_in_no_time(gateway: Gateway, request_bytes: bytes) -> None:
    assert len(request_bytes) <= MAX_CONFIG_BYTES
    outcome, seconds = await recognized(gateway, request_bytes, CHUNK)
    assert outcome.code is grpc.StatusCode.OK, outcome.message
    assert seconds < MOST_SECONDS


@pytest.mark.parametrize("request_bytes", REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_larger_is_refused_in_no_time(gateway: Gateway, request_bytes: bytes) -> None:
    outcome, seconds = await recognized(gateway, request_bytes, CHUNK)
    assert outcome.code is grpc.StatusCode.INVALID_ARGUMENT
    assert seconds < MOST_SECONDS


async def test_the_largest_update_is_read_in_no_time(gateway: Gateway) -> None:
    update = pb.RecognizeRequest(update=pb.ConfigUpdate(adaptation=pb.SpeechAdaptation(hotwords=WORDS)))
    outcome, seconds = await recognized(gateway, adapted(QWEN3), CHUNK, update.SerializeToString(), CHUNK)
    assert outcome.code is grpc.StatusCode.OK, outcome.message
    assert seconds < MOST_SECONDS


@pytest.mark.parametrize(("rate", "channels"), [(4_000, 1), (8_000, 1), (192_000, 16)])
async def test_the_largest_audio_is_decoded_in_no_time(gateway: Gateway, rate: int, channels: int) -> None:
    decoding = pb.DecodingConfig(sample_rate_hertz=rate, audio_channel_count=channels)
    first = config(model="paraformer-realtime-v2", decoding_config=decoding).SerializeToString()
    audio = pb.RecognizeRequest(audio=bytes(MESSAGE_BYTES)).SerializeToString()
    outcome, seconds = await recognized(gateway, first, audio)
    assert outcome.code is grpc.StatusCode.OK, outcome.message
    assert seconds < MOST_SECONDS


async def test_the_longest_header_in_many_messages_is_read_in_no_time(gateway: Gateway) -> None:
    decoding = pb.DecodingConfig(encoding=pb.AUDIO_ENCODING_WAV)
    first = config(model="paraformer-realtime-v2", decoding_config=decoding)
    header = wav(part(b"LIST", bytes(1_000_000)), fmt(), part(b"data", bytes(3_200)))
    messages = [first, *in_messages(header, 1_000)]
    outcome, seconds = await recognized(gateway, *(message.SerializeToString() for message in messages))
    assert outcome.code is grpc.StatusCode.OK, outcome.message
    assert seconds < MOST_SECONDS
