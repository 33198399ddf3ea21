"""Reading the emulator's YAML and JSON files: every key is known, every value has its type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


def read_document(path: Path, kind: type[T]) -> T:
    """Read a YAML file as a record of that type; JSON is YAML.

    Raises:
        ValueError: It cannot be read, or has other keys or values; the message says which.
    """
    try:
        document: object = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is neither YAML nor JSON: {error}") from error
    return as_record(document, kind, where=str(path))


def as_record(value: object, kind: type[T], *, where: str) -> T:
    """Turn the values of a file into a record of that type.

    Raises:
        ValueError: A key is unknown or missing, or a value has another type; the message begins with ``where``.
    """
    try:
        return TypeAdapter(kind).validate_json(json.dumps(value, default=str), strict=True, extra="forbid")
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where}: {place and f'{place}: '}{first['msg']}") from None
