"""The first sample of each README runs as it stands, but for the address of its gateway."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from calls import ROOT
from languages.commands import run
from languages.recordings import MODEL, scripted_gateway, sentences

CLIENTS = ROOT / "clients"


@pytest.fixture
def tool(installed: Callable[[Path], Path]) -> Callable[[str], str]:
    """Find a program by its name."""
    return lambda name: str(installed(Path(shutil.which(name) or name)))


def write_sample(language: str, target: str, path: Path) -> Path:
    """Write the first sample of a README to a file."""
    page = (CLIENTS / language / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"```{language}\n(.*?)```", page, re.DOTALL)
    assert found is not None
    path.write_text(found[1].replace("127.0.0.1:50051", target), encoding="utf-8")
    return path


async def test_the_sample_in_go_prints_what_was_said(tool: Callable[[str], str], tmp_path: Path) -> None:
    async with scripted_gateway(aliases={"default": MODEL}) as target:
        sample = write_sample("go", target, tmp_path / "main.go")
        ended = await run((tool("go"), "-C", str(CLIENTS / "go"), "run"), sample, standard_input=sentences((2, 1)))
    assert (ended.lines, ended.code) == (["w0 w1", "w2"], 0), ended.errors


async def test_the_sample_in_java_prints_what_was_said(
    tool: Callable[[str], str], installed: Callable[[Path], Path], tmp_path: Path
) -> None:
    library = installed(CLIENTS / "java" / "target" / "asr-client-java.jar")
    async with scripted_gateway(aliases={"default": MODEL}) as target:
        sample = write_sample("java", target, tmp_path / "Example.java")
        ended = await run((tool("java"), "-cp", str(library)), sample, standard_input=sentences((2, 1)))
    assert (ended.lines, ended.code) == (["w0 w1", "w2"], 0), ended.errors
