"""Only audio may be large."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from google.protobuf.message import DecodeError, Message

from asrgateway_server.errors import InvalidRequest
from asrgateway_server.riva_api import asr_pb2 as asr
from asrgateway_server.riva_api.options import RivaOptions
from asrgateway_server.riva_api.recording_stream import RecordingStream
from asrgateway_server.riva_api.sizes import Recording, recording_from, streaming_request_from
from asrgateway_server.riva_api.trailer import Trailer

LARGE = 600 * 1024
WORDS = asr.RecognitionConfig(speech_contexts=[asr.SpeechContext(phrases=["w" * 1000] * 600)])


def test_large_live_audio_is_read() -> None:
    message = asr.StreamingRecognizeRequest(audio_content=bytes(LARGE), runtime_config={"a": "b"})
    assert streaming_request_from(message.SerializeToString()) == message


def test_a_recording_gives_its_large_audio_away_once() -> None:
    request = asr.RecognizeRequest(config=asr.RecognitionConfig(model="m"))
    request.id.value = "file-1"
    recording = recording_from(
        asr.RecognizeRequest(config=request.config, id=request.id, audio=bytes(LARGE)).SerializeToString()
    )
    assert recording.request == request
    assert recording.take_audio() == bytes(LARGE)
    assert recording.audio == b""


async def test_a_recording_keeps_no_audio_while_it_is_recognised() -> None:
    recording = Recording(asr.RecognizeRequest(), bytes(3200))
    stream = RecordingStream(recording, (), RivaOptions(), Trailer())
    await stream.read()
    read = await stream.read()
    assert read is not None
    assert len(read.audio) == 3200
    assert recording.audio == b""


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (
            streaming_request_from,
            asr.StreamingRecognizeRequest(streaming_config=asr.StreamingRecognitionConfig(config=WORDS)),
        ),
        (recording_from, asr.RecognizeRequest(config=WORDS, audio=bytes(LARGE))),
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
