from __future__ import annotations

from pathlib import Path

import pytest

from asrgateway_server.rpc.keys import CallerKeys, hashed_line
from asrgateway_server.settings import SettingsError

KEY = "correct-horse-battery"
OTHER = "another-key-of-someone"


def keys(folder: Path, *lines: str) -> CallerKeys:
    path = folder / "keys"
    path.write_text("\n".join(lines) + "\n")
    return CallerKeys(path, check_seconds=0.0)


def test_a_line_holds_the_hash_and_the_name() -> None:
    assert (
        hashed_line(KEY, "team-a") == "sha256:62249369389075490555a758353aec61500c6218fa597252d52dc4bd0148f12d team-a"
    )


def test_a_key_that_is_in_the_file_has_its_name(tmp_path: Path) -> None:
    known = keys(tmp_path, "# the teams", hashed_line(KEY, "team-a"), "", hashed_line(OTHER))
    assert (known.name_of(KEY), known.name_of(OTHER)) == ("team-a", "")


@pytest.mark.parametrize("key", ["", "correct-horse-batterz", "correct-horse-batter", KEY.upper(), f"{KEY} "])
def test_any_other_key_has_none(tmp_path: Path, key: str) -> None:
    assert keys(tmp_path, hashed_line(KEY)).name_of(key) is None


def test_the_hash_itself_is_no_key(tmp_path: Path) -> None:
    line = hashed_line(KEY)
    assert keys(tmp_path, line).name_of(line.removeprefix("sha256:")) is None


def test_an_empty_file_lets_nobody_in(tmp_path: Path) -> None:
    assert keys(tmp_path).name_of(KEY) is None


def test_keys_come_and_go_with_the_file(tmp_path: Path) -> None:
    known = keys(tmp_path, hashed_line(KEY))
    (tmp_path / "keys").write_text(f"{hashed_line(OTHER, 'team-b')}\n")
    assert (known.name_of(KEY), known.name_of(OTHER)) == (None, "team-b")


@pytest.mark.parametrize("line", [KEY, "sha256:abc", f"sha256:{'g' * 64}", f"sha256:{'a' * 64} two names", "md5:1"])
def test_a_line_of_another_kind_is_named_and_not_shown(tmp_path: Path, line: str) -> None:
    with pytest.raises(SettingsError, match=r"keys: line 2 is no `sha256:HASH`") as caught:
        keys(tmp_path, hashed_line(KEY), line)
    assert line not in str(caught.value)


def test_a_file_that_is_no_text_is_no_start(tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"keys is no text$"):
        CallerKeys(tmp_path / "keys")


@pytest.mark.parametrize("key", ["", "short", "a" * 15, "correct horse battery", "ключ-" * 5, "a" * 20 + "\n"])
def test_a_key_that_cannot_be_used_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match=r"^the key ") as caught:
        hashed_line(key)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("name", ["two words", "new\nline", "x" * 65])
def test_a_name_that_cannot_be_used_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^the name may have"):
        hashed_line(KEY, name)
