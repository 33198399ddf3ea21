"""What is known of a recording before it is sent."""

import re
from pathlib import Path

import pytest

from asrgateway import AudioEncoding, DecodingConfig
from asrgateway.audio_file import ENCODINGS, AudioFile, UnusableFile, open_audio
from calls import ROOT

WAV = AudioEncoding.AUDIO_ENCODING_WAV
LINEAR16 = AudioEncoding.AUDIO_ENCODING_LINEAR16
PROTO = ROOT / "protos/asrgateway/v1/recognition.proto"


def opened(
    path: Path,
    *,
    encoding: str | None = None,
    rate: int | None = None,
    channels: int | None = None,
) -> AudioFile:
    return open_audio(path, encoding=encoding, sample_rate_hertz=rate, channel_count=channels)


@pytest.fixture
def raw_file(tmp_path: Path) -> Path:
    """Hold one second at 8000 Hz."""
    path = tmp_path / "speech.raw"
    path.write_bytes(bytes(16000))
    return path


def test_a_wav_file_is_sent_as_it_is(wav_file: Path) -> None:
    audio = opened(wav_file)
    assert audio.decoding_config == DecodingConfig(encoding=WAV)
    assert b"".join(audio.messages()) == wav_file.read_bytes()


def test_messages_of_a_wav_file_last_100_ms_and_the_first_carries_the_header(wav_file: Path) -> None:
    audio = opened(wav_file)
    assert audio.message_seconds == 0.1
    assert [len(message) for message in audio.messages(audio.message_bytes)] == [44 + 3200, 3200]


def test_progress_counts_samples_not_the_header(wav_file: Path) -> None:
    audio = opened(wav_file)
    assert (audio.seconds_of(0), audio.seconds_of(44 + 3200), audio.seconds) == (0, 0.1, 0.2)


@pytest.mark.parametrize("length", [bytes(4), b"\xff\xff\xff\xff"], ids=["zero", "largest"])
def test_a_wav_header_without_a_length_covers_the_rest_of_the_file(wav_file: Path, length: bytes) -> None:
    content = wav_file.read_bytes()
    wav_file.write_bytes(content[:40] + length + content[44:])
    assert opened(wav_file).audio_bytes == 6400


def test_options_that_agree_with_the_header_are_accepted(wav_file: Path) -> None:
    assert opened(wav_file, encoding="wav", rate=8000, channels=2).sample_rate_hertz == 8000


@pytest.mark.parametrize(
    ("rate", "channels", "message"),
    [(16000, None, "--rate 16000 contradicts .* 8000 Hz"), (None, 1, "--channels 1 contradicts .* 2 channel")],
)
def test_options_that_contradict_the_header_are_refused(
    wav_file: Path, rate: int | None, channels: int | None, message: str
) -> None:
    with pytest.raises(UnusableFile, match=message):
        opened(wav_file, rate=rate, channels=channels)


def test_a_wav_file_is_not_sent_as_raw_audio(wav_file: Path) -> None:
    with pytest.raises(UnusableFile, match="use --encoding wav"):
        opened(wav_file, encoding="linear16", rate=8000)


def test_a_wav_file_that_is_not_pcm_is_refused(wav_file: Path) -> None:
    content = wav_file.read_bytes()
    wav_file.write_bytes(content[:20] + b"\x03\x00" + content[22:])
    with pytest.raises(UnusableFile, match="not a WAV file with PCM samples: unknown format: 3"):
        opened(wav_file)


def test_a_wav_file_that_ends_in_its_header_is_refused(wav_file: Path) -> None:
    wav_file.write_bytes(wav_file.read_bytes()[:30])
    with pytest.raises(UnusableFile, match="ends inside its header"):
        opened(wav_file)


def test_a_raw_file_is_16_bit_audio_in_one_channel(raw_file: Path) -> None:
    audio = opened(raw_file, rate=8000)
    assert audio.decoding_config == DecodingConfig(encoding=LINEAR16, sample_rate_hertz=8000)
    assert (audio.seconds_of(8000), audio.seconds) == (0.5, 1.0)


def test_a_raw_file_needs_a_rate(raw_file: Path) -> None:
    with pytest.raises(UnusableFile, match="add --rate"):
        opened(raw_file)


def test_a_rate_that_is_no_multiple_of_10_keeps_its_true_pace(raw_file: Path) -> None:
    audio = opened(raw_file, rate=11025)
    assert audio.message_bytes == 2204
    assert audio.message_seconds == 1102 / 11025


def test_audio_that_no_gateway_decodes_is_refused_with_a_way_to_convert_it(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    path.touch()
    with pytest.raises(UnusableFile, match=r"m4a files cannot be sent like this: .*ffmpeg -i song.m4a .* song.wav"):
        opened(path)


def test_the_encodings_are_those_of_the_contract() -> None:
    assert tuple(name.lower() for name in re.findall(r"AUDIO_ENCODING_(\w+) = [1-9]", PROTO.read_text())) == ENCODINGS


def test_a_wav_file_without_a_rate_is_refused(wav_file: Path) -> None:
    content = wav_file.read_bytes()
    wav_file.write_bytes(content[:24] + bytes(4) + content[28:])
    with pytest.raises(UnusableFile, match="its rate is 0 Hz"):
        opened(wav_file)


def test_an_unknown_name_needs_an_encoding(tmp_path: Path) -> None:
    path = tmp_path / "speech.xyz"
    path.touch()
    with pytest.raises(UnusableFile, match="add --encoding"):
        opened(path)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match="is not a file"):
        opened(tmp_path)
