"""NVIDIA's own client, unchanged, in a process and an environment of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from asrgateway_server.admission.keys import hashed_line
from calls import RECORDINGS, ROOT, pcm
from certificates import make_certificate
from dashscope_emulator.recognizers.script import Script, say
from documented_commands import fenced, section
from emulated_vendor import vendor_and_gateway
from gateways import open_gateway
from languages.commands import run

PROGRAM = ROOT / "tests" / "riva_client" / "program.py"
BOY = RECORDINGS / "boy.wav"
BOYS_WORDS = "the boy was there when the sun rose"
V2 = "paraformer-realtime-v2"
KEY = "correct-horse-battery"

# Any: JSON values.
Told: TypeAlias = "dict[str, Any]"
Ask: TypeAlias = "Callable[..., Awaitable[Told]]"


@pytest.fixture
def riva_python(installed: Callable[[Path], Path]) -> str:
    """The Python of the environment that `make test` makes."""
    return str(installed(ROOT / ".venv" / "riva" / "bin" / "python"))


@pytest.fixture
def ask(riva_python: str) -> Ask:
    """Run the program; return what it says."""

    async def asked(action: str, target: object, **more: object) -> Told:
        wanted = {"action": action, "target": str(target), "file": str(BOY), "frames": 1600} | more
        ended = await run((riva_python, str(PROGRAM)), json.dumps(wanted))
        assert ended.code == 0, ended.errors
        told: Told = json.loads(ended.lines[-1])
        return told

    return asked


@asynccontextmanager
async def embedded(**settings: object) -> AsyncIterator[str]:
    async with open_gateway(riva_facade=True, **settings) as (gateway, _):
        yield str(gateway.address)


@asynccontextmanager
async def saying(*texts: str) -> AsyncIterator[str]:
    """A gateway whose vendor says these texts, one after each second of audio."""
    lines = tuple(
        say((number + 1) * 1000, text, begin_ms=number * 1000, final=True) for number, text in enumerate(texts)
    )
    emulator = {"recognizer": "script", "script": Script(lines=lines)}
    async with vendor_and_gateway(emulator=emulator, riva_facade=True, default_model=V2) as (_, gateway, _):
        yield str(gateway.address)


def texts(told: Told) -> list[str]:
    return [result["alternatives"][0].get("transcript", "") for result in told["results"]]


async def test_a_file_is_streamed_header_and_all(ask: Ask) -> None:
    async with embedded() as target:
        told = await ask("stream", target, interim=True, config={"enable_word_time_offsets": True})
    *interims, final = told["results"]
    assert final["alternatives"][0]["transcript"] == BOYS_WORDS
    assert final["isFinal"]
    assert all(result.get("stability", 0.0) < 1 for result in interims)
    assert any(result["alternatives"][0]["transcript"].startswith("the boy") for result in interims)
    words = final["alternatives"][0]["words"]
    assert [word["word"] for word in words] == BOYS_WORDS.split()
    assert 2000 < words[-1]["endTime"] < 2500
    assert 2.0 < final["audioProcessed"] < 2.5
    assert f"Transcript 0: {BOYS_WORDS}\n" in told["shown"]


async def test_samples_come_in_messages_of_a_telephone(ask: Ask, tmp_path: Path) -> None:
    samples = tmp_path / "samples"
    samples.write_bytes(pcm(BOY))
    config = {"encoding": 1, "sample_rate_hertz": 16_000, "language_code": "en-US"}
    async with embedded() as target:
        told = await ask("stream", target, file=str(samples), frames=0, message_bytes=320, config=config)
    assert texts(told) == [BOYS_WORDS]


async def test_a_recording_is_recognised_at_once(ask: Ask) -> None:
    async with embedded() as target:
        told = await ask("offline", target)
    assert texts(told) == [BOYS_WORDS]


async def test_the_models_for_live_audio_are_listed(ask: Ask) -> None:
    async with embedded() as target:
        told = await ask("models", target)
    assert told["models"] == [["en-US", "default"], ["en-US", "embedded"]]


@pytest.fixture
def keys_file(tmp_path: Path) -> str:
    path = tmp_path / "keys"
    path.write_text(f"{hashed_line(KEY, 'team')}\n")
    return str(path)


def shown(key: str) -> list[list[str]]:
    return [["function-id", "1598d209"], ["authorization", f"Bearer {key}"]]


async def test_tls_with_a_certificate_to_trust(ask: Ask, tmp_path: Path, keys_file: str) -> None:
    """With TLS the client sends its key twice in one call."""
    certificate = make_certificate(tmp_path)
    files = {"tls_cert_file": str(certificate.chain), "tls_key_file": str(certificate.key)}
    async with embedded(api_keys_file=keys_file, **files) as target:
        told = await ask("stream", target, ca_file=str(certificate.chain), metadata=shown(KEY))
    assert texts(told) == [BOYS_WORDS]


@pytest.mark.parametrize(("key", "code"), [(KEY, "OK"), ("wrong-wrong-wrong", "UNAUTHENTICATED")])
async def test_a_key_is_shown_as_in_nvidias_cloud(ask: Ask, keys_file: str, key: str, code: str) -> None:
    async with embedded(api_keys_file=keys_file) as target:
        assert (await ask("stream", target, metadata=shown(key)))["code"] == code


async def test_an_unknown_model_is_refused_in_rivas_words(ask: Ask) -> None:
    async with embedded() as target:
        told = await ask("stream", target, config={"model": "parakeet"})
    assert told["code"] == "INVALID_ARGUMENT"
    assert told["details"].startswith("Error: Unavailable model requested given these parameters: language_code=;")


async def test_what_has_no_place_does_no_harm(ask: Ask) -> None:
    async with embedded() as target:
        told = await ask("stream", target, diarization=True, boosted_words=["sun"])
    assert texts(told) == [BOYS_WORDS]


@pytest.mark.parametrize(
    ("said", "joined"),
    [
        (("早上好。", "今天天气很好。"), "早上好。今天天气很好。"),
        (("Good morning.", "It is warm today."), "Good morning. It is warm today."),
    ],
)
async def test_utterances_are_joined_as_they_are_written(ask: Ask, said: tuple[str, ...], joined: str) -> None:
    config = {"language_code": "zh-CN", "enable_automatic_punctuation": True}
    async with saying(*said) as target:
        told = await ask("stream", target, config=config)
    assert "".join(texts(told)) == joined


async def test_the_program_of_the_documentation_works_as_it_stands(riva_python: str, tmp_path: Path) -> None:
    program = fenced(section(ROOT / "docs" / "riva.md", "## Point a client here"), "python")[-1]
    script = tmp_path / "documented.py"
    async with embedded() as target:
        script.write_text(
            program.replace("127.0.0.1:50051", target).replace("clients/recordings", str(RECORDINGS)), encoding="utf-8"
        )
        ended = await run((riva_python, str(script)))
    assert ended.errors == ""
    assert ended.lines[-1] == f"True {BOYS_WORDS}"
