"""What is read is a file: nothing that could be waited for, and nothing without an end."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from all_settings import Settings
from asrgateway_server.admission.keys import ClientKeys, hashed_line
from asrgateway_server.admission.tls import CertificateFiles
from asrgateway_server.backends.network import tls
from asrgateway_server.files import NotAFile, read_file, shown
from asrgateway_server.metrics import Metrics
from asrgateway_server.settings import SettingsError
from asrgateway_server.vendors.dashscope.credentials import KeyFile
from asrgateway_server.watched_files import WatchedFiles


def a_pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def a_directory(path: Path) -> Path:
    path.mkdir()
    return path


def a_device(path: Path) -> Path:
    path.symlink_to("/dev/zero")
    return path


def a_socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    return path


Make = Callable[[Path], Path]
KINDS: dict[str, Make] = {"pipe": a_pipe, "directory": a_directory, "device": a_device, "socket": a_socket}


@pytest.fixture(params=sorted(KINDS))
def other(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """Something that is no file, and what it is called."""
    return KINDS[request.param](tmp_path / "other"), request.param


def test_a_file_is_read_through_links(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"all of it")
    (tmp_path / "link").symlink_to("file")
    assert read_file(tmp_path / "link") == b"all of it"


def test_what_is_no_file_is_refused_at_once(other: tuple[Path, str]) -> None:
    path, name = other
    with pytest.raises(NotAFile, match=f"^is no file but a {name}$"):
        read_file(path)


def test_a_file_without_end_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(NotAFile, match="too large"):
        read_file(tmp_path / "file")


def test_only_a_whole_path_is_shown() -> None:
    assert shown("/etc/keys") == "/etc/keys"
    assert "sk-secret" not in shown("sk-secret")


# Every file that the operator names -------------------------------------------------------------------------------


def test_callers_keys_come_from_a_file(other: tuple[Path, str]) -> None:
    path, name = other
    with pytest.raises(SettingsError, match=f"^{path} is no file but a {name}$"):
        ClientKeys(path, Metrics(CollectorRegistry()))


def test_certificates_come_from_a_file(other: tuple[Path, str]) -> None:
    path, name = other
    files = CertificateFiles(path, path, None)
    with pytest.raises(SettingsError, match=f"^{path} is no file but a {name}$"):
        WatchedFiles(files.paths, files.read)


def test_the_vendors_key_comes_from_a_file(other: tuple[Path, str]) -> None:
    path, name = other
    with pytest.raises(SettingsError, match=f"^{path} is no file but a {name}$"):
        KeyFile(path)
    with pytest.raises(
        SettingsError, match=f"^DASHSCOPE_API_KEY_FILE_PATH names {path}, which is no file but a {name}"
    ):
        Settings.from_environment({"DASHSCOPE_API_KEY_FILE_PATH": str(path)})


def test_certificates_of_the_vendor_come_from_a_file(other: tuple[Path, str]) -> None:
    path, name = other
    with pytest.raises(SettingsError, match=f"^upstream_ca_file: {path} is no file but a {name}$"):
        tls(str(path))


def test_the_configuration_comes_from_a_file(other: tuple[Path, str]) -> None:
    with pytest.raises(SettingsError, match=r"which is no file$"):
        Settings.from_environment({"ASRGATEWAY_CONFIG": str(other[0])})


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())
def test_a_file_that_becomes_something_else_leaves_the_keys_that_were(make: Make, tmp_path: Path) -> None:
    path, key = tmp_path / "keys", "k" * 20
    path.write_text(hashed_line(key))
    keys = ClientKeys(path, Metrics(CollectorRegistry()), check_seconds=0.0)
    path.unlink()
    make(path)
    assert keys.holder_of(key) is not None


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())
async def test_a_file_that_becomes_something_else_leaves_the_vendors_key_that_was(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("sk-1")
    key = KeyFile(path, check_seconds=0.0)
    path.unlink()
    make(path)
    assert await key.key() == "sk-1"
