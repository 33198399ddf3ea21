"""Who may call: the operator's file of hashed keys, and the interceptor that asks every call for one."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import grpc

from asrgateway_server.early_end import EarlyEnd
from asrgateway_server.errors import Unauthenticated
from asrgateway_server.files import read_file
from asrgateway_server.grpc_api.client_identity import ClientIdentity, key_holder
from asrgateway_server.grpc_api.status import code_of, details_of
from asrgateway_server.metrics import SERVICE, Metrics
from asrgateway_server.settings import SettingsError
from asrgateway_server.watched_files import CHECK_SECONDS, WatchedFiles

log = logging.getLogger(__name__)

# Shorter ones can be guessed from their hash.
_SHORTEST_KEY: Final = 16
_LINE: Final = re.compile(r"sha256:(?P<digest>[0-9a-f]{64})(?:\s+(?P<name>\S+))?")
_NAME: Final = re.compile(r"[\w.@-]{1,64}")
_BEARER: Final = "bearer "
#: What may stand around a header's value (RFC 9110, 5.6.3). Python's own blanks are more, some of them bytes outside
#: UTF-8, which gRPC hands on as the letters of Latin-1.
BLANKS: Final = " \t"
# More of them say no more.
_BAD_LINES_NAMED: Final = 10


def hashed_line(key: str, name: str = "") -> str:
    """Return the line of the file that lets a key in.

    Raises:
        ValueError: The key is too short, or it or the name has characters that do not fit.
    """
    if len(key) < _SHORTEST_KEY:
        raise ValueError(f"the key has {len(key)} characters; at least {_SHORTEST_KEY} keep it from being guessed")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ValueError("the key must be of ASCII letters, digits and signs, without blanks")
    if name and not _NAME.fullmatch(name):
        raise ValueError("the name may have up to 64 letters, digits and the signs . _ @ -")
    return f"sha256:{_digest(key)} {name}".rstrip()


@dataclass(frozen=True, slots=True)
class _Keys:
    """What the file holds.

    Attributes:
        names: The name of each key, which may be empty, by the hash of the key.
        bad_lines: Numbers of the lines that are no keys.
    """

    names: tuple[tuple[str, str], ...]
    bad_lines: tuple[int, ...]


class CallerKeys:
    """The keys that let callers in, read again when their file changes.

    A line that is no key lets nobody in, and keeps nobody out: it is reported, and the others hold. Only a file that
    cannot be read leaves the old keys in force.

    Args:
        path: One line per key, as ``hashed_line`` makes it; blank lines and those that begin with # do not count.
        metrics: Has how many lines are of no use.
        check_seconds: How long one look at the file is good for.

    Raises:
        SettingsError: The file cannot be read, or all its lines are of no use.
    """

    def __init__(self, path: Path, metrics: Metrics, check_seconds: float = CHECK_SECONDS) -> None:
        self._path = path
        self._check_seconds = check_seconds
        self._file = WatchedFiles([path], self._read, check_seconds)
        keys = self._file.current()
        if keys.bad_lines and not keys.names:
            raise SettingsError(
                f"{path}: line {keys.bad_lines[0]} is no `sha256:HASH` with or without a name; "
                "`asr-gateway hash-key` prints one"
            )
        metrics.api_keys_file_problems.set_function(self._problems)
        self._open: dict[str, set[EarlyEnd]] = {}
        self._missing: set[str] = set()

    def holder_of(self, key: str) -> ClientIdentity | None:
        """Return who holds a key; None if the file lets nobody in with it."""
        digest = _digest(key)
        found = None
        # Every line is compared, each in constant time, so that the time tells nothing.
        for known, name in self._file.current().names:
            if hmac.compare_digest(known, digest):
                found = ClientIdentity(id=digest, name=name)
        return found

    @asynccontextmanager
    async def open_call(self, holder: ClientIdentity) -> AsyncIterator[None]:
        """Keep a call that its key has let in; ``end_calls_without_key`` ends it when the key is no more.

        Raises:
            Unauthenticated: It was ended.
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

    async def watch(self) -> NoReturn:
        """Look at the file for as long as the gateway runs."""
        while True:
            await asyncio.sleep(self._check_seconds)
            self.end_calls_without_key()

    def end_calls_without_key(self) -> None:
        """End the open calls whose key has been missing at this look and at the one before.

        A file that is written in place may be read while half of it is there.
        """
        known = {digest for digest, _ in self._file.current().names}
        missing = self._open.keys() - known
        for digest in missing & self._missing:
            calls = self._open[digest]
            if ended := sum(call.end(Unauthenticated("the key of this call was taken back")) for call in calls):
                log.warning("calls ended whose key was taken back", extra={"calls": ended})
        self._missing = missing

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
                "lines of the keys file are of no use, the others hold",
                extra={"file": str(self._path), "lines": bad_lines[:_BAD_LINES_NAMED], "bad_lines": len(bad_lines)},
            )
        return _Keys(tuple(names), tuple(bad_lines))


class KeyInterceptor(grpc.aio.ServerInterceptor):
    """Lets only calls pass that show a key: ``authorization: Bearer KEY`` or ``x-api-key: KEY``."""

    def __init__(self, keys: CallerKeys, metrics: Metrics) -> None:
        self._keys = keys
        self._rejected = metrics.streams_rejected.labels("auth")

    async def intercept_service(
        self,
        # Any: handlers of whatever messages the method has; gRPC gives them no narrower common type.
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the method's handler, or one that refuses."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        is_ours = handler_call_details.method.startswith(f"/{SERVICE}/")
        key = _key_of(handler_call_details.invocation_metadata or ())
        holder = self._keys.holder_of(key) if key else None
        if holder is not None:
            key_holder.set(holder)
            return self._held(handler, handler.stream_stream, holder) if is_ours and handler.stream_stream else handler
        self._rejected.inc()
        return _refusing(handler, is_ours=is_ours, is_key_shown=bool(key))

    def _held(
        self, handler: grpc.RpcMethodHandler[Any, Any], method: Any, holder: ClientIdentity
    ) -> grpc.RpcMethodHandler[Any, Any]:
        async def held(request: Any, context: Any) -> Any:
            async with self._keys.open_call(holder):
                return await method(request, context)

        return grpc.stream_stream_rpc_method_handler(held, handler.request_deserializer, handler.response_serializer)


def _refusing(
    handler: grpc.RpcMethodHandler[Any, Any], *, is_ours: bool, is_key_shown: bool
) -> grpc.RpcMethodHandler[Any, Any]:
    error = Unauthenticated(
        "the key is not known here"
        if is_key_shown
        else "this gateway asks for a key: send the metadata `authorization: Bearer KEY`"
    )

    async def refuse(_request: Any, context: Any) -> None:
        if is_ours:
            raise error  # Our own calls are counted and logged by `CallInterceptor`, which ends them.
        await context.abort(code_of(error), error.message, details_of(error))

    # As a stream of requests, so that none is waited for.
    make = grpc.stream_stream_rpc_method_handler if handler.stream_stream else grpc.stream_unary_rpc_method_handler
    return make(refuse, handler.request_deserializer, handler.response_serializer)


def _key_of(metadata: Sequence[tuple[str, str | bytes]]) -> str:
    values = {name: value for name, value in metadata if isinstance(value, str)}
    authorization = values.get("authorization", "")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip(BLANKS)
    return values.get("x-api-key", "").strip(BLANKS)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
