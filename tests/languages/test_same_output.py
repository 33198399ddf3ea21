"""The commands of all languages print the same."""

from __future__ import annotations

from pathlib import Path

from languages.commands import run
from languages.recordings import MODEL, scripted_gateway, sentences, write_wav

WORDS = ("你好", "Grüße", "🙂")


async def test_each_utterance_is_one_line(command: tuple[str, ...], tmp_path: Path) -> None:
    recording = write_wav(tmp_path / "speech.wav", sentences((4, 2)))
    async with scripted_gateway(*WORDS) as target:
        ended = await run(command, "--target", target, "--model", MODEL, "--fast", recording)
    assert ended.lines == ["你好 Grüße 🙂 w3", "w4 w5"]
    assert ended.code == 0


async def test_delays_go_to_standard_error(command: tuple[str, ...], tmp_path: Path) -> None:
    recording = write_wav(tmp_path / "speech.wav", sentences((4,)))
    async with scripted_gateway() as target:
        ended = await run(command, "--target", target, "--model", MODEL, "--fast", recording)
    assert "first package " in ended.errors
    assert "last package " in ended.errors


async def test_audio_is_sent_at_speaking_speed(command: tuple[str, ...], tmp_path: Path) -> None:
    recording = write_wav(tmp_path / "speech.wav", sentences((1,)))
    async with scripted_gateway() as target:
        ended = await run(command, "--target", target, "--model", MODEL, recording)
    assert ended.lines == ["w0"]


async def test_the_rate_is_that_of_the_file(command: tuple[str, ...], tmp_path: Path) -> None:
    recording = write_wav(tmp_path / "speech.wav", sentences((3,), 8_000), 8_000)
    async with scripted_gateway() as target:
        ended = await run(command, "--target", target, "--model", "paraformer-realtime-8k-v2", "--fast", recording)
    assert ended.lines == ["w0 w1 w2"]


async def test_a_line_of_several_recordings_has_the_number_of_its_own(command: tuple[str, ...], tmp_path: Path) -> None:
    recordings = [write_wav(tmp_path / f"{count}.wav", sentences((count,))) for count in (1, 2, 3)]
    async with scripted_gateway() as target:
        ended = await run(command, "--target", target, "--model", MODEL, "--fast", *recordings)
    assert sorted(ended.lines) == ["0\tw0", "1\tw0 w1", "2\tw0 w1 w2"]


async def test_raw_audio_comes_from_standard_input(command: tuple[str, ...]) -> None:
    async with scripted_gateway() as target:
        arguments = ("--target", target, "--model", MODEL, "--fast", "-")
        ended = await run(command, *arguments, standard_input=sentences((2, 1)))
    assert ended.lines == ["w0 w1", "w2"]


async def test_a_recording_without_speech_prints_nothing(command: tuple[str, ...], tmp_path: Path) -> None:
    recording = write_wav(tmp_path / "silence.wav", bytes(32_000))
    async with scripted_gateway() as target:
        ended = await run(command, "--target", target, "--model", MODEL, "--fast", recording)
    assert (ended.code, ended.lines) == (0, [])
