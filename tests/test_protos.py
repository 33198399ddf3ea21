"""The contract is clean, and what was generated from it is fresh."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from calls import ROOT


def test_the_generated_modules_are_fresh(installed: Callable[[Path], Path]) -> None:
    generator = installed(ROOT / ".venv" / "protos" / "bin" / "python")
    run = subprocess.run(
        [generator, "protos/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_the_contract_follows_the_rules_of_buf(installed: Callable[[Path], Path]) -> None:
    buf = installed(Path(sys.executable).with_name("buf"))
    run = subprocess.run([buf, "lint", "protos"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "")
