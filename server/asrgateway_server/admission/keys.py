"""Clients' keys: the operator's file of hashed keys."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from asrgateway_server.admission.client_identity import ClientIdentity
from asrgateway_server.early_end import EarlyEnd
from asrgateway_server.errors import Unauthenticated
from asrgateway_server.files import read_file
from asrgateway_server.metrics import Metrics
from asrgateway_server.settings import SettingsError
from asrgateway_server.watched_files import CHECK_SECONDS, WatchedFiles

log = logging.getLogger(__name__)

# Shorter ones can be guessed from their hash.
_SHORTEST_KEY: Final = 16
_LINE: Final = re.compile(r"sha256:(?P<digest>[0-9a-f]{64})(?:\s+(?P<name>\S+))?")
_NAME: Final = re.compile(r"[\w.@-]{1,64}")
#: Blanks that may surround a header's value (RFC 9110, 5.6.3). Python's ``strip`` removes more, among them bytes
#: outside UTF-8, which gRPC passes on as letters of Latin-1.
BLANKS: Final = " \t"
# The log names no more lines than this.
_BAD_LINES_NAMED: Final = 10


def hashed_line(key: str, name: str = "") -> str:
    """Return the line of the file for a key.

    Raises:
        ValueError: The key is too short, or it or the name has characters that do not fit.
    """
    if len(key) < _SHORTEST_KEY:
        raise ValueError(
            f"the key has {len(key)} characters; use at least {_SHORTEST_KEY}, so that it cannot be guessed"
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ValueError("the key must consist of ASCII letters, digits and signs, without blanks")
    if name and not _NAME.fullmatch(name):
        raise ValueError("the name may have up to 64 letters, digits and the signs . _ @ -")
    return f"sha256:{_digest(key)} {name}".rstrip()


@dataclass(frozen=True, slots=True)
class _Keys:
    """The content of the file.

    Attributes:
        names: The name of each key, which may be empty, by the hash of the key.
        bad_lines: Numbers of the lines that are not keys.
    """

    names: tuple[tuple[str, str], ...]
    bad_lines: tuple[int, ...]


class ClientKeys:
    """The keys of clients, read again when their file changes.

    A line that is not a key is reported, and the other lines apply. Only while the file cannot be read, the old keys
    stay valid.

    Args:
        path: One line per key, as ``hashed_line`` makes it; blank lines and those that begin with # do not count.
        metrics: Exports the number of invalid lines.
        check_seconds: How often the file is checked.

    Raises:
        SettingsError: The file cannot be read, or none of its lines is a key.
    """

    def __init__(self, path: Path, metrics: Metrics, check_seconds: float = CHECK_SECONDS) -> None:
        self._path = path
        self._check_seconds = check_seconds
        self._file = WatchedFiles([path], self._read, check_seconds)
        keys = self._file.current()
        if keys.bad_lines and not keys.names:
            raise SettingsError(
                f"{path}: line {keys.bad_lines[0]} is not `sha256:HASH` with or without a name; "
                "`asr-gateway hash-key` prints one"
            )
        metrics.api_keys_file_problems.set_function(self._problems)
        self._open: dict[str, set[EarlyEnd]] = {}
        self._missing: set[str] = set()

    def holder_of(self, key: str) -> ClientIdentity | None:
        """Return the client that has a key; None if the key is not in the file."""
        digest = _digest(key)
        found = None
        # Every line is compared, each in constant time, so that the time shows nothing.
        for known, name in self._file.current().names:
            if hmac.compare_digest(known, digest):
                found = ClientIdentity(id=digest, name=name)
        return found

    @asynccontextmanager
    async def open_call(self, holder: ClientIdentity) -> AsyncIterator[None]:
        """Keep a call that was admitted by its key; ``end_calls_without_key`` ends it when the key is removed.

        Raises:
            Unauthenticated: The call was ended so.
        """
        call = EarlyEnd()
        self._open.setdefault(holder.id, set()).add(call)
        try:
            async with call:
                yield
        finally:
            calls = self._open[holder.id]
            calls.discard(call)
            if not calls:
                del self._open[holder.id]

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Check the file regularly."""
        watching = asyncio.create_task(self._watch(), name="watch keys")
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    def end_calls_without_key(self) -> None:
        """End the open calls whose key has been missing at this check and at the one before.

        A file that is written in place may be read half-written.
        """
        known = {digest for digest, _ in self._file.current().names}
        missing = self._open.keys() - known
        for digest in missing & self._missing:
            calls = self._open[digest]
            if ended := sum(
                call.end(Unauthenticated("the operator has removed the key of this call; call again with a valid key"))
                for call in calls
            ):
                log.warning("calls ended because their key was removed", extra={"calls": ended})
        self._missing = missing

    async def _watch(self) -> NoReturn:
        while True:
            await asyncio.sleep(self._check_seconds)
            self.end_calls_without_key()

    def _problems(self) -> float:
        return len(self._file.current().bad_lines) + bool(self._file.problem)

    def _read(self) -> _Keys:
        lines = [line.strip() for line in read_file(self._path).decode(errors="replace").splitlines()]
        names, bad_lines = [], []
        for number, line in enumerate(lines, start=1):
            if match := _LINE.fullmatch(line):
                names.append((match["digest"], match["name"] or ""))
            elif line and not line.startswith("#"):
                bad_lines.append(number)
        if bad_lines:
            log.warning(
                "lines of the keys file are invalid; the others apply",
                extra={"file": str(self._path), "lines": bad_lines[:_BAD_LINES_NAMED], "bad_lines": len(bad_lines)},
            )
        return _Keys(tuple(names), tuple(bad_lines))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
