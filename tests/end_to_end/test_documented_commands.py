"""The commands and programs of README and quick start, as a newcomer copies them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from calls import ROOT
from documented_commands import SERVERS, Terminals, fenced, scripts, section

README = ROOT / "README.md"
CHINESE = ROOT / "docs" / "quickstart.zh-CN.md"
BOYS_WORDS = "the boy was there when the sun rose"


def is_server(script: str) -> bool:
    """Whether a block of commands runs until it is stopped."""
    return any(name in script for name in SERVERS)


def quick_start() -> str:
    return section(README, "## Quick start")


@pytest.mark.parametrize("text", [quick_start(), CHINESE.read_text(encoding="utf-8")], ids=["README", "Chinese"])
async def test_the_quick_start_runs_as_it_stands(tmp_path: Path, text: str) -> None:
    blocks = [script for script in scripts(text) if not script.startswith("make ")]
    assert any(map(is_server, blocks))
    async with Terminals(tmp_path) as terminals:
        for script in blocks:
            said = await terminals.run(script)
            assert "asr-client" not in script or BOYS_WORDS in said, f"{script} printed {said}"


async def test_the_python_program_of_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    (program,) = fenced(section(README, "## Call"), "python")
    async with Terminals(tmp_path) as terminals:
        await terminals.run("asr-gateway serve")
        assert (await terminals.run_python(program)).splitlines()[-2:] == [BOYS_WORDS, ""]


async def test_the_python_program_of_the_chinese_page_runs_as_it_stands(tmp_path: Path) -> None:
    (program,) = fenced(CHINESE.read_text(encoding="utf-8"), "python")
    async with Terminals(tmp_path) as terminals:
        await terminals.run("asr-gateway serve --emulator")
        assert (await terminals.run_python(program)).splitlines()[-1] == f"最终： {BOYS_WORDS}"  # noqa: RUF001 as it stands


async def test_the_calls_from_the_shell_run_as_they_stand(installed: Callable[[Path], Path]) -> None:
    installed(Path(sys.executable).with_name("buf"))
    models, recognition = scripts(section(README, "## Call"))
    async with Terminals() as terminals:
        await terminals.run("asr-gateway serve")
        assert '"pocketsphinx"' in await terminals.run(models)
        assert BOYS_WORDS in await terminals.run(recognition)
