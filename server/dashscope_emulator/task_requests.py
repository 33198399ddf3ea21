"""The text messages of a client of dialect A, read and checked. Pure."""

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
    """Start a task.

    Attributes:
        task_id: Made by the client.
        model: As the client names it.
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
    """Replace the conversation context."""

    task_id: str
    context: object


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishTask:
    """Finish the task: no more audio comes."""

    task_id: str


Request = RunTask | ContinueTask | FinishTask


class TaskRefused(Exception):
    """The task cannot start or go on: the client gets ``task-failed``.

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
# Source: Model Studio, parameters of the real-time recognition models; others are not checked.
_TYPES: Final[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
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
    """Read one text message.

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
            return ContinueTask(task_id=task_id, context=_context(_input(frame, knobs)))
        case "finish-task":
            if _input(frame, knobs):
                raise invalid_payload(knobs)
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
        raise invalid_payload(knobs)
    parameters = {name: value for name, value in payload["parameters"].items() if value not in (None, "")}
    _check_types(parameters)
    _check_ranges(parameters, knobs)
    resources = payload.get("resources")
    return RunTask(
        task_id=task_id,
        model=str(payload["model"]),
        parameters=parameters,
        context=_context(given),
        resources=tuple(resources) if isinstance(resources, list) else (),
    )


def _parse(text: str, knobs: Knobs) -> dict[str, Any]:
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        raise invalid_payload(knobs) from None
    if not isinstance(frame, dict):
        raise invalid_payload(knobs)
    return frame


def _require(frame: Mapping[str, Any], path: str, knobs: Knobs) -> None:
    part, name = path.split(".")
    mapping = frame.get(part)
    value = mapping.get(name) if isinstance(mapping, dict) else None
    if value in (None, ""):
        message = f"Missing required parameter '{path}'! Please follow the protocol!"
        raise TaskRefused(knobs.bad_frame_code, message)


def _input(frame: Mapping[str, Any], knobs: Knobs) -> dict[str, Any]:
    """Return ``payload.input``; a sample of the vendor sends an empty list instead of an empty object."""
    payload = frame.get("payload")
    given = payload.get("input") if isinstance(payload, dict) else None
    if given == []:
        return {}
    if not isinstance(given, dict):
        raise invalid_payload(knobs)
    return given


def _check_types(parameters: Mapping[str, Any]) -> None:
    for name, value in parameters.items():
        described, *types = _TYPES.get(name, ("anything", object))
        if not _has_type(name, value, tuple(types)):
            raise TaskRefused("InvalidParameter", f"'{name}' must be {described}.")


def _has_type(name: str, value: object, types: tuple[type[Any], ...]) -> bool:
    if isinstance(value, bool):  # to Python, true is an integer
        return bool in types or object in types
    if isinstance(value, list) and list in types:
        return all(isinstance(item, str) for item in value)
    if name == "sample_rate":
        return isinstance(value, int) and _RATES[0] <= value <= _RATES[1]
    return isinstance(value, types) and not (isinstance(value, float) and not math.isfinite(value))


def _context(given: Mapping[str, Any]) -> object:
    """Return ``input.context``: None, or a list of messages with a list of parts each."""
    context = given.get("context")
    if context is None or _is_context(context):
        return context
    raise TaskRefused("InvalidParameter", "'context' must be an array of messages.")


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


def invalid_payload(knobs: Knobs) -> TaskRefused:
    """Return the refusal of a message that is no message."""
    return TaskRefused(knobs.bad_frame_code, "Invalid payload data")
