"""A message may be of any length: what is heard does not depend on how the audio was cut.

The embedded recogniser on 25 s of people's speech takes minutes of processor time, so it is tried only where
`ASRGATEWAY_LONG_TESTS` is set.
"""

from __future__ import annotations

import asyncio
import io
import os
import wave
from pathlib import Path

import grpc
import pytest

from asrgateway import RecognitionClient
from asrgateway.v1 import recognition_pb2 as pb
from calls import Outcome, Stub, config, in_messages, pcm, recognize
from dashscope_emulator.recognizers.markers import marker_audio
from emulated_vendor import vendor_and_gateway
from gateways import open_gateway

_MODEL = "paraformer-realtime-v2"
_BYTES_PER_SECOND = 32_000


def sentences(seconds: int) -> bytes:
    """Marked speech of ten words every five seconds, each sentence followed by two seconds of silence."""
    pieces = [marker_audio(500 * number, 300) + bytes(2 * _BYTES_PER_SECOND) for number in range(-(-seconds // 5))]
    return b"".join(pieces)[: seconds * _BYTES_PER_SECOND]


def in_wav(samples: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(samples)
    return file.getvalue()


def heard(outcome: Outcome) -> list[tuple[str, int, int]]:
    return [
        (final.transcript, final.start_offset.ToMilliseconds(), final.end_offset.ToMilliseconds())
        for final in outcome.finals
    ]


async def test_one_long_message_is_heard_as_many_short_ones_are() -> None:
    speech = sentences(39)
    async with vendor_and_gateway(backlog_speed=12.0, quiet_after_seconds=0.1) as (vendor, _, stub):
        outcomes = await asyncio.gather(
            *(
                recognize(stub, [config(model=_MODEL), *in_messages(speech, size)])
                for size in (3_200, len(speech) // 2, len(speech))
            )
        )
        assert [task.silent_bytes for task in vendor.journals] == [vendor.journals[0].silent_bytes] * 3
    assert [outcome.code for outcome in outcomes] == [grpc.StatusCode.OK] * 3
    short, *long = outcomes
    assert len(short.finals) > 5
    assert [heard(outcome) for outcome in long] == [heard(short)] * 2
    assert [outcome.finished.injected_silence.ToMilliseconds() for outcome in outcomes] == [0] * 3


async def test_the_python_client_may_send_a_wav_file_as_one_piece() -> None:
    speech = sentences(25)
    whole = pb.StreamingConfig(model=_MODEL, decoding_config=pb.DecodingConfig(encoding=pb.AUDIO_ENCODING_WAV))
    async with vendor_and_gateway(backlog_speed=12.0, quiet_after_seconds=0.1) as (_, gateway, stub):
        small = asyncio.create_task(recognize(stub, [config(model=_MODEL), *in_messages(speech)]))
        async with RecognitionClient(str(gateway.address)) as client:
            responses = [response async for response in client.recognize(whole, [in_wav(speech)])]
        short = await small
    finals = [response.result.transcript for response in responses if response.result.is_final]
    assert finals == short.texts
    assert responses[-1].finished.injected_silence.ToMilliseconds() == 0


@pytest.mark.skipif("ASRGATEWAY_LONG_TESTS" not in os.environ, reason="takes minutes: set ASRGATEWAY_LONG_TESTS")
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seconds", [20, 25, 39])
async def test_people_are_understood_alike_in_long_and_short_messages(real_recordings: Path, seconds: int) -> None:
    names = ("austen-0880", "austen-0890", "austen-0920", "jfk")
    once = b"".join(pcm(real_recordings / f"{name}.wav") + bytes(_BYTES_PER_SECOND) for name in names)
    speech = (once * 2)[: seconds * _BYTES_PER_SECOND]
    async with open_gateway(quiet_after_seconds=0.1, upstream_stall_timeout_seconds=120.0) as (_, stub):
        outcomes = [await in_pieces_of(stub, speech, size) for size in (3_200, len(speech) // 2, len(speech))]
    assert [outcome.code for outcome in outcomes] == [grpc.StatusCode.OK] * 3
    assert [heard(outcome) for outcome in outcomes] == [heard(outcomes[0])] * 3


async def in_pieces_of(stub: Stub, speech: bytes, size: int) -> Outcome:
    return await recognize(stub, [config(), *in_messages(speech, size)], timeout=1_200)
