"""PCM to Opus in Ogg; a foreign reader takes it apart."""

from __future__ import annotations

import io
from array import array
from typing import Any

import av
import pytest

from asrgateway_server.audio.encodings import open_decoder
from asrgateway_server.audio.ogg_opus_encoder import OggOpusEncoder
from asrgateway_server.audio.opus import CODED_RATES_HERTZ
from asrgateway_server.config import AudioFormat, Encoding
from coded_audio import CHIRP_SECONDS, chirps, lateness_ms, pieces, steps


def coded(pcm: bytes, rate_hertz: int = 16_000, size: int = 3_200) -> bytes:
    encoder = OggOpusEncoder(rate_hertz)
    return b"".join(encoder.encode(piece) for piece in pieces(pcm, size)) + encoder.finish()


def read_by_ffmpeg(data: bytes, rate_hertz: int = 16_000) -> bytes:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate_hertz)
    with av.open(io.BytesIO(data), "r") as file:
        frames: list[Any] = [*file.decode(audio=0), None]  # Any: an audio frame, or the end
        parts = [part for frame in frames for part in resampler.resample(frame)]
    return b"".join(bytes(part.planes[0])[: part.samples * 2] for part in parts)


@pytest.mark.parametrize("size", [2, 638, 3_200, 100_000])
def test_a_stream_is_right_wherever_its_pcm_is_cut(size: int) -> None:
    heard = read_by_ffmpeg(coded(chirps(), size=size))
    assert abs(len(heard) - len(chirps())) <= 4  # A sample more or less: it is converted from 48 kHz.
    assert all(abs(lateness_ms(heard, 16_000, at)) < 2 for at in CHIRP_SECONDS)


@pytest.mark.parametrize("rate_hertz", CODED_RATES_HERTZ)
@pytest.mark.parametrize("samples", [160, 319, 320, 4_801])
def test_no_sample_is_added_or_missing_at_any_rate(rate_hertz: int, samples: int) -> None:
    heard = read_by_ffmpeg(coded(bytes(2 * samples), rate_hertz), 48_000)
    assert len(heard) // 2 == samples * 48_000 // rate_hertz


def test_what_is_sent_can_be_decoded_at_once() -> None:
    encoder, decoder = OggOpusEncoder(16_000), open_decoder(AudioFormat(encoding=Encoding.OGG_OPUS))
    heard_bytes = 0
    for number, piece in enumerate(pieces(chirps(), 3_200), start=1):
        heard_bytes += len(b"".join(steps(decoder, encoder.encode(piece))))
        assert number * 3_200 - heard_bytes // 3 == 208, "the coder's delay is 6.5 ms"


def test_less_than_a_packet_waits() -> None:
    encoder = OggOpusEncoder(16_000)
    assert encoder.encode(bytes(638)) == b""
    assert encoder.encode(bytes(2)).startswith(b"OggS")


def test_a_stream_without_audio_is_empty() -> None:
    assert OggOpusEncoder(16_000).finish() == b""


def test_an_eighth_of_the_bytes_is_sent() -> None:
    noise = array("h", (number * 7_919 % 20_011 - 10_000 for number in range(160_000))).tobytes()
    assert len(coded(noise)) < len(noise) / 6.5
    assert len(coded(chirps())) < len(chirps()) / 6.5
