"""Several recordings in one command."""

import asyncio
import json
import os
import sys
import wave
from pathlib import Path

import grpc
import pytest

from asrgateway.arguments import parse
from asrgateway.cli import run
from scripted_gateway import Failure, Gateway, final, finished, started
from terminals import read_all

CLIENT = (sys.executable, "-m", "asrgateway")


async def asr_client(*arguments: str | Path) -> int:
    return await run(parse([str(argument) for argument in arguments]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Hold three recordings of 0.1, 0.2 and 0.3 s."""
    path = tmp_path / "recordings"
    path.mkdir()
    for number, name in enumerate(("a.wav", "b.wav", "c.wav"), start=1):
        with wave.open(str(path / name), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(bytes(2 * 800 * number))
    return path


@pytest.fixture
def script(gateway: Gateway) -> None:
    gateway.script.greeting = [started()]
    gateway.script.going_away = [final("hello"), finished(first_package_delay=231, last_package_delay=52)]


@pytest.mark.usefixtures("script")
async def test_each_line_begins_with_the_number_of_its_file(
    gateway: Gateway, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await asr_client("file", folder, "--fast", "--target", gateway.target) == 0
    assert sorted(capsys.readouterr().out.splitlines()) == ["0\thello", "1\thello", "2\thello"]


@pytest.mark.usefixtures("script")
async def test_with_one_job_the_files_come_one_after_another(
    gateway: Gateway, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await asr_client("file", folder, "--jobs", "1", "--fast", "--target", gateway.target)
    assert capsys.readouterr().out.splitlines() == ["0\thello", "1\thello", "2\thello"]


@pytest.mark.usefixtures("script")
async def test_json_names_the_file(gateway: Gateway, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await asr_client("file", folder / "b.wav", folder / "c.wav", "--json", "--fast", "--target", gateway.target)
    responses = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(response["file"], response["path"]) for response in responses} == {
        (0, str(folder / "b.wav")),
        (1, str(folder / "c.wav")),
    }


@pytest.mark.usefixtures("script")
async def test_a_summary_closes_the_command_on_standard_error(
    gateway: Gateway, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await asr_client("file", folder, "--fast", "--target", gateway.target)
    headings, *rows, whole = capsys.readouterr().err.splitlines()
    assert headings.split() == ["FILE", "AUDIO", "UTTERANCES", "FIRST", "PACKAGE", "LAST", "PACKAGE", "STATUS"]
    assert rows[1].split() == [str(folder / "b.wav"), "0.2", "s", "1", "231", "ms", "52", "ms", "OK"]
    assert whole.startswith("3 files, none failed: 0.6 s of audio in ")


@pytest.mark.usefixtures("script")
async def test_captions_are_written_to_standard_output(
    gateway: Gateway, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await asr_client("file", folder / "a.wav", "--output", "srt", "--target", gateway.target) == 0
    assert capsys.readouterr().out == "1\n00:00:00,000 --> 00:00:01,200\nhello\n\n"


@pytest.mark.usefixtures("script")
@pytest.mark.parametrize(
    ("form", "suffix", "content"),
    [
        ("txt", "txt", "hello\n"),
        ("srt", "srt", "1\n00:00:00,000 --> 00:00:01,200\nhello\n\n"),
        ("vtt", "vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:01.200\nhello\n\n"),
    ],
)
async def test_each_recording_gets_a_file_in_the_folder_for_the_output(
    form: str, suffix: str, content: str, gateway: Gateway, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.joinpath("a.wav").rename(folder / "a take.wav")
    output = folder.parent / "texts"
    arguments = ("file", folder, "--output", form, "--output-dir", output, "--fast", "--target", gateway.target)
    assert await asr_client(*arguments) == 0
    assert capsys.readouterr().out == ""
    assert {path.name: path.read_text() for path in output.iterdir()} == {
        f"a take.{suffix}": content,
        f"b.{suffix}": content,
        f"c.{suffix}": content,
    }


@pytest.mark.usefixtures("script")
async def test_a_file_of_json_holds_only_responses(gateway: Gateway, folder: Path) -> None:
    arguments = ("file", folder, "--json", "--output-dir", folder, "--fast", "--target", gateway.target)
    assert await asr_client(*arguments) == 0
    first, *_ = (folder / "c.jsonl").read_text().splitlines()
    assert json.loads(first) == {"started": {"call_id": "c1", "model": "embedded"}}


async def test_captions_of_several_recordings_need_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await asr_client("file", folder, "--output", "vtt") == 2
    assert capsys.readouterr().err == "asr-client: captions of 3 recordings need a file each: add --output-dir\n"


async def test_two_recordings_are_never_written_to_one_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "more").mkdir()
    other = (folder / "a.wav").rename(folder / "more" / "b.wav")
    assert await asr_client("file", folder / "b.wav", other, "--output-dir", folder) == 2
    assert "two recordings would be written to " in capsys.readouterr().err


async def test_a_call_that_fails_does_not_stop_the_others(
    gateway: Gateway, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.script.failure = Failure(code=grpc.StatusCode.PERMISSION_DENIED, message="not you")
    assert await asr_client("file", folder, "--fast", "--target", gateway.target) == 1
    error = capsys.readouterr().err
    for name in ("a.wav", "b.wav", "c.wav"):
        assert f"{folder / name}: asr-client: PERMISSION_DENIED: not you\n" in error
    assert "3 files, 3 failed" in error


async def test_no_call_begins_if_a_file_cannot_be_read(
    gateway: Gateway, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await asr_client("file", folder, "missing.wav", "--target", gateway.target) == 2
    assert capsys.readouterr().err == "asr-client: missing.wav: No such file or directory\n"
    assert not gateway.script.received


@pytest.mark.usefixtures("script")
async def test_a_dash_is_raw_audio_from_standard_input(gateway: Gateway) -> None:
    process = await asyncio.create_subprocess_exec(
        *(*CLIENT, "file", "-", "--fast", "--target", gateway.target),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(bytes(range(250)) * 40)
    assert (out, process.returncode) == (b"hello\n", 0)
    assert err.splitlines()[0] == b"sent 0.3 s"
    assert gateway.script.audio == bytes(range(250)) * 40
    assert gateway.script.received[0].streaming_config.decoding_config.sample_rate_hertz == 16000


@pytest.mark.usefixtures("script")
async def test_on_a_terminal_a_line_begins_with_the_name_of_its_file(gateway: Gateway, folder: Path) -> None:
    ours, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *(*CLIENT, "file", folder, "--fast", "--target", gateway.target), stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    output = await asyncio.to_thread(read_all, ours)
    assert await process.wait() == 0
    assert "b.wav: hello\r\n" in output
    assert "1 of 3" in output
