"""Requests that are almost right: valid ones with a field changed, or a few of their bytes."""

from __future__ import annotations

import random
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_NUMBERS: Final = {
    FieldDescriptor.CPPTYPE_INT32: (0, 1, -1, 7, 16_000, 2**31 - 1, -(2**31)),
    FieldDescriptor.CPPTYPE_UINT32: (0, 1, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (0, 1, -1, 2**63 - 1, -(2**63)),
    FieldDescriptor.CPPTYPE_UINT64: (0, 1, 2**64 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (0, 1, 2, 3, 99, -1, 2**31 - 1),
    FieldDescriptor.CPPTYPE_FLOAT: (0.0, -1.0, 0.5, 1e38, float("nan"), float("inf")),
    FieldDescriptor.CPPTYPE_DOUBLE: (0.0, -1.0, 0.5, 1e308, float("nan"), float("-inf")),
    FieldDescriptor.CPPTYPE_BOOL: (False, True),
}
_TEXTS: Final = ("", "x", "en-US", "../../etc/passwd", "\0", "\u202e\ud7ff", "%s%n{}", "💥" * 40, "y" * 5000)
_BYTES: Final = (b"", b"\0", b"RIFF\xff\xff\xff\xffWAVEfmt ", bytes(3200), b"\xff" * 3201)
_DEEPEST: Final = 5


def mutated(message: Message, chance: random.Random) -> bytes:
    """Return the message on the wire, with something wrong in one field or in its bytes."""
    changed = type(message)()
    changed.CopyFrom(message)
    if chance.random() < 0.8:
        _mutate(changed, chance, _DEEPEST)
        return changed.SerializeToString()
    data = bytearray(changed.SerializeToString())
    for _ in range(chance.randint(1, 4)):
        if data:
            data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data[: chance.randint(0, len(data))])


def _mutate(message: Message, chance: random.Random, depth: int) -> None:
    fields: list[FieldDescriptor] = list(message.DESCRIPTOR.fields)  # type: ignore[arg-type] # two names of one class
    if not fields:
        return
    field = chance.choice(fields)
    if chance.random() < 0.1:
        message.ClearField(field.name)
    elif field.message_type is not None and field.message_type.GetOptions().map_entry:
        _mutate_map(message, field, chance)
    elif field.message_type is not None:
        value = getattr(message, field.name)
        below = value.add() if field.is_repeated else value
        below.SetInParent()
        if depth:
            _mutate(below, chance, depth - 1)
    elif field.is_repeated:
        getattr(message, field.name).extend(_value(field, chance) for _ in range(chance.choice((1, 9, 300))))
    else:
        setattr(message, field.name, _value(field, chance))


def _mutate_map(message: Message, field: FieldDescriptor, chance: random.Random) -> None:
    below = getattr(message, field.name)[chance.choice(_TEXTS)]
    _mutate(below, chance, 0)


def _value(field: FieldDescriptor, chance: random.Random) -> Any:  # Any: whatever the field takes
    if field.type == FieldDescriptor.TYPE_BYTES:
        return chance.choice(_BYTES)
    if field.type == FieldDescriptor.TYPE_STRING:
        return chance.choice(_TEXTS)
    return chance.choice(_NUMBERS[field.cpp_type])
