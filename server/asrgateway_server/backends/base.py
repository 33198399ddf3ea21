"""All that a call knows of any upstream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from asrgateway_server.config import RecognitionConfig, Update
from asrgateway_server.errors import GatewayError, Overloaded, UpstreamLost
from asrgateway_server.events import BackendEvent


@dataclass(frozen=True, slots=True)
class Commit:
    """End the open utterance here, between two packets of audio."""


class TaskInput(Protocol):
    """What one task recognizes."""

    async def next(self) -> bytes | Commit | Update | None:
        """Return the next packet of audio, commit or update; wait until there is one. None ends the task.

        Audio is mono, 16-bit little-endian, at the model's rate. Nothing is asked for before the task takes it.
        """


#: Takes an event in the task's time, and when it was read (``time.monotonic()``); returns once the client has it.
Emit = Callable[[BackendEvent, float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """The upstream has sent everything that it had to say.

    Attributes:
        billed_ms: The audio that the vendor bills for the task; None where it does not say.
        read_at: When the last message was read (``time.monotonic()``).
    """

    billed_ms: int | None = None
    read_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The connection ended too soon, or stalled, or there was no room for the task; another one may do better."""

    error: UpstreamLost | Overloaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The upstream refused the task or broke its own rules; the same task would fail again."""

    error: GatewayError


TaskEnd = Completed | Lost | Failed


class Upstream(Protocol):
    """What recognizes one call: tasks, one after the other."""

    @property
    def ends_at_commit(self) -> bool:
        """Whether a task has to end where an utterance is committed; if not, it answers commits itself."""

    async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
        """Run one task to its end, and say how that was.

        Raises:
            ClientStalled: The client did not take an event; so for all that ``emit`` and ``task_input`` raise.
        """

    async def rest(self) -> None:
        """Give up what is kept from one task for the next, which is a while away."""


class Backend(Protocol):
    """One way to reach a model."""

    def open(self, config: RecognitionConfig) -> AbstractAsyncContextManager[Upstream]:
        """Return what recognizes one call, for as long as that lasts; raise a GatewayError if nothing can."""


def end_of(error: GatewayError) -> Lost | Failed:
    """Return how a task ended that an error has ended."""
    return Lost(error=error) if isinstance(error, UpstreamLost | Overloaded) else Failed(error=error)
