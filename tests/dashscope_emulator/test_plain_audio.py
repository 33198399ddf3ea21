"""PCM and WAV, cut anywhere."""

from __future__ import annotations

import io
import wave

import pytest

from dashscope_emulator.plain_audio import Pcm, UndecodableAudio, Wav

SAMPLES = bytes(range(200))


def wav(channels: int = 1, width: int = 2) -> bytes:
    output = io.BytesIO()
    with wave.open(output, "wb") as file:
        file.setparams((channels, width, 16_000, 0, "NONE", ""))
        file.writeframes(SAMPLES)
    return output.getvalue()


@pytest.mark.parametrize("size", [1, 3, 44, 1000])
def test_wav_becomes_its_samples(size: int) -> None:
    reader, data = Wav(), wav()
    assert b"".join(reader.feed(data[i : i + size]) for i in range(0, len(data), size)) == SAMPLES


def test_half_a_sample_waits_for_the_other_half() -> None:
    reader = Pcm()
    assert [reader.feed(b"\x01"), reader.feed(b"\x02\x03"), reader.feed(b""), reader.end()] == [
        b"",
        b"\x01\x02",
        b"",
        b"",
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (wav(channels=2), "2 channels of 16 bits instead of one of 16"),
        (wav(width=1), "1 channels of 8 bits instead of one of 16"),
        (bytes(12), "not a WAV file"),
        (wav()[:36] + b"LIST" + b"\xff" * 70_000, "no data chunk"),
    ],
    ids=["stereo", "8 bits", "no WAV", "no data"],
)
def test_other_audio_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(UndecodableAudio, match=message):
        Wav().feed(data)
