"""The emulator on the command line."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dashscope_emulator import EmulatorOptions, Knobs, add_arguments, options_from
from dashscope_emulator.faults import Drop, Fault
from dashscope_emulator.recognizers.script import Script, say


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_says_where_it_listens_and_ends_on_a_signal(
    session: aiohttp.ClientSession, number: signal.Signals
) -> None:
    arguments = ["-m", "dashscope_emulator", "--port", "0", "--recognizer", "script"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        line = (await process.stdout.readline()).decode()
        url = line.split()[-1]
        assert line == f"DashScope emulator (script) listens on {url}\n"
        async with session.ws_connect(f"{url}/api-ws/v1/inference?api_key=k") as socket:
            process.send_signal(number)
            await socket.receive()
            assert socket.close_code == 1001
        rest = await process.communicate()
    assert (process.returncode, rest) == (0, (b"", b""))


def parse(*arguments: str) -> EmulatorOptions:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return options_from(parser.parse_args(arguments))


def test_the_defaults_are_the_documented_ones() -> None:
    assert parse() == EmulatorOptions(host="127.0.0.1", port=8765, recognizer="pocketsphinx")


def test_every_argument_is_an_option(tmp_path: Path) -> None:
    script, faults, knobs = (tmp_path / name for name in ("script.json", "faults.json", "knobs.json"))
    knobs.write_text('{"bad_key_status": 403}')
    script.write_text('{"events": [{"at_ms": 100, "text": "hello"}]}')
    faults.write_text('{"faults": [{"action": "drop", "audio_ms": 7000}]}')
    given = {
        "--host": "::1",
        "--port": "0",
        "--recognizer": "script",
        "--script": str(script),
        "--faults": str(faults),
        "--knobs": str(knobs),
        "--time-scale": "10",
        "--api-key": "k",
        "--tls-cert": "c.pem",
        "--tls-key": "k.pem",
        "--journal": "j.jsonl",
    }
    assert parse(*(part for pair in given.items() for part in pair)) == EmulatorOptions(
        host="::1",
        port=0,
        recognizer="script",
        script=Script(lines=(say(100, "hello"),)),
        faults=(Fault(action=Drop(), audio_ms=7000),),
        time_scale=10.0,
        api_key="k",
        tls_cert=Path("c.pem"),
        tls_key=Path("k.pem"),
        journal=Path("j.jsonl"),
        knobs=Knobs(bad_key_status=403),
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recognizer": "human"}, "recognizer must be one of"),
        ({"time_scale": 0}, "time_scale must be above 0"),
        ({"tls_cert": Path("c.pem")}, "go together"),
        ({"recognizer": "markers", "script": Script(lines=())}, "takes no Script"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EmulatorOptions(**options)


def test_the_key_is_never_shown() -> None:
    assert "sk-secret" not in repr(EmulatorOptions(api_key="sk-secret"))
