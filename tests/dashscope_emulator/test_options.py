"""Options in code and on the command line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from dashscope_emulator import EmulatorOptions, Knobs
from dashscope_emulator.faults import Drop, Fault
from dashscope_emulator.options import add_arguments, options_from
from dashscope_emulator.recognizers.script import Script, say


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
def test_contradictory_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EmulatorOptions(**options)


def test_the_key_is_never_shown() -> None:
    assert "sk-secret" not in repr(EmulatorOptions(api_key="sk-secret"))
