"""The command of each language in turn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from languages.commands import COMMANDS


@pytest.fixture(params=COMMANDS)
def language(request: pytest.FixtureRequest) -> str:
    """Its name."""
    name: str = request.param
    return name


@pytest.fixture
def command(language: str, installed: Callable[[Path], Path]) -> tuple[str, ...]:
    """Its program and what comes before the options; skips where `make clients` has not built it."""
    program, *rest = COMMANDS[language]
    return str(installed(Path(program))), *rest
