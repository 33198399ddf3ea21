"""Write the Python stubs of the contract, or check that the committed ones are fresh.

Run by `make protos` and `make check` in an environment that holds exactly `protos/requirements.txt`: stubs of that
generator import on every protobuf from 6.31.1 to 7.x, those of a newer one do not.
"""

from __future__ import annotations

import argparse
import filecmp
import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
STUBS = PROTOS.parent / "clients" / "python"
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")


def generate(target: Path) -> None:
    """Write the stubs of every proto file below ``target``."""
    well_known = resources.files("grpc_tools") / "_proto"
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.glob("asrgateway/**/*.proto"))
    outputs = ("python_out", "mypy_out", "grpc_python_out", "mypy_grpc_out")
    plugin = Path(sys.executable).with_name("protoc-gen-mypy")
    grpc_plugin = Path(sys.executable).with_name("protoc-gen-mypy_grpc")
    status = protoc.main(
        [
            "protoc",
            f"--proto_path={PROTOS}",
            f"--proto_path={well_known}",
            f"--plugin=protoc-gen-mypy={plugin}",
            f"--plugin=protoc-gen-mypy_grpc={grpc_plugin}",
            *(f"--{name}={'quiet:' if 'mypy' in name else ''}{target}" for name in outputs),
            *sources,
        ]
    )
    if status:
        sys.exit(f"protoc ended with status {status}")


def stubs(root: Path) -> set[Path]:
    """Return the paths of all generated files below ``root``, relative to it."""
    return {path.relative_to(root) for path in root.glob("asrgateway/**/*") if path.name.endswith(SUFFIXES)}


def stale() -> list[str]:
    """Return the stubs that differ from what the generator would write now."""
    with tempfile.TemporaryDirectory() as directory:
        fresh = Path(directory)
        generate(fresh)
        either = stubs(STUBS) | stubs(fresh)
        return sorted(
            str(path)
            for path in either
            if not ((STUBS / path).is_file() and (fresh / path).is_file())
            or not filecmp.cmp(STUBS / path, fresh / path, shallow=False)
        )


def main() -> None:
    """Generate, or with ``--check`` compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a stub is not fresh")
    if not parser.parse_args().check:
        generate(STUBS)
    elif names := stale():
        sys.exit(f"not fresh, run `make protos`: {', '.join(names)}")


if __name__ == "__main__":
    main()
