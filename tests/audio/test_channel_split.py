from __future__ import annotations

from array import array

from asrgateway_server.audio.channel_split import split
from asrgateway_server.audio.pipeline import AudioPipeline
from asrgateway_server.config import AudioFormat, ChannelMode


def samples(*values: int) -> bytes:
    return array("h", values).tobytes()


def test_each_channel_gets_its_own_samples() -> None:
    assert split(samples(1, -1, 2, -2, 3, -3), 2) == [samples(1, 2, 3), samples(-1, -2, -3)]


def test_one_channel_stays_as_it_is() -> None:
    assert split(samples(1, 2), 1) == [samples(1, 2)]


def test_nothing_is_nothing_in_each_channel() -> None:
    assert split(b"", 3) == [b"", b"", b""]


def test_channels_that_are_resampled_do_not_mix() -> None:
    tone = [10_000 if number // 8 % 2 else -10_000 for number in range(4_800)]
    interleaved = array("h", [value for one in tone for value in (one, 0, -one)]).tobytes()
    audio = AudioFormat(sample_rate_hertz=48_000, channel_count=3, channel_mode=ChannelMode.SEPARATE)
    pipeline = AudioPipeline(audio, 16_000)
    first, second, third = split(pipeline.feed(interleaved) + pipeline.flush(), 3)
    alone = AudioPipeline(AudioFormat(sample_rate_hertz=48_000), 16_000)
    assert first == alone.feed(array("h", tone).tobytes()) + alone.flush()
    assert not any(array("h", second))
    # Rounding is not symmetric.
    assert all(abs(one + other) <= 1 for one, other in zip(array("h", first), array("h", third), strict=True))
