"""A message as one line of JSON: protobuf's own form, with the contract's field names."""

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message


def to_json(message: Message) -> str:
    """Write a message; fields at their default are absent, durations are text such as ``"1.200s"``."""
    return MessageToJson(message, preserving_proto_field_name=True, indent=None, ensure_ascii=False)
