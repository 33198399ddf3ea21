"""One JSON object per line."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TextIO

# The attributes that every record has: what else stands in one came as `extra`.
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}

#: What every line of the running call bears; the call's interceptor sets it, later stages add to it.
call_fields: ContextVar[dict[str, Any] | None] = ContextVar("call_fields", default=None)  # Any: JSON values


def add_to_call(**fields: str) -> None:
    """Give the lines of the running call, from here on, further fields."""
    if (known := call_fields.get()) is not None:
        known.update(fields)


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object: time, level, logger, message, and the fields it was given."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **(call_fields.get() or {}),
            **{key: value for key, value in vars(record).items() if key not in _STANDARD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({key: value for key, value in line.items() if value != ""}, default=str, ensure_ascii=False)


def configure(level: str, stream: TextIO = sys.stderr) -> None:
    """Send every record of at least ``level`` to ``stream``, as JSON."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # These tell about every request at INFO; the calls that matter are logged by ourselves.
    for name in ("aiohttp.access", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Tell gRPC's errors from callers that left before they were answered, which it logs with a traceback each."""
    return not record.getMessage().startswith("ExecuteBatchError raised in core by servicer method")
