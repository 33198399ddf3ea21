"""What a recognition makes of a program's audio: samples at known places, where it can."""

import pytest

from asrgateway import AudioEncoding, Commit, DecodingConfig, StreamingConfig
from asrgateway.intake import Intake
from asrgateway.kept_items import SampleFormat
from asrgateway.requests import AudioItem
from waves import FLOAT, PCM, extensible, fmt, part, samples, wav

WAV = StreamingConfig(model="m", decoding_config=DecodingConfig(encoding=AudioEncoding.AUDIO_ENCODING_WAV))
STEREO = SampleFormat(rate_hertz=8_000, channel_count=2)
AUDIO = bytes(range(1, 101)) * 4
RECORDING = wav(fmt(rate=8_000, channels=2), part(b"LIST", b"title"), samples(AUDIO), part(b"id3 ", b"tag"))


def passed_on(intake: Intake, *items: AudioItem) -> list[AudioItem]:
    return [out for item in items for out in intake.add(item)] + intake.end()


def in_bytes(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


def test_linear16_is_passed_on_as_it_is() -> None:
    config = StreamingConfig(decoding_config=DecodingConfig(sample_rate_hertz=16_000, audio_channel_count=2))
    intake = Intake(config)
    assert intake.config == config
    assert intake.sample_format == SampleFormat(rate_hertz=16_000, channel_count=2)
    assert passed_on(intake, b"ab", Commit(), b"") == [b"ab", Commit(), b""]


def test_of_a_wav_stream_the_samples_are_passed_on() -> None:
    intake = Intake(WAV)
    assert passed_on(intake, RECORDING) == [AUDIO]
    assert intake.sample_format == STEREO
    assert intake.config == StreamingConfig(
        model="m",
        decoding_config=DecodingConfig(
            encoding=AudioEncoding.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=8_000, audio_channel_count=2
        ),
    )


def test_a_wav_stream_may_be_cut_anywhere() -> None:
    intake = Intake(WAV)
    out = passed_on(intake, *in_bytes(RECORDING))
    assert b"".join(item for item in out if isinstance(item, bytes)) == AUDIO
    assert intake.sample_format == STEREO


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_recorder_need_not_know_its_length(size: int) -> None:
    intake = Intake(WAV)
    assert passed_on(intake, wav(fmt(), samples(AUDIO, size)), AUDIO) == [AUDIO, AUDIO]


def test_the_config_is_not_known_before_the_header() -> None:
    intake = Intake(WAV)
    assert intake.add(RECORDING[:20]) == []
    assert intake.config is None
    intake.add(RECORDING[20:])
    assert intake.config is not None


@pytest.mark.parametrize(
    "stream",
    [
        b"no header",
        wav(fmt(tag=FLOAT, bits=32), samples(AUDIO)),
        wav(fmt(bits=8), samples(AUDIO)),
        wav(extensible(FLOAT), samples(AUDIO)),
        wav(samples(AUDIO), fmt()),
        wav(part(b"fmt ", b"short"), samples(AUDIO)),
        wav(fmt(channels=0), samples(AUDIO)),
        RECORDING[:20],
    ],
)
def test_what_is_no_wav_stream_is_left_to_the_gateway(stream: bytes) -> None:
    intake = Intake(WAV)
    assert passed_on(intake, stream, Commit()) == [stream, Commit()]
    assert (intake.config, intake.sample_format) == (WAV, None)


def test_an_extensible_header_is_read() -> None:
    intake = Intake(WAV)
    assert passed_on(intake, wav(extensible(PCM), samples(AUDIO))) == [AUDIO]


@pytest.mark.parametrize(
    "wrong",
    [
        DecodingConfig(encoding=AudioEncoding.AUDIO_ENCODING_WAV, sample_rate_hertz=16_000),
        DecodingConfig(encoding=AudioEncoding.AUDIO_ENCODING_WAV, audio_channel_count=1),
    ],
)
def test_a_config_that_contradicts_the_header_is_left_to_the_gateway(wrong: DecodingConfig) -> None:
    config = StreamingConfig(decoding_config=wrong)
    intake = Intake(config)
    assert passed_on(intake, RECORDING) == [RECORDING]
    assert (intake.config, intake.sample_format) == (config, None)


def test_a_commit_before_the_header_leaves_all_to_the_gateway() -> None:
    intake = Intake(WAV)
    assert passed_on(intake, Commit(), RECORDING) == [Commit(), RECORDING]
    assert intake.sample_format is None


def test_of_other_encodings_no_place_is_known() -> None:
    config = StreamingConfig(decoding_config=DecodingConfig(encoding=AudioEncoding.AUDIO_ENCODING_OGG_OPUS))
    assert (Intake(config).config, Intake(config).sample_format) == (config, None)
    assert Intake(StreamingConfig()).sample_format is None
