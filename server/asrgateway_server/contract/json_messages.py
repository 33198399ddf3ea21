"""The contract in protobuf JSON, for doors that carry text."""

from __future__ import annotations

import json
import re
from typing import Final, TypeAlias

from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import code_pb2
from google.rpc.status_pb2 import Status

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.contract.requests import CONFIG_FIELD, MAX_CONFIG_BYTES
from asrgateway_server.contract.status import status_of
from asrgateway_server.errors import GatewayError, InvalidRequest

Fields: TypeAlias = "dict[str, object]"

#: The one field of a text that brings the client's key.
KEY_FIELD: Final = "apiKey"
_LONGEST_KEY_TEXT: Final = 2048
# It ends the audio, as a half-close does.
_FINISH: Final = "finish"
_LATER: Final = ("commit", "update", _FINISH)
# Far more than the largest vocabulary of any model needs; each takes some microseconds.
_MOST_VALUES: Final = 50_000
_PLACE: Final = re.compile(r' at "?StreamingConfig\.([\w.]+)')
_PARSED: Final = re.compile(r"Failed to parse (\w+) field")
_UNKNOWN: Final = re.compile(r'has no field named "([A-Za-z_]\w{0,63})"')


def key_in_text(text: str) -> str:
    """Return the key that a text carries; empty if it carries anything else."""
    if KEY_FIELD not in text or len(text) > _LONGEST_KEY_TEXT:
        return ""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    key = found.get(KEY_FIELD) if isinstance(found, dict) and len(found) == 1 else None
    return key if isinstance(key, str) else ""


def request_from_text(text: str, *, is_first: bool) -> pb.RecognizeRequest | None:
    """Return a request: the first one from a StreamingConfig, a later one from commit or update; None for finish.

    Raises:
        InvalidRequest: It is none, or a field is unknown or holds a wrong value; the error names the field.
    """
    fields = _fields_of(text)
    return _config_request(fields) if is_first else _later_request(fields)


def audio_request(data: bytes) -> pb.RecognizeRequest:
    """Return a request that carries audio."""
    return pb.RecognizeRequest(audio=data)


def ending_text(error: GatewayError | None) -> bytes:
    """Return the last text of a call: the status of its error, or OK."""
    return _status_text(status_of(error) if error else Status())


def internal_error_text(message: str) -> bytes:
    """Return the last text of a call that ends by an error of our own."""
    return _status_text(Status(code=code_pb2.INTERNAL, message=message))


def _status_text(status: Status) -> bytes:
    return json.dumps({"status": json_format.MessageToDict(status) | {"code": status.code}}).encode()


def _fields_of(text: str) -> Fields:
    if len(text) > MAX_CONFIG_BYTES:
        raise InvalidRequest(f"the text has {len(text)} characters; it may have {MAX_CONFIG_BYTES}", field="request")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidRequest("the text is no JSON; a text frame holds one JSON object", field="request") from None
    if not isinstance(found, dict):
        raise InvalidRequest("the text is JSON, but no object", field="request")
    if _has_more_values(found, _MOST_VALUES):
        raise InvalidRequest(f"the text holds more than {_MOST_VALUES} values", field="request")
    return found


def _config_request(fields: Fields) -> pb.RecognizeRequest:
    request = pb.RecognizeRequest()
    request.streaming_config.SetInParent()
    _parse(fields, request.streaming_config, CONFIG_FIELD)
    return request


def _later_request(fields: Fields) -> pb.RecognizeRequest | None:
    name, value = next(iter(fields.items()), ("", None))
    if len(fields) != 1 or name not in _LATER or not isinstance(value, dict):
        raise InvalidRequest(
            f"after the config a text frame holds an object with one of {', '.join(_LATER)}, itself an object",
            field="request",
        )
    if name == _FINISH:
        return None
    request = pb.RecognizeRequest()
    part: pb.Commit | pb.ConfigUpdate = request.commit if name == "commit" else request.update
    part.SetInParent()
    _parse(value, part, name)
    return request


def _parse(fields: Fields, message: Message, path: str) -> None:
    try:
        json_format.ParseDict(fields, message)
    except json_format.ParseError as error:
        raise _error_for(str(error), message, path) from None
    except (TypeError, ValueError, RecursionError):
        raise InvalidRequest(f"{path} holds a value of a wrong kind", field=path) from None


def _error_for(problem: str, message: Message, path: str) -> InvalidRequest:
    """Say which field is wrong; never what it holds, which may be secret."""
    place = _PLACE.search(problem)
    names = place[1].split(".") if place else _PARSED.findall(problem)
    field = ".".join((path, *_known(names, message)))
    if unknown := _UNKNOWN.search(problem):
        return InvalidRequest(f"{field} has no field {unknown[1]}", field=field)
    return InvalidRequest(f"{field} holds a value of a wrong kind, or an unknown field", field=field)


def _known(names: list[str], message: Message) -> list[str]:
    """Return the contract's names of the fields that lead somewhere, as far as there are such fields."""
    known: list[str] = []
    fields = message.DESCRIPTOR.fields
    for name in names:
        field = next((field for field in fields if name in {field.name, field.camelcase_name}), None)
        if field is None:
            break
        known.append(field.name)
        fields = field.message_type.fields if field.message_type else []
    return known


def _has_more_values(value: object, limit: int) -> bool:
    count, waiting = 0, [value]
    while waiting and count <= limit:
        current = waiting.pop()
        children = current.values() if isinstance(current, dict) else current if isinstance(current, list) else ()
        count += len(children)
        waiting.extend(children)
    return count > limit
