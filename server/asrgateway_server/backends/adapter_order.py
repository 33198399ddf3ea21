"""In which order an adapter may be called, and which order its answers have to keep."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a task is."""

    NEW = "new"
    STARTING = "starting"
    READY = "ready"
    FINISHING = "finishing"
    ENDED = "ended"


class Step(StrEnum):
    """A call of an adapter, or what a message of the server means for the task: READY and END."""

    START = "start"
    AUDIO = "audio"
    COMMIT = "commit"
    UPDATE = "update"
    FINISH = "finish"
    RECEIVE = "receive"
    READY = "ready"
    END = "end"


#: Where each step leads; what is not here is a mistake of ours. A server may speak first, and may end a task unasked.
TRANSITIONS: Final[Mapping[tuple[State, Step], State]] = {
    (State.NEW, Step.START): State.STARTING,
    (State.NEW, Step.RECEIVE): State.NEW,
    (State.NEW, Step.END): State.ENDED,
    (State.STARTING, Step.RECEIVE): State.STARTING,
    (State.STARTING, Step.READY): State.READY,
    (State.STARTING, Step.END): State.ENDED,
    (State.READY, Step.AUDIO): State.READY,
    (State.READY, Step.COMMIT): State.READY,
    (State.READY, Step.UPDATE): State.READY,
    (State.READY, Step.FINISH): State.FINISHING,
    (State.READY, Step.RECEIVE): State.READY,
    (State.READY, Step.END): State.ENDED,
    (State.FINISHING, Step.RECEIVE): State.FINISHING,
    (State.FINISHING, Step.END): State.ENDED,
}


class AdapterOrder:
    """Follows one task.

    Attributes:
        state: Where it is.
        is_ready: It takes audio, commits, updates and the end. Audio changes nothing, and comes often: who sees that
            it is ready need not ``take`` that step.
    """

    def __init__(self) -> None:
        self.state = State.NEW
        self.is_ready = False

    def take(self, step: Step) -> None:
        """Go one step.

        Raises:
            RuntimeError: The step is not allowed here; a mistake of ours, not of the server.
        """
        after = TRANSITIONS.get((self.state, step))
        if after is None:
            raise RuntimeError(f"an adapter whose task is {self.state} cannot take the step '{step}'")
        self.state = after
        self.is_ready = after is State.READY
