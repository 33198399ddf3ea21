"""Only audio may be large."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from google.protobuf.message import DecodeError, Message

from asrgateway_server.errors import InvalidRequest
from asrgateway_server.riva_api import asr_pb2 as asr
from asrgateway_server.riva_api.sizes import recording_request_from, streaming_request_from

LARGE = 600 * 1024
WORDS = asr.RecognitionConfig(speech_contexts=[asr.SpeechContext(phrases=["w" * 1000] * 600)])


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (streaming_request_from, asr.StreamingRecognizeRequest(audio_content=bytes(LARGE), runtime_config={"a": "b"})),
        (recording_request_from, asr.RecognizeRequest(config=asr.RecognitionConfig(model="m"), audio=bytes(LARGE))),
    ],
)
def test_large_audio_is_read(read: Callable[[bytes], Message], message: Message) -> None:
    assert read(message.SerializeToString()) == message


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (
            streaming_request_from,
            asr.StreamingRecognizeRequest(streaming_config=asr.StreamingRecognitionConfig(config=WORDS)),
        ),
        (recording_request_from, asr.RecognizeRequest(config=WORDS, audio=bytes(LARGE))),
        (streaming_request_from, asr.StreamingRecognizeRequest(runtime_config={"a": "b" * LARGE})),
    ],
)
def test_anything_else_is_refused(read: Callable[[bytes], Message], message: Message) -> None:
    with pytest.raises(InvalidRequest, match="without audio it may have"):
        read(message.SerializeToString())


@pytest.mark.parametrize("data", [b"\xff" * LARGE, b"\x08" * LARGE, b"\x0a\x00" * LARGE])
def test_large_rubbish_is_refused_before_it_is_read(data: bytes) -> None:
    with pytest.raises(InvalidRequest):
        streaming_request_from(data)


def test_small_rubbish_is_no_message() -> None:
    with pytest.raises(DecodeError):
        streaming_request_from(b"\xff\xff")
