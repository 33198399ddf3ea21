"""Who may call: the operator's file of hashed keys, and the interceptor that asks every call for one."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

import grpc

from asrgateway_server.errors import Unauthenticated
from asrgateway_server.metrics import SERVICE, Metrics
from asrgateway_server.rpc.status import code_of, details_of
from asrgateway_server.rpc.watched_files import CHECK_SECONDS, WatchedFiles

#: The name of the key that the running call showed; empty for a key without a name.
caller: ContextVar[str] = ContextVar("caller", default="")

# Shorter ones can be guessed from their hash.
_SHORTEST_KEY: Final = 16
_LINE: Final = re.compile(r"sha256:(?P<digest>[0-9a-f]{64})(?:\s+(?P<name>\S+))?")
_NAME: Final = re.compile(r"[\w.@-]{1,64}")
_BEARER: Final = "bearer "


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


class CallerKeys:
    """The keys that let callers in, read again when their file changes.

    Args:
        path: One line per key, as ``hashed_line`` makes it; blank lines and those that begin with # do not count.
        check_seconds: How long one look at the file is good for.

    Raises:
        SettingsError: The file cannot be read, or a line is none of these.
    """

    def __init__(self, path: Path, check_seconds: float = CHECK_SECONDS) -> None:
        self._path = path
        self._names = WatchedFiles([path], self._read, check_seconds)

    def name_of(self, key: str) -> str | None:
        """Return the name that the file gives a key, which may be empty; None if it lets nobody in."""
        digest = _digest(key)
        found = None
        # Every line is compared, each in constant time, so that the time tells nothing.
        for known, name in self._names.current():
            if hmac.compare_digest(known, digest):
                found = name
        return found

    def _read(self) -> tuple[tuple[str, str], ...]:
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            raise ValueError(f"{self._path} is no text") from None
        return tuple(
            self._parse(number, line)
            for number, line in enumerate(map(str.strip, lines), start=1)
            if line and not line.startswith("#")
        )

    def _parse(self, number: int, line: str) -> tuple[str, str]:
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(
                f"{self._path}: line {number} is no `sha256:HASH` with or without a name; "
                "`asr-gateway hash-key` prints one"
            )
        return match["digest"], match["name"] or ""


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
        key = _key_of(handler_call_details.invocation_metadata or ())
        name = self._keys.name_of(key) if key else None
        if name is not None:
            caller.set(name)
            return handler
        self._rejected.inc()
        return _refusing(
            handler, is_ours=handler_call_details.method.startswith(f"/{SERVICE}/"), is_key_shown=bool(key)
        )


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

    make = grpc.stream_stream_rpc_method_handler if handler.stream_stream else grpc.unary_unary_rpc_method_handler
    return make(refuse, handler.request_deserializer, handler.response_serializer)


def _key_of(metadata: Sequence[tuple[str, str | bytes]]) -> str:
    values = {name: value for name, value in metadata if isinstance(value, str)}
    authorization = values.get("authorization", "")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip()
    return values.get("x-api-key", "").strip()


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
