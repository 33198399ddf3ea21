"""How the commands of all languages fail: the exit code, and what standard error says."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from asrgateway_server.admission.keys import hashed_line
from languages.commands import ended, run, start
from languages.recordings import MODEL, scripted_gateway, sentences, write_wav

KEY = "correct-horse-battery"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "speech.wav", sentences((2,)))


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"{hashed_line(KEY)}\n", encoding="utf-8")
    return path


async def test_a_wrong_key_is_refused(
    command: tuple[str, ...], recording: Path, keys_file: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong-key"
    wrong.write_text("wrong-wrong-wrong\n", encoding="utf-8")
    async with scripted_gateway(api_keys_file=str(keys_file)) as target:
        refused = await run(command, "--target", target, "--fast", "--api-key-file", wrong, recording)
    assert (refused.code, refused.lines) == (1, [])
    assert "UNAUTHENTICATED: this gateway does not know the key; send a valid one" in refused.errors
    assert "wrong-wrong-wrong" not in refused.errors


async def test_the_right_key_lets_in(
    command: tuple[str, ...], recording: Path, keys_file: Path, tmp_path: Path
) -> None:
    right = tmp_path / "right-key"
    right.write_text(f"{KEY}\n", encoding="utf-8")
    async with scripted_gateway(api_keys_file=str(keys_file)) as target:
        arguments = ("--target", target, "--model", MODEL, "--fast", "--api-key-file", right, recording)
        assert (await run(command, *arguments)).lines == ["w0 w1"]


async def test_a_model_that_is_not_there_is_an_error_with_its_field(command: tuple[str, ...], recording: Path) -> None:
    async with scripted_gateway() as target:
        failed = await run(command, "--target", target, "--model", "babelfish", "--fast", recording)
    assert (failed.code, failed.lines) == (1, [])
    assert "INVALID_ARGUMENT: " in failed.errors
    assert "babelfish" in failed.errors
    assert "streaming_config.model" in failed.errors
    assert "UNKNOWN_MODEL" in failed.errors


async def test_a_gateway_that_is_not_there_is_an_error(command: tuple[str, ...], recording: Path) -> None:
    failed = await run(command, "--target", "127.0.0.1:1", "--no-reconnect", "--fast", recording)
    assert (failed.code, failed.lines) == (1, [])
    assert "UNAVAILABLE: " in failed.errors


async def test_a_deadline_is_an_error(command: tuple[str, ...], recording: Path) -> None:
    async with scripted_gateway() as target:
        failed = await run(command, "--target", target, "--model", MODEL, "--timeout", "0.3", recording)
    assert failed.code == 1
    assert "DEADLINE_EXCEEDED: " in failed.errors


async def test_wrong_usage_ends_with_2(command: tuple[str, ...]) -> None:
    assert (await run(command)).code == 2
    assert (await run(command, "--babel", "-")).code == 2


async def test_a_file_that_cannot_be_read_ends_with_2(command: tuple[str, ...], tmp_path: Path) -> None:
    missing = await run(command, tmp_path / "missing.wav")
    assert missing.code == 2
    assert "missing.wav" in missing.errors


async def test_an_interrupt_ends_the_call_and_the_command_with_130(command: tuple[str, ...]) -> None:
    async with scripted_gateway() as target:
        process = await start(command, "--target", target, "--model", MODEL, "-")
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(sentences((1, 1, 1)))
        await process.stdin.drain()
        await process.stdout.readline()  # The call is open, and standard input is too.
        process.send_signal(signal.SIGINT)
        assert (await ended(process, within_seconds=60)).code == 130
