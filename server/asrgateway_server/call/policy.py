"""What follows a task: a table. Pure.

A new step, such as a reconnect, is one more member of ``Step`` and the rows that lead to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from asrgateway_server.backends.base import Completed, Failed, Lost, TaskEnd
from asrgateway_server.errors import GatewayError, UpstreamProtocolError, UpstreamUnavailable


class InputEnd(Enum):
    """How far the input of a task had come when the task ended."""

    OPEN = auto()
    """More could have followed: the upstream ended the task."""
    UNUSED = auto()
    """The same, and the client had sent no audio yet."""
    IDLE = auto()
    """The gateway ended the task because the client's first audio had not come for a while."""
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
    FAIL = auto()
    """The call ends with an error."""


_STEPS: Final[Mapping[tuple[InputEnd, type[TaskEnd]], Step]] = {
    (InputEnd.HALF_CLOSE, Completed): Step.FINISH,
    (InputEnd.COMMIT, Completed): Step.ROLL_OVER,
    # The task had no audio, so the client has lost nothing, however it ended.
    (InputEnd.IDLE, Completed): Step.HIBERNATE,
    (InputEnd.IDLE, Lost): Step.HIBERNATE,
    (InputEnd.IDLE, Failed): Step.HIBERNATE,
    (InputEnd.UNUSED, Lost): Step.HIBERNATE,
}


def next_step(input_end: InputEnd, end: TaskEnd) -> Step:
    """Return what follows a task."""
    return _STEPS.get((input_end, type(end)), Step.FAIL)


def error_after(end: TaskEnd) -> GatewayError:
    """Return the error with which a call fails after a task that ended so."""
    match end:
        case Completed():
            return UpstreamProtocolError("the upstream ended the task before its audio ended")
        case Lost(error=lost):
            return UpstreamUnavailable(
                f"{lost.message}; try again",
                retry_after_seconds=1.0,
                upstream_code=lost.upstream_code,
                upstream_request_id=lost.upstream_request_id,
            )
        case Failed(error=error):
            return error
