"""What is wrong in a request is said with a status, the field and what would be right."""

from __future__ import annotations

import grpc
import pytest

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.lifecycle import Gateway
from calls import MESSAGE_BYTES, RECORDINGS, Stub, audio, commit, config, in_messages, pcm, recognize, silence

pytestmark = pytest.mark.asyncio(loop_scope="module")

INVALID = grpc.StatusCode.INVALID_ARGUMENT
DECODING = "streaming_config.decoding_config"


def decoding(**values: object) -> pb.RecognizeRequest:
    return config(decoding_config=pb.DecodingConfig(**values))  # type: ignore[arg-type] # any field


def wav(data: bytes, **values: object) -> list[pb.RecognizeRequest]:
    return [decoding(encoding=pb.AUDIO_ENCODING_WAV, **values), audio(data)]


SOUND = silence(0.1)
FOX = RECORDINGS / "fox.wav"

WRONG = {
    "audio first": ([audio(SOUND)], INVALID, "streaming_config", "not audio"),
    "commit first": ([commit()], INVALID, "streaming_config", "not commit"),
    "nothing first": ([], INVALID, "streaming_config", "the end of the stream"),
    "an empty request first": ([pb.RecognizeRequest()], INVALID, "streaming_config", "an empty request"),
    "a second config": ([config(), config()], INVALID, "streaming_config", "once"),
    "an empty request later": ([config(), pb.RecognizeRequest()], INVALID, "request", "audio, commit or update"),
    "unknown model": ([config(model="parakeet")], INVALID, "streaming_config.model", "default, embedded"),
    "rate left out": ([decoding()], INVALID, f"{DECODING}.sample_rate_hertz", "16000"),
    "rate 0": (
        [decoding(sample_rate_hertz=0)],
        INVALID,
        f"{DECODING}.sample_rate_hertz",
        "is 0; it must be 4000 to 192000",
    ),
    "rate 10 MHz": ([decoding(sample_rate_hertz=10_000_000)], INVALID, f"{DECODING}.sample_rate_hertz", "10000000"),
    "negative rate": ([decoding(sample_rate_hertz=-1)], INVALID, f"{DECODING}.sample_rate_hertz", "is -1"),
    "0 channels": (
        [decoding(sample_rate_hertz=8000, audio_channel_count=0)],
        INVALID,
        f"{DECODING}.audio_channel_count",
        "is 0; it must be 1 to 16",
    ),
    "99 channels": (
        [decoding(sample_rate_hertz=8000, audio_channel_count=99)],
        INVALID,
        f"{DECODING}.audio_channel_count",
        "is 99; it must be 1 to 16",
    ),
    "no such encoding": ([decoding(encoding=77)], INVALID, f"{DECODING}.encoding", "77"),
    "no such channel mode": (
        [decoding(sample_rate_hertz=8000, channel_mode=9)],
        INVALID,
        f"{DECODING}.channel_mode",
        "9",
    ),
    "0 bytes of audio": ([config()], INVALID, "audio", "no audio was received"),
    "heartbeats but no audio": ([config(), audio(b""), audio(b"")], INVALID, "audio", "no audio was received"),
    "less than a sample": ([config(), audio(b"\1")], INVALID, "audio", "ends inside a sample"),
    "odd byte at the end": ([config(), audio(SOUND + b"\1")], INVALID, "audio", "1 byte(s) beyond a multiple of 2"),
    "half a stereo frame": (
        [decoding(sample_rate_hertz=16000, audio_channel_count=2), audio(SOUND + b"\1\2")],
        INVALID,
        "audio",
        "multiple of 4",
    ),
    "a WAV file as LINEAR16": ([config(), audio(FOX.read_bytes()[:4000])], INVALID, f"{DECODING}.encoding", "WAV"),
    "samples as a WAV file": (wav(b"\0" * 4000), INVALID, f"{DECODING}.encoding", "does not start as a WAV file does"),
    "a WAV file of another rate": (
        wav(FOX.read_bytes(), sample_rate_hertz=8000),
        INVALID,
        f"{DECODING}.sample_rate_hertz",
        "the config says 8000, the WAV header 16000",
    ),
    "half a WAV header": (wav(FOX.read_bytes()[:20]), INVALID, "audio", "inside its WAV header"),
    "message above the limit": (
        [config(), audio(bytes(3 << 20))],
        INVALID,
        "audio",
        "3145728 bytes of audio; the limit is",
    ),
    "request id too long": ([config(request_id="x" * 129)], INVALID, "streaming_config.request_id", "is 129"),
    "strict, and a wish unsupported_options": (
        [config(strict=True, features=pb.RecognitionFeatures(enable_emotion=True))],
        INVALID,
        "streaming_config.features.enable_emotion",
        "the call is strict",
    ),
    "a WAV file as MP3": (
        [decoding(encoding=pb.AUDIO_ENCODING_MP3), audio(FOX.read_bytes()[:4000])],
        INVALID,
        f"{DECODING}.encoding",
        "declared as MP3, and the audio does not start as it does; it looks like a WAV file: set the encoding to WAV",
    ),
    "samples as Opus": (
        [decoding(encoding=pb.AUDIO_ENCODING_OGG_OPUS), audio(SOUND)],
        INVALID,
        f"{DECODING}.encoding",
        "declared as OGG_OPUS, and the audio holds none",
    ),
    "samples as AUTO": (
        [decoding(encoding=pb.AUDIO_ENCODING_AUTO), audio(SOUND)],
        INVALID,
        f"{DECODING}.encoding",
        "it is not recognised",
    ),
    "strict, and an update unsupported_options": (
        [config(strict=True), pb.RecognizeRequest(update=pb.ConfigUpdate(adaptation=pb.SpeechAdaptation(context="x")))],
        INVALID,
        "update.adaptation.context",
        "the call is strict",
    ),
}


@pytest.mark.parametrize(("requests", "code", "field", "says"), WRONG.values(), ids=WRONG.keys())
async def test_wrong_input_names_the_field(
    stub: Stub, requests: list[pb.RecognizeRequest], code: grpc.StatusCode, field: str, says: str
) -> None:
    outcome = await recognize(stub, requests)
    assert (outcome.code, outcome.field) == (code, field)
    assert says in outcome.message
    assert outcome.reason


async def test_text_before_an_odd_end_is_not_lost(stub: Stub) -> None:
    outcome = await recognize(stub, [config(), *in_messages(pcm(RECORDINGS / "boy.wav") + b"\1", MESSAGE_BYTES)])
    assert outcome.texts == ["the boy was there when the sun rose"]
    assert outcome.code is INVALID


async def test_a_message_above_every_limit_is_refused_by_grpc(stub: Stub) -> None:
    outcome = await recognize(stub, [config(), audio(bytes(5 << 20))])
    assert outcome.code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_garbage_in_place_of_a_message_harms_only_its_call(stub: Stub, gateway: Gateway) -> None:
    async with grpc.aio.insecure_channel(str(gateway.address)) as channel:
        raw: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(
            "/asrgateway.v1.SpeechRecognitionService/Recognize"
        )
        call = raw(iter([b"\xff\xff\xff no protobuf"]), timeout=60)
        assert await call.code() is not grpc.StatusCode.OK
    assert (await recognize(stub, [config(), audio(SOUND)])).code is grpc.StatusCode.OK
