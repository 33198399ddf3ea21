"""Files that the operator names: read at once or not at all, and never shown where they may be a secret."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

_MAX_BYTES: Final = 16 * 1024 * 1024


class NotAFile(ValueError):
    """A path leads to something that could be waited for, or has no end; the message says to what.

    Attributes:
        path: The path, which the message leaves out, since only the reader of the setting knows its name.
    """

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


def read_file(path: Path) -> bytes:
    """Return what a file holds; never wait for a pipe, a device or another process.

    Raises:
        OSError: It cannot be read.
        NotAFile: It is something else, or too large.
    """
    verify_file(path, path.stat())  # Before it is opened, which alone does something to some devices.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 by its descriptor
        verify_file(path, os.fstat(descriptor))  # It may be another one by now.
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise NotAFile(path, f"is too large: more than {_MAX_BYTES} bytes")
    return data


def shown(path: Path | str) -> str:
    """Return how an error names a file: by its whole path; anything else may be the key itself, and is not shown."""
    return str(path) if os.path.isabs(path) else "the file of a relative path"  # noqa: PTH117 a text may be no path


def verify_file(path: Path, state: os.stat_result) -> None:
    """Raise NotAFile if what a path leads to is something else."""
    if not stat.S_ISREG(state.st_mode):
        raise NotAFile(path, f"is no file but a {_KINDS.get(stat.S_IFMT(state.st_mode), 'special file')}")


_KINDS: Final = {
    stat.S_IFDIR: "directory",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}
