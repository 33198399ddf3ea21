"""What follows a task: a table. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from asrgateway_server.backends.base import Completed, Failed, Lost, TaskEnd
from asrgateway_server.errors import (
    GatewayError,
    Overloaded,
    UpstreamLost,
    UpstreamProtocolError,
    UpstreamRefused,
    UpstreamUnavailable,
)


class InputEnd(Enum):
    """How far the input of a task had come when the task ended."""

    OPEN = auto()
    """More could have followed: the upstream ended the task."""
    STARVED = auto()
    """The same, but the task had recognized everything, and neither audio nor silence was due."""
    IDLE = auto()
    """The gateway ended the task because the client's first audio had not come for a while."""
    QUIET = auto()
    """The gateway ended the task because the client had been quiet for long, as the call's keep-alive policy says."""
    COMMIT = auto()
    """The gateway ended the task to end an utterance, or because the vendor would soon have ended it."""
    HALF_CLOSE = auto()
    """The gateway ended the task because the client had half-closed."""


class Step(Enum):
    """What a call does after a task."""

    FINISH = auto()
    """The call is complete."""
    ROLL_OVER = auto()
    """Another task goes on where this one ended."""
    HIBERNATE = auto()
    """Another task begins with the client's next audio."""
    RECONNECT = auto()
    """Another task recognizes again what has no final result yet."""
    FAIL_OVER = auto()
    """The same, with another model of the call's route."""
    FAIL = auto()
    """The call ends with an error."""


_MOST_ATTEMPTS: Final = 2

_STEPS: Final[Mapping[tuple[InputEnd, type[TaskEnd]], Step]] = {
    (InputEnd.HALF_CLOSE, Completed): Step.FINISH,
    (InputEnd.HALF_CLOSE, Lost): Step.RECONNECT,
    (InputEnd.COMMIT, Completed): Step.ROLL_OVER,
    (InputEnd.COMMIT, Lost): Step.RECONNECT,
    (InputEnd.OPEN, Completed): Step.RECONNECT,
    (InputEnd.OPEN, Lost): Step.RECONNECT,
    (InputEnd.STARVED, Completed): Step.HIBERNATE,
    (InputEnd.STARVED, Lost): Step.HIBERNATE,
    (InputEnd.QUIET, Completed): Step.HIBERNATE,
    (InputEnd.QUIET, Lost): Step.RECONNECT,
    # The task had no audio, so the client has lost nothing, however it ended.
    (InputEnd.IDLE, Completed): Step.HIBERNATE,
    (InputEnd.IDLE, Lost): Step.HIBERNATE,
    (InputEnd.IDLE, Failed): Step.HIBERNATE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """What a call has been through.

    Attributes:
        is_first_task: The task was the first one of the call.
        is_budget_spent: It was one failure too many.
        in_a_row: So many tasks, with this one, were lost since the last final result.
        failed_starts: So many of the last ones were never ready.
        has_other_model: The route of the call has another model where a task may start.
    """

    is_first_task: bool = False
    is_budget_spent: bool = False
    in_a_row: int = 0
    failed_starts: int = 0
    has_other_model: bool = False


def next_step(input_end: InputEnd, end: TaskEnd, failures: Failures) -> Step:
    """Return what follows a task."""
    step = _STEPS.get((input_end, type(end)), Step.FAIL)
    match step:
        case Step.RECONNECT if failures.is_budget_spent:
            return Step.FAIL
        case Step.RECONNECT if failures.has_other_model and _is_enough(end, failures):
            return Step.FAIL_OVER
        case Step.RECONNECT if failures.is_first_task and _is_refused_here(end):
            return Step.FAIL
        case Step.FAIL if failures.has_other_model and not failures.is_budget_spent and is_models_fault(end):
            return Step.FAIL_OVER
        case _:
            return step


def _is_enough(end: TaskEnd, failures: Failures) -> bool:
    """Whether another model is to be tried rather than this one again: after two attempts that failed."""
    is_throttled = isinstance(end, Lost) and isinstance(end.error, Overloaded)
    return is_throttled or failures.failed_starts >= _MOST_ATTEMPTS or failures.in_a_row > _MOST_ATTEMPTS


def is_models_fault(end: TaskEnd) -> bool:
    """Whether the upstream refuses this model, key or account, and not what the client asks for."""
    return isinstance(end, Failed) and isinstance(end.error, UpstreamRefused) and not end.error.is_about_request


def _is_refused_here(end: TaskEnd) -> bool:
    """Whether the gateway itself has no room: a new call had better try again somewhere else."""
    return isinstance(end, Lost) and not isinstance(end.error, UpstreamLost) and not end.error.upstream_code


def error_after(end: TaskEnd) -> GatewayError:
    """Return the error with which a call fails after a task that ended so."""
    match end:
        case Completed():
            return UpstreamProtocolError("the upstream ended the task before its audio ended")
        case Lost(error=UpstreamLost() as lost):
            return UpstreamUnavailable(
                f"{lost.message}; try again",
                retry_after_seconds=1.0,
                upstream_code=lost.upstream_code,
                upstream_request_id=lost.upstream_request_id,
            )
        case Lost(error=error) | Failed(error=error):
            return error
