"""Which recordings a command line names."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from asrgateway import AudioEncoding, DecodingConfig
from asrgateway.audio_file import UnusableFile
from asrgateway.recordings import find_recordings, open_recording
from asrgateway.standard_input import StandardInput
from waves import fmt, samples, wav


def test_a_folder_stands_for_the_recordings_in_it_in_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.wav", "a.WAV", "notes.txt", "more/c.raw"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_recordings([Path("folder/first.wav"), tmp_path])
    assert [one.path for one in found] == [
        Path("folder/first.wav"),
        tmp_path / "a.WAV",
        tmp_path / "b.wav",
        tmp_path / "more/c.raw",
    ]
    assert [str(one.name) for one in found] == ["first.wav", "a.WAV", "b.wav", "more/c.raw"]


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match="has no recordings"):
        find_recordings([tmp_path])


def test_standard_input_can_be_named_once() -> None:
    with pytest.raises(UnusableFile, match="once"):
        find_recordings([Path("-"), Path("-")])


@pytest.fixture
def pipe() -> Iterator[tuple[int, StandardInput]]:
    """Return the end to write to, and what reads the other one as 16 kHz mono."""
    reader, writer = os.pipe()
    file = os.fdopen(reader, "rb")
    yield writer, StandardInput(file, sample_rate_hertz=None, channel_count=None)
    file.close()


async def test_standard_input_is_16_khz_mono_in_messages_of_100_ms(pipe: tuple[int, StandardInput]) -> None:
    writer, recording = pipe
    os.write(writer, bytes(3200 + 3200 + 50))
    os.close(writer)
    assert recording.decoding_config == DecodingConfig(
        encoding=AudioEncoding.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=16000
    )
    assert [len(message) async for message in recording.stream(is_fast=True)] == [3200, 3200, 50]
    assert (recording.seconds, recording.seconds_of(3200)) == (None, 0.1)


async def test_audio_of_a_pipe_is_there_before_the_pipe_ends(pipe: tuple[int, StandardInput]) -> None:
    writer, recording = pipe
    os.write(writer, bytes(3200))
    assert len(await anext(recording.stream(is_fast=False))) == 3200
    os.close(writer)


async def test_what_waits_in_a_pipe_catches_up(
    pipe: tuple[int, StandardInput], monkeypatch: pytest.MonkeyPatch
) -> None:
    paces: list[float] = []

    async def paced(messages: AsyncIterator[bytes], message_seconds: float) -> AsyncIterator[bytes]:
        paces.append(message_seconds)
        async for message in messages:
            yield message

    monkeypatch.setattr("asrgateway.standard_input.at_speaking_speed", paced)
    writer, recording = pipe
    os.write(writer, bytes(3200))
    os.close(writer)
    assert [len(message) async for message in recording.stream(is_fast=False)] == [3200]
    assert paces == pytest.approx([0.08])


async def test_standard_input_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "speech.raw"
    path.write_bytes(bytes(8 * 400 + 2))
    with path.open("rb") as file:
        recording = StandardInput(file, sample_rate_hertz=8000, channel_count=2)
        assert [len(message) async for message in recording.stream(is_fast=True)] == [3200, 2]


async def test_a_wav_file_on_standard_input_is_refused(wav_file: Path) -> None:
    with wav_file.open("rb") as file:
        recording = StandardInput(file, sample_rate_hertz=None, channel_count=None)
        with pytest.raises(UnusableFile, match="is a WAV file"):
            await anext(recording.stream(is_fast=True))


def test_a_terminal_as_standard_input_is_refused() -> None:
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "rb") as file, pytest.raises(UnusableFile, match="standard input is a terminal"):
        StandardInput(file, sample_rate_hertz=None, channel_count=None)
    os.close(ours)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("song.mp3", "MP3"),
        ("call.amr", "AMR"),
        ("talk.OPUS", "OGG_OPUS"),
        ("talk.ogg", "AUTO"),
        ("page.webm", "WEBM_OPUS"),
    ],
)
async def test_a_coded_file_is_sent_as_it_is(tmp_path: Path, name: str, encoding: str) -> None:
    (tmp_path / name).write_bytes(bytes(5000))
    recording = open_recording(tmp_path / name, encoding=None, sample_rate_hertz=None, channel_count=None)
    assert recording.decoding_config == DecodingConfig(encoding=AudioEncoding.Value(f"AUDIO_ENCODING_{encoding}"))
    assert [len(message) async for message in recording.stream(is_fast=False)] == [4096, 904]
    assert recording.seconds is None


def test_an_encoding_that_is_given_goes_before_the_name(tmp_path: Path) -> None:
    path = tmp_path / "call.raw"
    path.write_bytes(bytes(50))
    recording = open_recording(path, encoding="mulaw", sample_rate_hertz=8000, channel_count=None)
    assert recording.decoding_config == DecodingConfig(
        encoding=AudioEncoding.AUDIO_ENCODING_MULAW, sample_rate_hertz=8000
    )


def test_a_wav_file_of_other_samples_is_sent_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "studio.wav"
    path.write_bytes(wav(fmt(bits=24), samples(bytes(30))))
    recording = open_recording(path, encoding=None, sample_rate_hertz=None, channel_count=None)
    assert recording.decoding_config == DecodingConfig(encoding=AudioEncoding.AUDIO_ENCODING_WAV)
