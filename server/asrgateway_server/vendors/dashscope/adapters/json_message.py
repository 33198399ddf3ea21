"""A JSON object that the vendor sent, each of its fields checked where it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from asrgateway_server.errors import UpstreamProtocolError

# Any: JSON values of the vendor's messages; each is checked where it is used.
Json = Mapping[str, Any]


def parse(message: str) -> Json:
    """Return the object.

    Raises:
        UpstreamProtocolError: It is none; so does every function here when a field is of the wrong kind.
    """
    try:
        record = json.loads(message)
    except ValueError as error:
        raise UpstreamProtocolError("the vendor sent text that is no JSON") from error
    if not isinstance(record, dict):
        raise UpstreamProtocolError("the vendor sent JSON that is no object")
    return record


def member(record: Json, name: str) -> Json:
    """Return an object within an object."""
    value = record.get(name)
    if not isinstance(value, dict):
        raise UpstreamProtocolError(f"the vendor's message lacks {name!r}")
    return value


def text(record: Json, name: str) -> str:
    """Return a text; empty where it is missing."""
    value = record.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UpstreamProtocolError(f"the vendor's {name} is no text")
    return value


def milliseconds(record: Json, name: str) -> int | None:
    """Return a time; None where it is missing."""
    value = record.get(name)
    if value is not None and not isinstance(value, int):
        raise UpstreamProtocolError(f"the vendor's {name} is no whole number of milliseconds")
    return value
