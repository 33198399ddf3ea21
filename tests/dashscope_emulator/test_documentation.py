"""The examples of docs/emulator.md are files that the emulator reads."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from calls import ROOT
from dashscope_emulator.faults import load_faults
from dashscope_emulator.knobs import load_knobs
from dashscope_emulator.recognizers.markers import load_markers
from dashscope_emulator.recognizers.script import load_script

EXAMPLES = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "emulator.md").read_text("utf-8"), re.DOTALL)
LOADERS = (load_script, load_markers, load_faults, load_knobs)


@pytest.mark.parametrize(
    ("example", "load"), [*zip(EXAMPLES, LOADERS, strict=True)], ids=["script", "markers", "faults", "knobs"]
)
def test_an_example_can_be_loaded(tmp_path: Path, example: str, load: Callable[[Path], object]) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(example, "utf-8")
    assert load(path)
