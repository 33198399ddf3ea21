from __future__ import annotations

from pathlib import Path

import pytest

from asrgateway_server.cli import main

CONFIG = """
endpoints:
  sg: {url: wss://dashscope-intl.aliyuncs.com}
models:
  - {name: new, like: paraformer-realtime-v2, endpoint: sg}
aliases: {fast: new, safe: [new, paraformer-realtime-v2, embedded]}
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
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
