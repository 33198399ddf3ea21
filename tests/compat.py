"""Try the Python client on the oldest and the newest libraries that it supports, with every warning an error.

Run by `make compat`. Each set of libraries stands in tests/compat/ and gets a throw-away environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).resolve().parent
CLIENT: Final = TESTS.parent / "clients" / "python"
UV: Final = Path(sys.executable).with_name("uv")
SETS: Final = ("oldest", "newest")
PROGRAM: Final = TESTS / "compat_program.py"


def install(environment: Path, requirements: Path) -> Path:
    """Make an environment of exactly these libraries and the client; return its Python."""
    venv.create(environment)
    python = environment / "bin" / "python"
    pip = [str(UV), "pip", "install", "--quiet", "--python", str(python)]
    subprocess.run([*pip, "--require-hashes", "--requirement", str(requirements)], check=True)
    subprocess.run([*pip, "--no-deps", str(CLIENT)], check=True)
    return python


def main() -> None:
    """Try every set; exit 1 at the first that does not work."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    for name in SETS:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="asrgateway-compat-") as directory:
            python = install(Path(directory) / name, TESTS / "compat" / f"{name}.txt")
            tried = subprocess.run(
                [python, "-W", "error", str(PROGRAM)],
                cwd=directory,
                env=environ,
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            )
        if tried.returncode:
            sys.exit(f"{name}: the client does not work on tests/compat/{name}.txt")
        seconds = time.monotonic() - began
        print(f"{name}: {tried.stdout}: calls made and closed without a warning ({seconds:.1f} s)")


if __name__ == "__main__":
    main()
