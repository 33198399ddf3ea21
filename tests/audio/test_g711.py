from __future__ import annotations

from typing import Any

import av
import pytest

from asrgateway_server.audio.g711 import ALAW, MULAW, G711Decoder
from asrgateway_server.audio.pcm import PcmFormat
from asrgateway_server.config import AudioFormat, Encoding
from asrgateway_server.errors import InvalidRequest, UndecodableAudio

EVERY_CODE = bytes(range(256))
LAWS = [("pcm_mulaw", MULAW), ("pcm_alaw", ALAW)]


def by_ffmpeg(codec: str) -> bytes:
    context: Any = av.CodecContext.create(codec, "r")  # Any: of audio
    context.sample_rate, context.layout = 8_000, "mono"
    (frame,) = context.decode(av.Packet(EVERY_CODE))
    return bytes(frame.planes[0])[:512]


@pytest.mark.parametrize(("codec", "tables"), LAWS)
def test_every_code_becomes_the_sample_that_ffmpeg_makes_of_it(codec: str, tables: tuple[bytes, bytes]) -> None:
    decoder = G711Decoder(AudioFormat(encoding=Encoding.MULAW, sample_rate_hertz=8_000), tables)
    assert decoder.decode(EVERY_CODE) == by_ffmpeg(codec)


def test_frames_of_several_channels_leave_whole() -> None:
    audio = AudioFormat(encoding=Encoding.ALAW, sample_rate_hertz=8_000, channel_count=2)
    decoder = G711Decoder(audio, ALAW)
    assert [len(decoder.decode(bytes(count))) for count in (1, 1, 3)] == [0, 4, 4]
    assert decoder.pcm_format == PcmFormat(8_000, 2)
    with pytest.raises(UndecodableAudio, match="ends inside a sample"):
        decoder.verify_end()


def test_the_rate_has_to_be_declared() -> None:
    with pytest.raises(InvalidRequest, match=r"MULAW audio has no header.*such as 8000"):
        G711Decoder(AudioFormat(encoding=Encoding.MULAW), MULAW)
