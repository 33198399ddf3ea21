"""No field of a call's config is without a row, and no row without a proof."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import Descriptor

from asrgateway.v1 import recognition_pb2 as pb
from calls import ROOT
from conformance.options import GATEWAY_OPTIONS, OPTIONS


def fields(message: Descriptor, path: str = "") -> Iterator[str]:
    """The paths of all fields below a message that hold a value."""
    for field in message.fields:
        here = f"{path}{field.name}"
        inner = field.message_type
        if inner is not None and inner.file.package == "asrgateway.v1" and inner.fields:
            yield from fields(inner, f"{here}.")
        else:
            yield here


def is_covered(path: str) -> bool:
    rows = {row.partition("=")[0] for row in OPTIONS} | set(GATEWAY_OPTIONS)
    return any(path == row or path.startswith(f"{row}.") for row in rows)


@pytest.mark.parametrize("path", list(fields(pb.StreamingConfig.DESCRIPTOR)))
def test_every_field_has_a_row(path: str) -> None:
    assert is_covered(path)


@pytest.mark.parametrize("proof", sorted(set(GATEWAY_OPTIONS.values())))
def test_every_row_names_a_test_that_is_there(proof: str) -> None:
    path, _, name = proof.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in names
