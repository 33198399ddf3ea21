"""What follows a task: a table. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from asrgateway_server.backends.base import Completed, Failed, Lost, TaskEnd
from asrgateway_server.errors import GatewayError, UpstreamLost, UpstreamProtocolError, UpstreamUnavailable


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
    FAIL = auto()
    """The call ends with an error."""


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


def next_step(input_end: InputEnd, end: TaskEnd, *, is_first: bool, is_budget_spent: bool) -> Step:
    """Return what follows a task.

    Args:
        input_end: How far its input had come.
        end: How it ended.
        is_first: It was the first one of the call.
        is_budget_spent: It was one failure too many.
    """
    step = _STEPS.get((input_end, type(end)), Step.FAIL)
    is_hopeless = is_budget_spent or (is_first and _is_refused_here(end))
    return Step.FAIL if step is Step.RECONNECT and is_hopeless else step


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
