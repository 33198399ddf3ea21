from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from asrgateway_server.admission.client_identity import ClientIdentity
from asrgateway_server.admission.keys import ClientKeys, hashed_line
from asrgateway_server.errors import Unauthenticated
from asrgateway_server.metrics import Metrics
from asrgateway_server.settings import SettingsError

KEY = "correct-horse-battery"
OTHER = "another-key-of-someone"


def keys(folder: Path, *lines: str, metrics: Metrics | None = None) -> ClientKeys:
    return ClientKeys(written(folder, *lines), metrics or Metrics(CollectorRegistry()), check_seconds=0.0)


def written(folder: Path, *lines: str) -> Path:
    path = folder / "keys"
    path.write_text("\n".join(lines) + "\n")
    return path


def names(known: ClientKeys, *shown: str) -> list[str | None]:
    """The name of each key, None for those that the file does not hold."""
    return [holder.name if (holder := known.holder_of(key)) else None for key in shown]


def problems(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("asrgateway_api_keys_file_problems")


def test_a_line_holds_the_hash_and_the_name() -> None:
    assert (
        hashed_line(KEY, "team-a") == "sha256:62249369389075490555a758353aec61500c6218fa597252d52dc4bd0148f12d team-a"
    )


def test_a_key_that_is_in_the_file_has_its_name(tmp_path: Path) -> None:
    known = keys(tmp_path, "# the teams", hashed_line(KEY, "team-a"), "", hashed_line(OTHER))
    assert names(known, KEY, OTHER) == ["team-a", ""]


@pytest.mark.parametrize("key", ["", "correct-horse-batterz", "correct-horse-batter", KEY.upper(), f"{KEY} "])
def test_another_key_is_not_known(tmp_path: Path, key: str) -> None:
    assert keys(tmp_path, hashed_line(KEY)).holder_of(key) is None


def test_the_hash_itself_is_no_key(tmp_path: Path) -> None:
    line = hashed_line(KEY)
    assert keys(tmp_path, line).holder_of(line.removeprefix("sha256:")) is None


def test_an_empty_file_has_no_key(tmp_path: Path) -> None:
    assert keys(tmp_path).holder_of(KEY) is None


def test_keys_change_with_the_file(tmp_path: Path) -> None:
    known = keys(tmp_path, hashed_line(KEY))
    written(tmp_path, hashed_line(OTHER, "team-b"))
    assert names(known, KEY, OTHER) == [None, "team-b"]


BAD_LINES = [KEY, "sha256:abc", f"sha256:{'g' * 64}", f"sha256:{'a' * 64} two names", "md5:1", "\x00", "\ufffd"]


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_file_without_a_valid_line_stops_the_start_and_is_not_shown(tmp_path: Path, line: str) -> None:
    with pytest.raises(SettingsError, match=r"keys: line 2 is not `sha256:HASH`") as caught:
        keys(tmp_path, "# the teams", line)
    assert line not in str(caught.value)


def test_a_binary_file_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"keys: line 1 is not `sha256:HASH`"):
        ClientKeys(tmp_path / "keys", Metrics(CollectorRegistry()))


def test_a_pipe_stops_the_start(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "keys")
    with pytest.raises(SettingsError, match=r"keys is no file but a pipe$"):
        ClientKeys(tmp_path / "keys", Metrics(CollectorRegistry()))


# A file with mistakes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_bad_line_leaves_the_others_valid_and_is_reported_by_its_number(
    tmp_path: Path, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics(CollectorRegistry())
    assert names(keys(tmp_path, hashed_line(OTHER, "team-b"), line, metrics=metrics), OTHER) == ["team-b"]
    (record,) = caplog.records
    assert (record.levelno, vars(record)["lines"]) == (logging.WARNING, [2])
    assert line not in str(vars(record))
    assert problems(metrics) == 1


def test_a_bad_line_never_revives_a_key_that_was_removed_with_it(tmp_path: Path) -> None:
    metrics = Metrics(CollectorRegistry())
    known = keys(tmp_path, hashed_line(KEY, "team-a"), hashed_line(OTHER, "team-b"), metrics=metrics)
    assert problems(metrics) == 0
    written(tmp_path, hashed_line(OTHER, "team-b"), "sha256:oops", "oops")
    assert names(known, KEY, OTHER) == [None, "team-b"]
    assert problems(metrics) == 2
    written(tmp_path, "oops")
    assert names(known, KEY, OTHER) == [None, None]
    written(tmp_path, hashed_line(OTHER))
    assert problems(metrics) == 0


@pytest.mark.parametrize("content", [b"\xff\xfe\n", b"\x00" * 10_000], ids=["no text", "zeros"])
def test_binary_bytes_never_revive_a_key(tmp_path: Path, content: bytes) -> None:
    known = keys(tmp_path, hashed_line(KEY))
    (tmp_path / "keys").write_bytes(content + hashed_line(OTHER, "team-b").encode())
    assert names(known, KEY) == [None]


def test_a_missing_file_leaves_the_keys_and_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(CollectorRegistry())
    known, path = keys(tmp_path, hashed_line(KEY, "team-a"), metrics=metrics), tmp_path / "keys"
    path.rename(tmp_path / "away")
    assert names(known, KEY, KEY) == ["team-a", "team-a"]
    assert problems(metrics) == 1
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    (tmp_path / "away").rename(path)
    assert problems(metrics) == 0


def test_a_pipe_in_place_of_the_file_blocks_no_call(tmp_path: Path) -> None:
    known = keys(tmp_path, hashed_line(KEY, "team-a"))
    (tmp_path / "keys").unlink()
    os.mkfifo(tmp_path / "keys")
    assert names(known, KEY) == ["team-a"]


# Calls whose key is removed --------------------------------------------------------------------------------------


def held(known: ClientKeys, key: str) -> ClientIdentity:
    holder = known.holder_of(key)
    assert holder is not None
    return holder


async def talked(known: ClientKeys, holder: ClientIdentity) -> None:
    """A call that goes on for ever."""
    async with known.open_call(holder):
        await asyncio.Event().wait()


async def test_a_call_ends_when_its_key_was_missing_at_two_checks(tmp_path: Path) -> None:
    known = keys(tmp_path, hashed_line(KEY), hashed_line(OTHER))
    revoked, other = (asyncio.create_task(talked(known, held(known, key))) for key in (KEY, OTHER))
    await asyncio.sleep(0)
    written(tmp_path, hashed_line(OTHER), "oops")
    for _ in range(3):
        known.end_calls_without_key()
    with pytest.raises(
        Unauthenticated, match=r"^the operator has removed the key of this call; call again with a valid key$"
    ):
        await revoked
    assert not other.done()
    other.cancel()


async def test_half_a_file_ends_no_call(tmp_path: Path) -> None:
    known = keys(tmp_path, hashed_line(KEY))
    async with known.open_call(held(known, KEY)):
        for lines in ([], [hashed_line(KEY)], [], [hashed_line(KEY)]):
            written(tmp_path, *lines)
            known.end_calls_without_key()
            await asyncio.sleep(0)


@pytest.mark.parametrize("key", ["", "short", "a" * 15, "correct horse battery", "ключ-" * 5, "a" * 20 + "\n"])
def test_a_key_that_cannot_be_used_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match=r"^the key ") as caught:
        hashed_line(key)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("name", ["two words", "new\nline", "x" * 65])
def test_a_name_that_cannot_be_used_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^the name may have"):
        hashed_line(KEY, name)
