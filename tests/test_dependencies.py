"""What the distribution declares is what it imports."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from typing import Final

import pytest

from calls import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAME: Final = re.compile(r"^[A-Za-z0-9-]+")
#: Packages that are imported by another name than that of their distribution.
IMPORTED_AS = {
    "googleapis-common-protos": "google.rpc",
    "grpcio": "grpc",
    "grpcio-health-checking": "grpc_health",
    "grpcio-reflection": "grpc_reflection",
    "prometheus-client": "prometheus_client",
    "protobuf": "google.protobuf",
    "pydantic-settings": "pydantic_settings",
    "websocket-client": "websocket",
}


def name_of(requirement: str) -> str:
    """The distribution that a requirement names."""
    match = NAME.match(requirement)
    assert match is not None
    return match[0]


def imports() -> Iterator[str]:
    for path in (ROOT / "server").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module


IMPORTS = frozenset(imports())


@pytest.mark.parametrize("requirement", PROJECT["dependencies"])
def test_what_is_declared_is_imported(requirement: str) -> None:
    module = IMPORTED_AS.get(name_of(requirement), name_of(requirement))
    assert any(name == module or name.startswith(f"{module}.") for name in IMPORTS)


@pytest.mark.parametrize(
    "package",
    ["grpcio", "protobuf", "dashscope", "websocket-client", "prometheus-client", "grpcio-tools", "pytest"],
)
def test_the_packages_that_were_asked_for_are_declared(package: str) -> None:
    development = PROJECT["optional-dependencies"]["dev"]
    assert package in {name_of(requirement) for requirement in (*PROJECT["dependencies"], *development)}
