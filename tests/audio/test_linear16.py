from __future__ import annotations

import pytest

from asrgateway_server.audio.linear16 import Linear16Decoder
from asrgateway_server.audio.pcm import PcmFormat
from asrgateway_server.config import AudioFormat
from asrgateway_server.errors import InvalidRequest, UndecodableAudio
from decoding import decoded
from waves import fmt, samples, wav

SPEECH = bytes(range(240))


def linear16(rate: int = 16_000, channels: int | None = None) -> Linear16Decoder:
    return Linear16Decoder(AudioFormat(sample_rate_hertz=rate, channel_count=channels))


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 16])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 31, 33, 239, 240])
def test_samples_cut_anywhere_equal_samples_in_one_piece(channels: int, size: int) -> None:
    whole = SPEECH[: 240 // (2 * channels) * 2 * channels]
    assert decoded(linear16(channels=channels), whole, size) == whole


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("size", [1, 3, 5, 7, 13])
def test_every_piece_that_leaves_is_whole_frames(channels: int, size: int) -> None:
    decoder = linear16(channels=channels)
    lengths = [len(decoder.decode(SPEECH[start : start + size])) for start in range(0, 240, size)]
    assert {length % (2 * channels) for length in lengths} == {0}


def test_empty_audio_decodes_to_nothing() -> None:
    assert linear16().decode(b"") == b""


def test_linear16_is_mono_unless_told_otherwise() -> None:
    assert linear16().pcm_format == PcmFormat(16_000, 1)


def test_linear16_needs_a_sample_rate() -> None:
    with pytest.raises(InvalidRequest, match="sample rate must be given") as caught:
        Linear16Decoder(AudioFormat())
    assert caught.value.field == "streaming_config.decoding_config.sample_rate_hertz"


def test_audio_may_end_after_a_whole_frame() -> None:
    decoder = linear16(channels=2)
    decoder.decode(bytes(8))
    decoder.verify_end()


@pytest.mark.parametrize(("channels", "length"), [(1, 1), (1, 241), (2, 2), (2, 243), (6, 13)])
def test_audio_may_not_end_inside_a_frame(channels: int, length: int) -> None:
    decoder = linear16(channels=channels)
    decoder.decode(bytes(length))
    with pytest.raises(UndecodableAudio, match="ends inside a sample") as caught:
        decoder.verify_end()
    assert caught.value.field == "audio"


@pytest.mark.parametrize("size", [1, 3, 4, 11, 12, 44, 100])
def test_a_wav_file_sent_as_linear16_is_refused_however_it_is_cut(size: int) -> None:
    with pytest.raises(InvalidRequest, match="set the encoding to WAV") as caught:
        decoded(linear16(), wav(fmt(), samples(SPEECH)), size)
    assert caught.value.field == "streaming_config.decoding_config.encoding"


@pytest.mark.parametrize("start", [b"RIFF", b"RIFFabcdAVI LIST", b"R", b"\0\0RIFFabcdWAVE"])
def test_sound_that_merely_resembles_a_header_is_sound(start: bytes) -> None:
    sound = start + bytes(64 - len(start))
    assert decoded(linear16(), sound, 2) == sound
