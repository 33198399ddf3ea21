from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from all_settings import Settings
from asrgateway_server import logs
from asrgateway_server.cli import main
from calls import audio, config, recognize
from gateways import open_gateway
from processes import environment

CONFIG = """
endpoints:
  sg: {url: wss://dashscope-intl.aliyuncs.com}
models:
  - {name: new, like: paraformer-realtime-v2, endpoint: sg}
aliases: {fast: new, safe: [new, paraformer-realtime-v2, embedded]}
"""


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DASHSCOPE_API_KEY_FILE_PATH", raising=False)
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-1")


def configured(folder: Path, text: str) -> str:
    path = folder / "gateway.yaml"
    path.write_text(text)
    return str(path)


def test_models_are_listed_with_their_endpoints_and_aliases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--config", configured(tmp_path, CONFIG)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["new", "paraformer", "at", "sg", "ap-southeast-1"] in [line[:5] for line in lines]
    assert ["paraformer-realtime-v2", "paraformer", "at", "dashscope", "cn-beijing"] in [line[:5] for line in lines]
    assert ["embedded", "pocketsphinx", "here"] in [line[:3] for line in lines]
    assert ["fast", "=", "new"] in lines
    assert ["safe", "=", "new,", "then", "paraformer-realtime-v2,", "then", "embedded"] in lines


def test_columns_stay_apart_however_long_a_name_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = "a-model-with-a-name-longer-than-any-that-the-vendor-has-thought-of"
    main(["models", "--config", configured(tmp_path, CONFIG.replace("new", long))])
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines() if line.startswith("a-model")] == [
        [long, "paraformer"]
    ]


def test_a_wrong_setting_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--config", configured(tmp_path, CONFIG.replace("like: para", "like: pra"))]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("asr-gateway: models[0].like: praformer-realtime-v2 is no model of a vendor")


async def test_models_that_a_running_gateway_does_not_call_are_marked(capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = {"dashscope_api_key": "sk-1", "dashscope_url": "ws://127.0.0.1:1", "embedded_workers": 0}
    async with open_gateway(**nowhere) as (gateway, stub):
        for _ in range(5):
            await recognize(stub, [config(model="fun-asr-realtime"), audio(bytes(3200))])
        arguments = ["models", "--gateway", str(gateway.http_address)]
        assert await asyncio.to_thread(main, arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.endswith("circuit open")] == ["fun-asr-realtime"]


def test_an_address_without_a_gateway_is_an_error_that_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--gateway", "127.0.0.1:1"]) == 2
    assert "no gateway answers at http://127.0.0.1:1/metrics" in capsys.readouterr().err


def test_an_address_without_a_port_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["models", "--gateway", "gateway"])
    assert "must be host:port" in capsys.readouterr().err


# A start that fails ------------------------------------------------------------------------------------------------


@pytest.fixture
def said_by_serve(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run `serve` under these settings, and return what it says before it ends with exit code 2."""

    def said(**settings: str) -> str:
        for name, value in environment(**settings).items():
            monkeypatch.setenv(name, value)
        assert main(["serve"]) == 2
        return capsys.readouterr().err

    # The log of the tests stays where it is.
    monkeypatch.setattr(logs, "configure", lambda _level: None)
    return said


@pytest.mark.parametrize("port", ["listen", "health_listen", "http_listen", "web_listen"])
def test_a_port_that_is_taken_is_told(said_by_serve: Callable[..., str], port: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = said_by_serve(embedded_workers="0", **{port: address})
    assert said == (
        f"asr-gateway: cannot listen on {address}: the port is in use, or the address is not one of this machine. "
        f"Choose another one with ASRGATEWAY_{port.upper()}; if a second gateway runs on this machine, "
        "ASRGATEWAY_LISTEN_OFFSET=10 moves all ports of this one\n"
    )


def test_a_value_of_the_wrong_kind_is_told(said_by_serve: Callable[..., str]) -> None:
    assert said_by_serve(drain_seconds="soon").startswith("asr-gateway: ASRGATEWAY_DRAIN_SECONDS: ")


def test_a_model_that_is_not_there_is_told(said_by_serve: Callable[..., str]) -> None:
    assert "default_model: this is no model that is served" in said_by_serve(default_model="parakeet")


# What it says of itself --------------------------------------------------------------------------------------------


def output_of(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command prints that ends by itself."""
    with pytest.raises(SystemExit, match=r"^0$"):
        main(arguments)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "name"), [(["--version"], "asr-gateway"), (["emulator", "--version"], "dashscope_emulator")]
)
def test_each_command_says_its_version(arguments: list[str], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert output_of(*arguments, capsys=capsys) == f"{name} {version('asrgateway-server')}\n"


def test_the_help_of_serve_names_every_port_and_only_settings_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    said = output_of("serve", "--help", capsys=capsys)
    named = set(re.findall(r"ASRGATEWAY_([A-Z_]+)", said))
    known = {name.upper() for name in Settings.model_fields} | {"CONFIG"}
    assert named <= known
    assert named >= {name for name in known if name.endswith("LISTEN")}
