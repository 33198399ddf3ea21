"""Writes the log as one JSON object per line."""

from __future__ import annotations

import json
import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TextIO

# The attributes that every record has; all others came as `extra`.
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}

# Some values come from clients and must not make lines long. The end of a traceback says most.
_LONGEST_VALUE: Final = 1000
_LONGEST_EXCEPTION: Final = 8000
_MOST_ITEMS: Final = 20
_CUT: Final = "…"
# Characters that JSON does not escape, but terminals and line readers interpret: DEL and C1 controls, line and
# paragraph separators, marks that turn the direction of text; and surrogates, which no stream can encode.
_UNSAFE: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")

#: Fields of every line of the running call; the call's interceptor sets them, later stages add to them.
call_fields: ContextVar[dict[str, Any] | None] = ContextVar("call_fields", default=None)  # Any: JSON values


def add_to_call(**fields: str) -> None:
    """Add fields to the following lines of the running call."""
    if (known := call_fields.get()) is not None:
        known.update(fields)


def add_to_task(**fields: int) -> None:
    """Add fields to the following lines of the running asyncio task and of those that it starts."""
    call_fields.set({**(call_fields.get() or {}), **fields})


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object: time, level, logger, message, and the fields of the record.

    Values are limited in length, and have no character that a terminal would interpret.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without a line break."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **(call_fields.get() or {}),
            **{key: value for key, value in vars(record).items() if key not in _STANDARD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)[-_LONGEST_EXCEPTION:]
        values = {key: value if key == "exception" else _bounded(value) for key, value in line.items() if value != ""}
        return _UNSAFE.sub(_escaped, json.dumps(values, ensure_ascii=False))


def _bounded(value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, list | tuple):
        return [_bounded(item) for item in value[:_MOST_ITEMS]]
    text = str(value)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + _CUT


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def configure(level: str, stream: TextIO = sys.stderr) -> None:
    """Send every record of at least ``level`` to ``stream``, as JSON."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # These log every request at INFO; the interceptor logs the calls.
    for name in ("aiohttp.access", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_worth_logging)


def _is_worth_logging(record: logging.LogRecord) -> bool:
    """Drop lines of gRPC that any client can cause.

    They are about clients that left before the answer, with a traceback each, and about headers outside UTF-8, with the
    whole value, which may be a key.
    """
    return not record.getMessage().startswith(
        ("ExecuteBatchError raised in core by servicer method", "Invalid encoding on ")
    )
