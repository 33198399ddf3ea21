from __future__ import annotations

from array import array

import pytest

from asrgateway_server.audio.pcm import PcmFormat
from asrgateway_server.audio.resampler import Resampler
from asrgateway_server.config import ChannelMode

RATES = [4_000, 8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000, 192_000]


def resampled(
    pcm: bytes, source: PcmFormat, *, mode: ChannelMode = ChannelMode.MIX, piece_bytes: int = 0
) -> array[int]:
    resampler = Resampler(source, 16_000, mode)
    step = piece_bytes or len(pcm)
    pieces = [resampler.resample(pcm[start : start + step]) for start in range(0, len(pcm), step)]
    return array("h", b"".join((*pieces, resampler.flush())))


def impulse(rate: int, channels: int = 1) -> bytes:
    """Half a second of silence with a click in its middle."""
    samples = array("h", bytes(rate // 2 * channels * 2))
    middle = rate // 4 * channels
    samples[middle : middle + channels] = array("h", [20_000] * channels)
    return samples.tobytes()


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("rate", RATES)
def test_audio_keeps_its_length(rate: int, channels: int) -> None:
    samples = resampled(impulse(rate, channels), PcmFormat(rate, channels))
    assert len(samples) == pytest.approx(rate // 2 / rate * 16_000, abs=1)


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("rate", RATES)
def test_a_click_keeps_its_place(rate: int, channels: int) -> None:
    samples = resampled(impulse(rate, channels), PcmFormat(rate, channels))
    assert samples.index(max(samples)) == pytest.approx(rate // 4 / rate * 16_000, abs=1)


@pytest.mark.parametrize("frames", [1, 7, 100, 1024])
@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000])
def test_the_result_does_not_depend_on_the_pieces(rate: int, frames: int) -> None:
    source = PcmFormat(rate, 2)
    before_click = (rate // 4 - 1_000) * source.frame_bytes
    pcm = impulse(rate, 2)[before_click : before_click + 3_000 * source.frame_bytes]
    assert resampled(pcm, source, piece_bytes=frames * source.frame_bytes) == resampled(pcm, source)


@pytest.mark.parametrize(
    ("mode", "heard"),
    [(ChannelMode.MIX, [2_000, -4_000]), (ChannelMode.FIRST, [1_000, -2_000]), (ChannelMode.LAST, [3_000, -6_000])],
)
def test_a_mode_chooses_among_the_channels(mode: ChannelMode, heard: list[int]) -> None:
    frames = array("h", [1_000, 2_000, 3_000, -2_000, -4_000, -6_000]).tobytes()
    assert list(resampled(frames, PcmFormat(16_000, 3), mode=mode)) == heard


@pytest.mark.parametrize("mode", list(ChannelMode))
def test_a_single_channel_is_the_same_in_every_mode(mode: ChannelMode) -> None:
    frames = array("h", [1_000, -2_000, 32_767, -32_768])
    assert resampled(frames.tobytes(), PcmFormat(16_000, 1), mode=mode) == frames


@pytest.mark.parametrize("loudest", [32_767, -32_768])
@pytest.mark.parametrize("channels", range(2, 17))
def test_the_loudest_sound_does_not_wrap_around(loudest: int, channels: int) -> None:
    frames = array("h", [loudest] * channels * 8).tobytes()
    assert list(resampled(frames, PcmFormat(16_000, channels))) == [pytest.approx(loudest, abs=16)] * 8


@pytest.mark.parametrize("loudest", [32_767, -32_768])
def test_the_loudest_sound_does_not_wrap_around_when_the_rate_changes(loudest: int) -> None:
    frames = array("h", [loudest] * 4_800).tobytes()
    middle = resampled(frames, PcmFormat(48_000, 1))[400:1200]
    assert list(middle) == [pytest.approx(loudest, abs=40)] * 800


def test_opposite_channels_cancel_each_other() -> None:
    assert list(resampled(array("h", [9_000, -9_000] * 4).tobytes(), PcmFormat(16_000, 2))) == [0] * 4


def test_no_audio_becomes_no_audio() -> None:
    resampler = Resampler(PcmFormat(8_000, 1), 16_000, ChannelMode.MIX)
    assert resampler.resample(b"") == b""
    assert resampler.flush() == b""
