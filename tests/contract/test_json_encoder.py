"""Responses in JSON are what the library of protobuf would write."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.contract.json_encoder import to_json

SCALARS = {
    FieldDescriptor.TYPE_INT32: -7,
    FieldDescriptor.TYPE_BOOL: True,
    FieldDescriptor.TYPE_STRING: 'a "word"\n你好\u2028',
    FieldDescriptor.TYPE_FLOAT: 0.8,
    FieldDescriptor.TYPE_DOUBLE: 0.1 + 0.2,
}
KINDS = [field.name for field in pb.RecognizeResponse.DESCRIPTOR.fields]


def fill(message: Message, values: int = 2) -> None:
    """Set every field, at every depth."""
    for field in message.DESCRIPTOR.fields:
        if field.is_repeated:
            for _ in range(values):
                add(getattr(message, field.name), field)
        elif field.message_type:
            fill_message(getattr(message, field.name))
        else:
            setattr(message, field.name, scalar(field))


def add(values: Any, field: Any) -> None:  # Any: the library's own
    if field.message_type:
        fill_message(values.add())
    else:
        values.append(scalar(field))


def fill_message(message: Message) -> None:
    message.SetInParent()
    if isinstance(message, Duration):
        message.FromMilliseconds(61_250)
    else:
        fill(message)


def scalar(field: Any) -> object:  # Any: the library's own
    return max(field.enum_type.values_by_number) if field.enum_type else SCALARS[field.type]


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_comes_out_as_the_library_writes_it(kind: str) -> None:
    message = pb.RecognizeResponse()
    fill_message(getattr(message, kind))
    assert json.loads(to_json(message)) == json_format.MessageToDict(message)


@pytest.mark.parametrize("kind", KINDS)
def test_fields_with_their_default_are_left_out(kind: str) -> None:
    message = pb.RecognizeResponse()
    getattr(message, kind).SetInParent()
    assert json.loads(to_json(message)) == json_format.MessageToDict(message) == {camel_case(kind): {}}


def camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


@pytest.mark.parametrize("nanos", [0, 1, 1_000, 5_000_000, 999_999_999, -1, -5_000_000])
def test_times_have_as_many_decimals_as_they_need(nanos: int) -> None:
    cursor = pb.Cursor(received=Duration(seconds=7 if nanos >= 0 else -7, nanos=nanos))
    assert json.loads(to_json(cursor)) == json_format.MessageToDict(cursor)


def test_a_value_of_a_newer_contract_stays_a_number() -> None:
    event = pb.SpeechEvent(event_type=99)  # type: ignore[arg-type] # it is none of ours
    assert json.loads(to_json(event)) == json_format.MessageToDict(event) == {"eventType": 99}
