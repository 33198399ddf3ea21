"""Responses in protobuf JSON, fast: json_format takes 0.05 ms for a result, 0.4 ms with 20 words; this a third of it.

What each field needs is found once for each type of message. It covers the types that responses have; a test compares
every field with json_format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, TypeAlias

import msgspec
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.internal.type_checkers import ToShortestFloat
from google.protobuf.message import Message

# Any: a field's value, whose type only its descriptor knows, to a value of JSON.
_Convert: TypeAlias = Callable[[Any], Any]
# Any: descriptors are of the library's C part, which has no types of its own.
_Field: TypeAlias = Any

_MS_NANOS: Final = 1_000_000


def to_json(message: Message) -> bytes:
    """Return a message as UTF-8: names in camelCase, and no fields that have their default."""
    return msgspec.json.encode(_values(message))


def _values(message: Message) -> dict[str, object]:
    fields = _fields(type(message))  # type: ignore[arg-type] # a class can be hashed, whatever its instances can
    found = {}
    for field, value in message.ListFields():
        name, convert = fields[field.number]
        found[name] = value if convert is None else convert(value)
    return found


@cache
def _fields(kind: type[Message]) -> Mapping[int, tuple[str, _Convert | None]]:
    return {field.number: (field.json_name, _convert(field)) for field in kind.DESCRIPTOR.fields}


def _convert(field: _Field) -> _Convert | None:
    """Return what makes JSON of a field's value; None where it is JSON already."""
    one = _convert_one(field)
    if not field.is_repeated:
        return one
    return list if one is None else lambda values: [one(value) for value in values]


def _convert_one(field: _Field) -> _Convert | None:
    match field.type:
        case FieldDescriptor.TYPE_MESSAGE:
            return _duration if field.message_type.full_name == Duration.DESCRIPTOR.full_name else _values
        case FieldDescriptor.TYPE_ENUM:
            names = {number: value.name for number, value in field.enum_type.values_by_number.items()}
            return lambda number: names.get(number, number)
        case FieldDescriptor.TYPE_FLOAT:
            return ToShortestFloat
    return None


def _duration(value: Duration) -> str:
    seconds, nanos = value.seconds, value.nanos
    if not nanos:
        return f"{seconds}s"
    if seconds < 0 or nanos < 0 or nanos % _MS_NANOS:
        return value.ToJsonString()
    return f"{seconds}.{nanos // _MS_NANOS:03}s"
