"""What a person at the command line sees, and what a script can rely on."""

import asyncio
import json
import os
import pty
import re
import signal
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from asrgateway import (
    AudioEncoding,
    DecodingConfig,
    Downgrade,
    GoingAway,
    ListModelsResponse,
    Model,
    ModelAlias,
    ModelFeature,
    RecognizeResponse,
    Started,
    StreamEvent,
    StreamEventType,
    StreamingConfig,
    Warning,  # noqa: A004 - the contract's own name
)
from asrgateway.arguments import parse
from asrgateway.cli import run
from scripted_gateway import Failure, Gateway, final, finished, interim, started
from terminals import read_all

CLIENT = (sys.executable, "-m", "asrgateway")


async def asr_client(*arguments: str | Path) -> int:
    return await run(parse([str(argument) for argument in arguments]))


async def test_standard_output_holds_one_line_per_final_result(
    gateway: Gateway, wav_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.script.greeting = [started(), interim("hel"), final("hello"), interim("wor")]
    gateway.script.going_away = [final("world", 1), finished()]
    assert await asr_client("file", wav_file, "--fast", "--target", gateway.target) == 0
    assert capsys.readouterr().out == "hello\nworld\n"


async def test_the_samples_of_a_file_are_sent_with_its_options(gateway: Gateway, wav_file: Path) -> None:
    await asr_client("file", wav_file, "--target", gateway.target, "--model", "embedded", "--language", "en-US")
    assert gateway.script.received[0].streaming_config == StreamingConfig(
        model="embedded",
        decoding_config=DecodingConfig(
            encoding=AudioEncoding.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=8000, audio_channel_count=2
        ),
        language_codes=["en-US"],
        interim_results=True,
    )
    assert gateway.script.audio == wav_file.read_bytes()[44:]  # noqa: ASYNC240 - a few bytes


async def test_a_file_that_will_not_be_sent_again_is_sent_as_it_is(gateway: Gateway, wav_file: Path) -> None:
    await asr_client("file", wav_file, "--target", gateway.target, "--no-reconnect")
    config = gateway.script.received[0].streaming_config
    assert config.decoding_config == DecodingConfig(encoding=AudioEncoding.AUDIO_ENCODING_WAV)
    assert gateway.script.audio == wav_file.read_bytes()  # noqa: ASYNC240 - a few bytes


async def test_a_call_without_speech_is_a_success(
    gateway: Gateway, wav_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.script.going_away = [finished(last_package_delay=7)]
    assert await asr_client("file", wav_file, "--fast", "--target", gateway.target) == 0
    assert capsys.readouterr().out == ""


async def test_delays_and_progress_go_to_standard_error(
    gateway: Gateway, wav_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.script.going_away = [
        finished(first_package_delay=231, upstream_first_package_delay=210, last_package_delay=52)
    ]
    await asr_client("file", wav_file, "--fast", "--target", gateway.target)
    assert capsys.readouterr().err.splitlines() == [
        "sent 0.2 of 0.2 s",
        "first package 231 ms (upstream 210 ms), last package 52 ms (upstream none)",
    ]


async def test_warnings_and_events_go_to_standard_error(
    gateway: Gateway, wav_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    downgrade = Downgrade(field="language_codes", message="English only")
    dropped = StreamEvent(
        event_type=StreamEventType.STREAM_EVENT_TYPE_AUDIO_DROPPED,
        reason="too late",
        start_offset=Duration(seconds=1),
        end_offset=Duration(seconds=2),
    )
    reconnected = StreamEvent(event_type=StreamEventType.STREAM_EVENT_TYPE_RECONNECTED, reason="the line broke")
    gateway.script.greeting = [
        RecognizeResponse(started=Started(downgrades=[downgrade])),
        RecognizeResponse(warning=Warning(field="features.enable_emotion", message="not supported")),
        RecognizeResponse(stream_event=dropped),
        RecognizeResponse(stream_event=reconnected),
        RecognizeResponse(going_away=GoingAway(deadline=Duration(seconds=30))),
    ]
    await asr_client("file", wav_file, "--fast", "--target", gateway.target)
    assert capsys.readouterr().err.splitlines() == [
        "warning: language_codes: English only",
        "warning: features.enable_emotion: not supported",
        "warning: audio dropped from 1.0 to 2.0 s: too late",
        "note: reconnected: the line broke",
        "warning: the gateway stops in 30 s",
    ]


async def test_a_downgrade_that_is_also_a_warning_is_printed_once(
    gateway: Gateway, wav_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    downgrade = Downgrade(field="language_codes", message="English only")
    gateway.script.greeting = [
        RecognizeResponse(started=Started(downgrades=[downgrade])),
        RecognizeResponse(warning=Warning(field="streaming_config.language_codes", message="English only")),
    ]
    await asr_client("file", wav_file, "--fast", "--target", gateway.target)
    assert capsys.readouterr().err == "warning: language_codes: English only\n"


async def test_json_is_one_response_per_line_in_the_names_of_the_contract(
    gateway: Gateway, wav_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.script.greeting = [interim("你")]
    gateway.script.going_away = [final("你好")]
    await asr_client("file", wav_file, "--fast", "--json", "--target", gateway.target)
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"result": {"revision": 1, "transcript": "你", "unstable": "你"}},
        {"result": {"is_final": True, "transcript": "你好", "committed": "你好", "end_offset": "1.200s"}},
    ]
    assert "你好" in lines[1]


async def test_a_failure_prints_code_sentence_and_what_to_do(
    gateway: Gateway, wav_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.script.failure = Failure(code=grpc.StatusCode.RESOURCE_EXHAUSTED, message="all workers are busy")
    assert await asr_client("file", wav_file, "--target", gateway.target) == 1
    assert capsys.readouterr().err.splitlines() == [
        "asr-client: RESOURCE_EXHAUSTED: all workers are busy",
        "asr-client: The gateway is busy: try again later.",
    ]


async def test_a_gateway_that_is_not_there_is_a_failure(wav_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await asr_client("file", wav_file, "--target", "127.0.0.1:1", "--no-reconnect") == 1
    assert "asr-client: UNAVAILABLE: " in capsys.readouterr().err


async def test_a_file_that_is_not_there_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert await asr_client("file", "missing.wav") == 2
    assert capsys.readouterr().err == "asr-client: missing.wav: No such file or directory\n"


async def test_a_contradiction_ends_with_2(wav_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await asr_client("file", wav_file, "--rate", "16000") == 2
    assert "contradicts" in capsys.readouterr().err


async def test_a_certificate_that_is_not_there_ends_with_2(wav_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await asr_client("file", wav_file, "--ca", "missing.pem") == 2
    assert capsys.readouterr().err == "asr-client: missing.pem: No such file or directory\n"


@pytest.fixture
def models(gateway: Gateway) -> ListModelsResponse:
    features = [ModelFeature.MODEL_FEATURE_INTERIM_RESULTS, ModelFeature.MODEL_FEATURE_HOTWORDS]
    gateway.script.models = ListModelsResponse(
        models=[
            Model(name="embedded", backend="pocketsphinx", language_codes=["en-US"]),
            Model(name="far", backend="vendor", sample_rates_hertz=[8000, 16000], features=features),
        ],
        aliases=[
            ModelAlias(name="default", model="far", models=["far", "embedded"]),
            ModelAlias(name="offline", model="embedded", models=["embedded"]),
            ModelAlias(name="old", model="far"),
        ],
    )
    return gateway.script.models


@pytest.mark.usefixtures("models")
async def test_models_are_a_table(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert await asr_client("models", "--target", gateway.target) == 0
    assert capsys.readouterr().out.splitlines() == [
        "NAME      BACKEND       LANGUAGES  RATES        FEATURES                   ALIASES",
        "embedded  pocketsphinx  en-US      any                                     default (2 of 2), offline",
        "far       vendor                   8000, 16000  interim_results, hotwords  default (1 of 2), old",
    ]


@pytest.mark.usefixtures("models")
async def test_models_are_json_on_request(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert await asr_client("models", "--json", "--target", gateway.target) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["aliases"][0] == {"name": "default", "model": "far", "models": ["far", "embedded"]}


@pytest.fixture
def long_file(tmp_path: Path) -> Path:
    """Hold a minute, so that a call at speaking speed is still open when the test acts."""
    path = tmp_path / "long.raw"
    path.write_bytes(bytes(60 * 2 * 8000))
    return path


async def test_an_interrupt_ends_with_130_and_without_output(gateway: Gateway, long_file: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *CLIENT, "file", long_file, "--rate", "8000", "--target", gateway.target, stderr=asyncio.subprocess.PIPE
    )
    await gateway.script.is_greeted.wait()
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert (process.returncode, err) == (130, b"")
    await gateway.script.is_over.wait()


async def test_a_closed_pipe_ends_the_call_without_a_traceback(gateway: Gateway, long_file: Path) -> None:
    gateway.script.greeting = [final("hello")] * 3
    reader, writer = os.pipe()
    os.close(reader)
    process = await asyncio.create_subprocess_exec(
        *CLIENT,
        *("file", long_file, "--rate", "8000", "--target", gateway.target),
        stdout=writer,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writer)
    _, err = await process.communicate()
    assert (process.returncode, err) == (1, b"")
    await gateway.script.is_over.wait()


@pytest.fixture
def terminal() -> tuple[int, int]:
    """Return the two ends of a terminal: ours, and the program's."""
    return pty.openpty()


async def test_on_a_terminal_interim_text_is_redrawn_in_place(
    gateway: Gateway, wav_file: Path, terminal: tuple[int, int]
) -> None:
    gateway.script.greeting = [interim("hel"), final("hello")]
    ours, theirs = terminal
    process = await asyncio.create_subprocess_exec(
        *CLIENT, "file", wav_file, "--target", gateway.target, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    output = await asyncio.to_thread(read_all, ours)
    assert await process.wait() == 0
    assert re.search(r"speech.wav .* of 0\.2 s +hel ", output)
    assert "hello\r\n" in output


async def test_with_only_standard_error_on_a_terminal_the_pipe_stays_clean(
    gateway: Gateway, wav_file: Path, terminal: tuple[int, int]
) -> None:
    gateway.script.greeting = [interim("hel"), final("hello")]
    ours, theirs = terminal
    process = await asyncio.create_subprocess_exec(
        *CLIENT, "file", wav_file, "--target", gateway.target, stdout=asyncio.subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    out, _ = await process.communicate()
    assert out == b"hello\n"
    assert " hel " in await asyncio.to_thread(read_all, ours)


async def test_the_api_key_of_a_file_is_sent(gateway: Gateway, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("the-key\n")
    gateway.script.models = ListModelsResponse()
    assert await asr_client("models", "--target", gateway.target, "--api-key-file", key_file) == 0
    assert gateway.script.metadata["authorization"] == "Bearer the-key"


async def test_the_api_key_of_the_environment_is_sent(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASR_API_KEY", "the-key")
    gateway.script.models = ListModelsResponse()
    assert await asr_client("models", "--target", gateway.target) == 0
    assert gateway.script.metadata["authorization"] == "Bearer the-key"


@pytest.mark.parametrize("content", ["", "two keys", "ключ"])
async def test_an_api_key_that_cannot_be_sent_is_an_error_that_hides_it(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(content, encoding="utf-8")
    assert await asr_client("models", "--api-key-file", key_file) == 2
    error = capsys.readouterr().err
    assert error == "asr-client: the API key must consist of ASCII letters, digits and signs, without blanks\n"
