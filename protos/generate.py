"""Write the Python stubs of the contract and of Riva's messages, or check that the committed ones are fresh.

Run by `make protos` and `make check` in an environment that holds exactly `protos/requirements.txt`: stubs of that
generator import on every protobuf from 6.31.1 to 7.x, those of a newer one do not.
"""

from __future__ import annotations

import argparse
import filecmp
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
ROOT = PROTOS.parent
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")
MESSAGES = ("python_out", "mypy_out")
SERVICES = ("grpc_python_out", "mypy_grpc_out")


@dataclass(frozen=True)
class Package:
    """Where the files of a package are, where their stubs go, and which."""

    sources: Path
    files: str
    stubs: Path
    outputs: Sequence[str]
    pool: str


OWN_POOL = "from google.protobuf import descriptor_pool as _descriptor_pool"
PACKAGES = (
    Package(PROTOS, "asrgateway/**/*", ROOT / "clients" / "python", (*MESSAGES, *SERVICES), OWN_POOL),
    Package(
        ROOT / "server",
        "asrgateway_server/riva_api/*",
        ROOT / "server",
        MESSAGES,
        "from asrgateway_server.riva_api import pool as _descriptor_pool",
    ),
)


def generate(package: Package, target: Path) -> None:
    """Write the stubs of a package's proto files below ``target``."""
    well_known = resources.files("grpc_tools") / "_proto"
    sources = sorted(
        str(path.relative_to(package.sources))
        for path in package.sources.glob(package.files)
        if path.suffix == ".proto"
    )
    plugin = Path(sys.executable).with_name("protoc-gen-mypy")
    grpc_plugin = Path(sys.executable).with_name("protoc-gen-mypy_grpc")
    status = protoc.main(
        [
            "protoc",
            f"--proto_path={package.sources}",
            f"--proto_path={well_known}",
            f"--plugin=protoc-gen-mypy={plugin}",
            f"--plugin=protoc-gen-mypy_grpc={grpc_plugin}",
            *(f"--{name}={'quiet:' if 'mypy' in name else ''}{target}" for name in package.outputs),
            *sources,
        ]
    )
    if status:
        sys.exit(f"protoc ended with status {status}")
    for path in stubs(package, target):
        code = (target / path).read_text()
        (target / path).write_text(code.replace(OWN_POOL, package.pool))


def stubs(package: Package, root: Path) -> set[Path]:
    """Return the paths of all generated files of a package below ``root``, relative to it."""
    return {path.relative_to(root) for path in root.glob(package.files) if path.name.endswith(SUFFIXES)}


def stale(package: Package) -> list[str]:
    """Return the stubs that differ from what the generator would write now."""
    with tempfile.TemporaryDirectory() as directory:
        fresh = Path(directory)
        generate(package, fresh)
        either = stubs(package, package.stubs) | stubs(package, fresh)
        return sorted(
            str(path)
            for path in either
            if not ((package.stubs / path).is_file() and (fresh / path).is_file())
            or not filecmp.cmp(package.stubs / path, fresh / path, shallow=False)
        )


def main() -> None:
    """Generate, or with ``--check`` compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a stub is not fresh")
    if not parser.parse_args().check:
        for package in PACKAGES:
            generate(package, package.stubs)
    elif names := [name for package in PACKAGES for name in stale(package)]:
        sys.exit(f"not fresh, run `make protos`: {', '.join(names)}")


if __name__ == "__main__":
    main()
