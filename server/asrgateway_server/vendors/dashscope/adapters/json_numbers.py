"""Numbers as the vendor wants them: a whole one without a fraction, which protobuf's JSON does not distinguish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# Beyond this not every whole number is a float, nor an integer to every reader of JSON.
_MOST: Final = 2.0**53


def whole(value: object) -> object:
    """Return a JSON value in which each whole number is an integer."""
    match value:
        case float() if value.is_integer() and abs(value) <= _MOST:
            return int(value)
        case Mapping():
            return {name: whole(inner) for name, inner in value.items()}
        case list():
            return [whole(inner) for inner in value]
        case _:
            return value


def whole_numbers(record: Mapping[str, object]) -> dict[str, object]:
    """Return an object in which each whole number is an integer."""
    return {name: whole(value) for name, value in record.items()}
