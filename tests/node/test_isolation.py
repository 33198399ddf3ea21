"""What is done on the nodes leaves nothing behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from node.isolation import control_groups, entered, left_over, private
from node.missing import NotHere, check_machine, check_namespaces

NAME = f"asr-gateway-node-test-{os.getpid()}"


@pytest.fixture(autouse=True)
def _namespaces() -> None:
    try:
        check_machine()
        check_namespaces()
    except NotHere as reason:
        pytest.skip(str(reason))


def eventually(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_process_that_left_its_parent_ends_with_the_namespaces(tmp_path: Path) -> None:
    root = tmp_path / NAME
    program = "(setsid sleep 1000 &) && touch /var/tmp/started && exec sleep 1000"
    with control_groups(NAME) as groups:
        process = entered(groups, *private(root, ("/var/tmp",), "sh", "-c", program))  # noqa: S108 its own
        eventually((root / "var" / "tmp" / "started").exists)
        assert len([one for one in left_over(NAME) if one.startswith("process ")]) >= 2
        process.kill()
        process.wait(30)
    assert left_over(NAME) == []
