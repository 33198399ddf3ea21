"""What a client of dialect A may say: its text frames, read and checked. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from dashscope_emulator.knobs import Knobs


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTask:
    """A task begins.

    Attributes:
        task_id: Made by the client.
        model: As asked for.
        parameters: ``payload.parameters`` without nulls and empty strings.
        context: ``payload.input.context``, None when there is none.
        resources: ``payload.resources``.
    """

    task_id: str
    model: str
    parameters: Mapping[str, Any]  # whatever JSON the client sent
    context: object = None
    resources: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinueTask:
    """The conversation context is replaced."""

    task_id: str
    context: object


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishTask:
    """No more audio comes."""

    task_id: str


Request = RunTask | ContinueTask | FinishTask


class TaskRefused(Exception):
    """The task cannot be run or go on; the client is told so with ``task-failed``.

    Attributes:
        code: ``header.error_code``.
        message: ``header.error_message``.
        task_id: The task, as far as it is known.
    """

    def __init__(self, code: str, message: str, task_id: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.task_id = task_id


# Source: Model Studio, "Paraformer client events": all of these are mandatory in run-task.
_RUN_PATHS: Final = (
    "payload.task_group",
    "payload.task",
    "payload.function",
    "payload.model",
    "payload.parameters",
)
_FIXED: Final = MappingProxyType({"task_group": "audio", "task": "asr", "function": "recognition"})
# Source: Model Studio, parameters of the real-time recognition models; those that are not listed are not looked at.
_INTEGERS: Final = frozenset(("sample_rate", "max_sentence_silence"))
_KINDS: Final[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
    {
        "format": ("a string", str),
        "sample_rate": ("a positive integer", int),
        "vocabulary_id": ("a string", str),
        "vocabulary": ("an object", dict),
        "disfluency_removal_enabled": ("true or false", bool),
        "language_hints": ("an array of strings", list),
        "semantic_punctuation_enabled": ("true or false", bool),
        "max_sentence_silence": ("an integer", int),
        "multi_threshold_mode_enabled": ("true or false", bool),
        "punctuation_prediction_enabled": ("true or false", bool),
        "inverse_text_normalization_enabled": ("true or false", bool),
        "heartbeat": ("true or false", bool),
        "speech_noise_threshold": ("a number", int, float),
        "special_word_filter": ("a string or an object", str, dict),
        "keep_dialect": ("true or false", bool),
        "vad_model": ("a string", str),
        "intermediate_result_enabled": ("true or false", bool),
    }
)
_RATES: Final = (4_000, 192_000)
_RANGES: Final = MappingProxyType({"max_sentence_silence": (200, 6000), "speech_noise_threshold": (-1.0, 1.0)})


def read_request(text: str, knobs: Knobs) -> Request:
    """Read one text frame.

    Raises:
        TaskRefused: It breaks the protocol.
    """
    frame = _parse(text, knobs)
    header = frame.get("header")
    task_id = header.get("task_id") if isinstance(header, dict) else None
    try:
        return _read(frame, knobs)
    except TaskRefused as refused:
        refused.task_id = task_id if isinstance(task_id, str) else ""
        raise


def _read(frame: Mapping[str, Any], knobs: Knobs) -> Request:
    for path in ("header.action", "header.task_id", "header.streaming"):
        _require(frame, path, knobs)
    header = frame["header"]
    if header["streaming"] not in knobs.streaming_values:
        raise TaskRefused(knobs.bad_frame_code, "Unsupported streaming mode.")
    task_id = str(header["task_id"])
    match header["action"]:
        case "run-task":
            return _run(frame, task_id, knobs)
        case "continue-task":
            return ContinueTask(task_id=task_id, context=_context(_input(frame, knobs), knobs))
        case "finish-task":
            if _input(frame, knobs):
                raise _invalid_payload(knobs)
            return FinishTask(task_id=task_id)
        case _:
            raise TaskRefused(knobs.bad_frame_code, "Unknown action.")


def _run(frame: Mapping[str, Any], task_id: str, knobs: Knobs) -> RunTask:
    for path in _RUN_PATHS:
        _require(frame, path, knobs)
    payload = frame["payload"]
    given = _input(frame, knobs)
    for name, value in _FIXED.items():
        if payload[name] != value:
            raise TaskRefused(knobs.bad_frame_code, f"Unsupported value of 'payload.{name}'.")
    if not isinstance(payload["parameters"], dict):
        raise _invalid_payload(knobs)
    given_parameters = {name: value for name, value in payload["parameters"].items() if value not in (None, "")}
    parameters = _checked_kinds(given_parameters, knobs)
    _check_ranges(parameters, knobs)
    resources = payload.get("resources")
    return RunTask(
        task_id=task_id,
        model=str(payload["model"]),
        parameters=parameters,
        context=_context(given, knobs),
        resources=tuple(resources) if isinstance(resources, list) else (),
    )


def _parse(text: str, knobs: Knobs) -> dict[str, Any]:
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        raise _invalid_payload(knobs) from None
    if not isinstance(frame, dict):
        raise _invalid_payload(knobs)
    return frame


def _require(frame: Mapping[str, Any], path: str, knobs: Knobs) -> None:
    part, name = path.split(".")
    mapping = frame.get(part)
    value = mapping.get(name) if isinstance(mapping, dict) else None
    if value in (None, ""):
        message = f"Missing required parameter '{path}'! Please follow the protocol!"
        raise TaskRefused(knobs.bad_frame_code, message)


def _input(frame: Mapping[str, Any], knobs: Knobs) -> dict[str, Any]:
    """``payload.input`` as a mapping: an official sample sends an empty list instead of an empty mapping."""
    payload = frame.get("payload")
    given = payload.get("input") if isinstance(payload, dict) else None
    if given == []:
        return {}
    if not isinstance(given, dict):
        raise _invalid_payload(knobs)
    return given


def _checked_kinds(parameters: Mapping[str, Any], knobs: Knobs) -> dict[str, Any]:
    """The parameters whose values are of the documented kind; integers are integers."""
    checked = {}
    are_integers = knobs.whole_floats == "accept"
    for name, given in parameters.items():
        described, *kinds = _KINDS.get(name, ("anything", object))
        is_whole = name in _INTEGERS and isinstance(given, float) and given.is_integer()
        value = int(given) if is_whole and are_integers else given
        if _is_of_kind(name, value, tuple(kinds)):
            checked[name] = value
        elif knobs.wrong_kind == "task-failed":
            raise TaskRefused("InvalidParameter", f"'{name}' must be {described}.")
    return checked


def _is_of_kind(name: str, value: object, kinds: tuple[type[Any], ...]) -> bool:
    if isinstance(value, bool) and bool not in kinds and object not in kinds:  # to Python, true is an integer
        return False
    if isinstance(value, list) and list in kinds:
        return all(isinstance(item, str) for item in value)
    if name == "sample_rate":
        return isinstance(value, int) and _RATES[0] <= value <= _RATES[1]
    return isinstance(value, kinds) and not (isinstance(value, float) and not math.isfinite(value))


def _context(given: Mapping[str, Any], knobs: Knobs) -> object:
    """``input.context`` if it is a list of messages with a list of parts each."""
    context = given.get("context")
    if context is None or _is_context(context):
        return context
    if knobs.wrong_kind == "task-failed":
        raise TaskRefused("InvalidParameter", "'context' must be an array of messages.")
    return None


def _is_context(context: object) -> bool:
    return isinstance(context, list) and all(
        isinstance(message, dict)
        and isinstance(parts := message.get("content"), list)
        and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in parts)
        for message in context
    )


def _check_ranges(parameters: Mapping[str, Any], knobs: Knobs) -> None:
    if knobs.out_of_range == "accept":
        return
    for name, (low, high) in _RANGES.items():
        if name in parameters and not low <= parameters[name] <= high:
            raise TaskRefused("InvalidParameter", f"'{name}' must be from {low} to {high}.")


def _invalid_payload(knobs: Knobs) -> TaskRefused:
    return TaskRefused(knobs.bad_frame_code, "Invalid payload data")
