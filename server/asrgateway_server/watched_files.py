"""Files that the operator may replace while the gateway runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

from asrgateway_server.files import NotAFile, shown, verify_file
from asrgateway_server.settings import SettingsError

log = logging.getLogger(__name__)

T = TypeVar("T")

CHECK_SECONDS: Final = 1.0

# Inode, time and size: a mounted secret is replaced by a link to another file, which may be as old and as long.
_Version = tuple[tuple[int, int, int], ...]


class WatchedFiles(Generic[T]):
    """What some files mean, read again when one of them changes.

    While new files make no sense, the old meaning holds; the log says so once.

    Args:
        paths: The files.
        read: Returns what they mean; raises OSError or ValueError, whose text names no content.
        check_seconds: How long one look at the files is good for.
        clock: Monotonic seconds.

    Attributes:
        problem: Why the files are of no use now; empty while they are.

    Raises:
        SettingsError: They make no sense from the start.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        read: Callable[[], T],
        check_seconds: float = CHECK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._paths = tuple(paths)
        self._read = read
        self._check_seconds = check_seconds
        self._clock = clock
        self._checked_at = clock()
        self.problem = ""
        try:
            self._version = self._look()
            self._meaning = read()
        except (OSError, ValueError) as error:
            raise SettingsError(_told(error)) from None

    def current(self, *, at_once: bool = False) -> T:
        """Return what the files mean now; may be called from any thread.

        Args:
            at_once: Look at them whenever the last look was.
        """
        now = self._clock()
        if at_once or now - self._checked_at >= self._check_seconds:
            self._checked_at = now
            self._check()
        return self._meaning

    def _check(self) -> None:
        try:
            version = self._look()
            if version == self._version:
                return
            # Before the reading, so that a change in the middle of it is seen the next time.
            self._version = version
            self._meaning = self._read()
        except (OSError, ValueError) as error:
            if isinstance(error, OSError):
                self._version = ()  # It may come back as it was.
            self._report(_told(error))
        else:
            self.problem = ""
            log.info("files read again", extra={"files": ", ".join(str(path) for path in self._paths)})

    def _report(self, problem: str) -> None:
        # A file that is gone is missed at every look.
        if problem != self.problem:
            self.problem = problem
            log.warning("changed files are unusable, what they held before stays in force", extra={"problem": problem})

    def _look(self) -> _Version:
        states = [path.stat() for path in self._paths]
        for path, state in zip(self._paths, states, strict=True):
            verify_file(path, state)  # A pipe would be waited for, and with it every call.
        return tuple((state.st_ino, state.st_mtime_ns, state.st_size) for state in states)


def _told(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"{shown(error.filename)} cannot be read: {error.strerror}"
    if isinstance(error, NotAFile):
        return f"{shown(error.path)} {error}"
    return str(error)
