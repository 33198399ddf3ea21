"""What is done on the nodes leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from node.isolation import changed, control_groups, left_over, outside, replace_folders, start_in
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
        process = start_in(groups, *replace_folders(root, ("/var/tmp",), "sh", "-c", program))  # noqa: S108 its own
        try:
            eventually((root / "var" / "tmp" / "started").exists)
            assert len([one for one in left_over(NAME) if one.startswith("process ")]) >= 2
        finally:
            process.kill()
            process.wait(30)
    assert left_over(NAME) == []


def test_a_group_that_cannot_be_removed_keeps_no_other_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.isolation._END_SECONDS", 0)
    with subprocess.Popen(["sleep", "1000"]) as process:
        try:
            with pytest.raises(OSError, match=NAME), control_groups(NAME) as groups:
                (groups[-1] / "cgroup.procs").write_text(str(process.pid), encoding="ascii")
            assert [group for group in groups if group.exists()] == groups[-1:]
        finally:
            process.kill()
    eventually(lambda: not (groups[-1] / "cgroup.procs").read_text(encoding="ascii"))
    groups[-1].rmdir()


def test_without_a_folder_of_its_own_a_command_does_not_begin(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = replace_folders(tmp_path / "file", ("/var/tmp", "/var/log"), "true")  # noqa: S108 its own
    assert subprocess.run(command, capture_output=True, timeout=30, check=False).returncode != 0


def test_what_is_written_outside_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.isolation._OUTSIDE", (tmp_path / "opt", tmp_path / "locks"))
    before = outside()
    assert changed(before) == []
    (tmp_path / "opt").mkdir()
    (tmp_path / "opt" / "bin").touch()
    assert changed(before) == [f"written: {tmp_path}/opt", f"written: {tmp_path}/opt/bin"]
