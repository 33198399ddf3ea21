from __future__ import annotations

from array import array

import pytest

from asrgateway_server.audio.pipeline import AudioPipeline
from asrgateway_server.config import AudioFormat, ChannelMode, Encoding
from asrgateway_server.errors import InvalidRequest, UndecodableAudio
from waves import fmt, samples, wav

MONO = AudioFormat(sample_rate_hertz=16_000)
WAV = AudioFormat(encoding=Encoding.WAV)


def saw(rate: int, channels: int, frames: int) -> bytes:
    """A saw tooth, shifted from channel to channel."""
    step = 4_000_000 // rate
    return array(
        "h",
        [(frame * step + channel * 3_000) % 20_000 - 10_000 for frame in range(frames) for channel in range(channels)],
    ).tobytes()


def pcm_of(audio: AudioFormat, data: bytes, size: int | None = None) -> bytes:
    pipeline = AudioPipeline(audio, 16_000)
    step = size or len(data)
    fed = [pipeline.feed(data[start : start + step]) for start in range(0, len(data), step)]
    return b"".join(fed) + pipeline.flush()


@pytest.mark.parametrize("size", [1, 2, 3, 641, 3_199, 4_096])
@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100])
def test_audio_cut_anywhere_becomes_the_same_pcm(rate: int, channels: int, size: int) -> None:
    audio = AudioFormat(sample_rate_hertz=rate, channel_count=channels)
    data = saw(rate, channels, 2_500)
    assert pcm_of(audio, data, size) == pcm_of(audio, data)


def test_audio_that_is_what_the_model_takes_passes_unchanged() -> None:
    data = saw(16_000, 1, 4_000)
    assert pcm_of(MONO, data) == data


@pytest.mark.parametrize("size", [1, 45, 5_000])
def test_a_wav_file_becomes_the_pcm_of_its_samples(size: int) -> None:
    data = saw(8_000, 2, 4_000)
    assert pcm_of(WAV, wav(fmt(rate=8_000, channels=2), samples(data)), size) == pcm_of(
        AudioFormat(sample_rate_hertz=8_000, channel_count=2), data
    )


@pytest.mark.parametrize("mode", [ChannelMode.MIX, ChannelMode.FIRST, ChannelMode.LAST])
def test_equal_channels_sound_the_same_in_every_mode(mode: ChannelMode) -> None:
    data = array("h", [1_000, 1_000, -5_000, -5_000]).tobytes()
    audio = AudioFormat(sample_rate_hertz=16_000, channel_count=2, channel_mode=mode)
    assert pcm_of(audio, data) == array("h", [1_000, -5_000]).tobytes()


# The client's clock -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (16_000, 2), (44_100, 6), (192_000, 1)])
def test_the_clock_counts_the_audio_that_was_received(rate: int, channels: int) -> None:
    pipeline = AudioPipeline(AudioFormat(sample_rate_hertz=rate, channel_count=channels), 16_000)
    pipeline.feed(bytes(rate // 4 * channels * 2))
    assert pipeline.received_ms == 250


def test_the_clock_does_not_drift_over_many_small_messages() -> None:
    pipeline = AudioPipeline(AudioFormat(sample_rate_hertz=11_025), 16_000)
    for _ in range(1_225):
        pipeline.feed(bytes(18))
    assert pipeline.received_ms == 1_000


def test_a_header_takes_no_time() -> None:
    pipeline = AudioPipeline(WAV, 16_000)
    pipeline.feed(wav(fmt(), samples(bytes(3_200))))
    assert pipeline.received_ms == 100


def test_the_clock_stands_at_zero_while_the_header_comes() -> None:
    pipeline = AudioPipeline(WAV, 16_000)
    pipeline.feed(wav(fmt(), samples(b""))[:30])
    assert pipeline.received_ms == 0


# The end ----------------------------------------------------------------------------------------------------------


def test_without_audio_there_is_nothing_to_flush() -> None:
    assert AudioPipeline(MONO, 16_000).flush() == b""


def test_half_a_sample_at_the_end_is_an_error_after_all_whole_ones() -> None:
    pipeline = AudioPipeline(MONO, 16_000)
    assert pipeline.feed(bytes(3_201)) == bytes(3_200)
    with pytest.raises(UndecodableAudio, match="ends inside a sample"):
        pipeline.verify_end()


def test_linear16_without_a_rate_is_refused_before_any_audio() -> None:
    with pytest.raises(InvalidRequest):
        AudioPipeline(AudioFormat(), 16_000)
