"""What of the web module and its page needs no browser: run by Node's own test runner."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.mark.parametrize(
    "tests", sorted(FOLDER.glob("*.test.mjs")), ids=lambda path: path.name.removesuffix(".test.mjs")
)
def test_what_needs_no_browser(installed: Callable[[Path], Path], tests: Path) -> None:
    node = installed(Path(shutil.which("node") or "/usr/bin/node"))
    done = subprocess.run([node, "--test", tests], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
