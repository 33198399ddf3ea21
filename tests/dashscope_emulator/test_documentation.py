"""The examples of docs/emulator.md: files that the emulator reads, commands and a program that print what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from calls import ROOT
from dashscope_emulator.faults import load_faults
from dashscope_emulator.knobs import load_knobs
from dashscope_emulator.recognizers.markers import load_markers
from dashscope_emulator.recognizers.script import load_script
from documented_commands import Terminals, fenced, scripts, section

PAGE = ROOT / "docs" / "emulator.md"
BY_EXAMPLE = section(PAGE, "## By example")
OF_TABLES = "".join(section(PAGE, heading) for heading in ("## Recognisers", "## Faults", "## Knobs"))
EXAMPLES = fenced(OF_TABLES, "yaml")
LOADERS = (load_script, load_markers, load_faults, load_knobs)


@pytest.mark.parametrize(
    ("example", "load"), [*zip(EXAMPLES, LOADERS, strict=True)], ids=["script", "markers", "faults", "knobs"]
)
def test_an_example_can_be_loaded(tmp_path: Path, example: str, load: Callable[[Path], object]) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(example, "utf-8")
    assert load(path)


async def test_the_commands_print_what_the_page_says(tmp_path: Path) -> None:
    for example in fenced(BY_EXAMPLE, "yaml"):
        (tmp_path / example.splitlines()[0].removeprefix("# ")).write_text(example, "utf-8")
    commands = BY_EXAMPLE.partition("### A test of your own")[0]
    async with Terminals(tmp_path) as terminals:
        outputs = [await terminals.run(script) for script in scripts(commands)]
    said = [output for output in outputs if output]
    expected = fenced(commands, "text")
    assert [text for text, output in zip(expected, said, strict=True) if text.strip() not in output] == [], said


async def test_the_program_prints_what_the_page_says(tmp_path: Path) -> None:
    page = BY_EXAMPLE.partition("### A test of your own")[2]
    (program,), (expected,) = fenced(page, "python"), fenced(page, "text")
    async with Terminals(tmp_path) as terminals:
        assert expected in await terminals.run_python(program)
