"""The vendor's Java SDK, unmodified, against both dialects: as its samples use it, against a cold emulator.

Maven brings the SDK into its own cache; ``.ci/install-tools`` installs Maven and Java.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

HERE: Final = Path(__file__).parents[1] / "dashscope_java"
BOY: Final = Path(__file__).parents[2] / "clients" / "recordings" / "boy.wav"
TEXT: Final = "the boy was there when the sun rose"
SCENES: Final = ("stream", "file", "microphone", "unknown model", "session", "manual session")
TRANSCRIPTION: Final = "conversation.item.input_audio_transcription"

#: The service answers after so long; the SDK sends audio after 36 to 53 ms.
KNOBS: Final = "start_seconds: 0.1"
MAVEN_SECONDS: Final = 400
JAVA_SECONDS: Final = 300

#: Alone and warm this takes 12 s; cold, with 150 files to fetch, a minute more.
pytestmark = pytest.mark.timeout(MAVEN_SECONDS + JAVA_SECONDS + 60)

Lines = list[dict[str, Any]]  # Any: JSON values


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        unavailable(f"{name} is not installed; .ci/install-tools does it")
    return path


def unavailable(reason: str) -> NoReturn:
    """Skip the test, or fail it in CI."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def run(command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a program; nothing of it is left when this returns."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            output, errors = process.communicate(timeout=seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


@pytest.fixture(scope="module")
def classpath(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The SDK and what it needs."""
    tool("javac")  # Java runs the source as it is, but not without its compiler
    maven = tool("mvn")
    path = tmp_path_factory.mktemp("maven") / "classpath"
    goal = ["dependency:build-classpath", f"-Dmdep.outputFile={path}"]
    done = run([maven, "--batch-mode", "--quiet", "--file", str(HERE / "pom.xml"), *goal], MAVEN_SECONDS)
    if done.returncode:
        unavailable(f"Maven cannot get the SDK: {done.stdout[-1000:]}")
    return path.read_text()


@contextlib.contextmanager
def cold_emulator(directory: Path) -> Iterator[str]:
    """A process that has never decoded anything; it must end on SIGTERM."""
    knobs = directory / "knobs.yaml"
    knobs.write_text(KNOBS)
    arguments = ["--port", "0", "--knobs", str(knobs), "--journal", str(directory / "tasks.jsonl")]
    command = [sys.executable, "-m", "dashscope_emulator", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()


@pytest.fixture(scope="module")
def played(classpath: str, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Lines]:
    """What happened in each scene, and under ``tasks`` what the emulator noted of all of them."""
    directory = tmp_path_factory.mktemp("emulator")
    with cold_emulator(directory) as url:
        command = [tool("java"), "-cp", classpath, str(HERE / "Judge.java"), url, str(BOY), *SCENES]
        done = run(command, JAVA_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line.removeprefix("JUDGE ")) for line in done.stdout.splitlines() if line.startswith("JUDGE ")]
    tasks = [json.loads(line) for line in (directory / "tasks.jsonl").read_text().splitlines()]
    return {scene: [line for line in lines if line["scene"] == scene] for scene in SCENES} | {"tasks": tasks}


def finals(lines: Lines) -> list[str]:
    return [line["text"] for line in lines if line["happened"] == "result" and line["is_sentence_end"]]


def happened(lines: Lines) -> list[str]:
    """What happened last, without results and events."""
    return [line["happened"] for line in lines if line["happened"] not in ("result", "event", "close")]


def test_a_stream_is_recognised_from_its_first_frame(played: Mapping[str, Lines]) -> None:
    lines = played["stream"]
    assert (finals(lines), happened(lines)) == ([TEXT], ["complete"])
    assert any(line["happened"] == "result" and not line["is_sentence_end"] for line in lines)
    assert lines[-1]["first_package_delay"] > 0


def test_a_file_is_recognised(played: Mapping[str, Lines]) -> None:
    (line,) = played["file"]
    assert [sentence["text"] for sentence in json.loads(line["text"])["sentences"]][-1] == TEXT


def test_a_microphone_is_recognised_twice_on_one_connection(played: Mapping[str, Lines]) -> None:
    lines = played["microphone"]
    assert (finals(lines), happened(lines)) == ([TEXT, TEXT], ["complete", "complete"])
    results = [line for line in lines if line["happened"] == "result" and line["is_sentence_end"]]
    assert [line["words"] for line in results] == [8, 8]


def test_a_failure_is_read_while_audio_is_on_its_way(played: Mapping[str, Lines]) -> None:
    lines = played["unknown model"]
    assert "error" in happened(lines)
    assert "timeout" not in happened(lines)
    assert "Model not found (whisper)!" in next(line for line in lines if line["happened"] == "error")["message"]


@pytest.mark.parametrize("scene", ["session", "manual session"])
def test_a_session_is_recognised(played: Mapping[str, Lines], scene: str) -> None:
    events = [line["event"] for line in played[scene] if line["happened"] == "event"]
    assert [event["type"] for event in events][:2] == ["session.created", "session.updated"]
    assert [event["transcript"] for event in events if event["type"] == f"{TRANSCRIPTION}.completed"] == [TEXT]
    assert events[-1]["type"] == "session.finished"
    assert "error" not in {event["type"] for event in events}


def test_no_audio_was_lost(played: Mapping[str, Lines]) -> None:
    """Every scene sends the recording once, and much of it before `task-started`."""
    with wave.open(str(BOY)) as file:
        duration_ms = file.getnframes() * 1000 // file.getframerate()
    finished = [task["audio_ms"] for task in played["tasks"] if task["outcome"] == "finished"]
    assert finished == [duration_ms] * 6
