from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from asrgateway_server.settings import SettingsError
from asrgateway_server.watched_files import WatchedFiles


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that holds a number."""
    path = tmp_path / "number"
    path.write_text("1")
    return path


def watched(path: Path, *, check_seconds: float = 0.0) -> WatchedFiles[int]:
    return WatchedFiles([path], lambda: int(path.read_text()), check_seconds)


def test_a_change_is_seen(path: Path) -> None:
    number = watched(path)
    assert number.current() == 1
    path.write_text("22")
    assert number.current() == 22


def test_a_change_of_the_same_length_at_the_same_time_is_seen(path: Path, tmp_path: Path) -> None:
    """As Kubernetes replaces a secret: by a link to another file."""
    number, other = watched(path), tmp_path / "other"
    other.write_text("2")
    state = path.stat()
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    other.replace(path)
    assert number.current() == 2


def test_what_did_not_change_is_not_read_again(path: Path) -> None:
    number = watched(path)
    assert number.current() is number.current()


def test_between_two_looks_nothing_is_read(path: Path) -> None:
    number = watched(path, check_seconds=60)
    path.write_text("22")
    assert number.current() == 1


def test_new_files_of_no_use_leave_the_old_meaning_and_one_warning(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    number = watched(path)
    path.write_text("many")
    assert [number.current(), number.current()] == [1, 1]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    path.write_text("333")
    assert number.current() == 333


def test_a_file_that_is_gone_leaves_the_old_meaning(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    number = watched(path)
    path.unlink()
    assert number.current() == 1
    assert "cannot be read: No such file or directory" in vars(caplog.records[0])["problem"]


def test_a_file_that_is_back_is_no_problem_any_more(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    number, away = watched(path), path.with_name("away")
    path.rename(away)
    assert [number.current(), number.current()] == [1, 1]
    assert number.problem.endswith("cannot be read: No such file or directory")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    away.rename(path)
    assert (number.current(), number.problem) == (1, "")


def test_files_of_no_use_are_no_start(path: Path) -> None:
    path.unlink()
    with pytest.raises(SettingsError, match=r"number cannot be read: No such file or directory$"):
        watched(path)
