"""What every adapter offers, whatever carries it: exactly one task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from asrgateway_server.config import Adaptation
from asrgateway_server.events import BackendEvent, Finished


class InProcessAdapter(Protocol):
    """A recognizer that runs where it is called; it recognizes one task at a time."""

    def start(self, adaptation: Adaptation) -> Sequence[BackendEvent]:
        """Begin a task, whatever became of the last one; ends with ``Ready``."""

    def audio(self, pcm: bytes) -> Sequence[BackendEvent]:
        """Recognize more: mono, 16-bit little-endian, at the model's rate."""

    def commit(self) -> Sequence[BackendEvent]:
        """End the open utterance: a forced ``FinalResult``, or ``CommitEmpty``."""

    def update(self, adaptation: Adaptation) -> Sequence[BackendEvent]:
        """Replace the adaptation for the audio that follows; ends with ``UpdateApplied``.

        Called only where the model's options say that it can.
        """

    def finish(self) -> Sequence[BackendEvent | Finished]:
        """End the task; ends with ``Finished``."""


@dataclass(frozen=True, slots=True)
class Send:
    """A message for the server: text or bytes, as the frame's type shall be."""

    message: str | bytes


#: What a message of the server means, or what it is answered with.
Output = BackendEvent | Finished | Send


class WebSocketAdapter(Protocol):
    """What is sent on a WebSocket connection for one task, and what the answers mean.

    Attributes:
        ends_at_commit: A task has to end where an utterance is committed; ``commit`` is then never called.
    """

    ends_at_commit: ClassVar[bool]

    @property
    def path(self) -> str:
        """Path and query of the URL."""

    @property
    def is_ready(self) -> bool:
        """Whether audio, commits and the end may be sent now; if not, they wait for the next message."""

    @property
    def keeps_connection(self) -> bool:
        """Whether the connection can carry another task once this one has finished."""

    @property
    def answers_speech(self) -> bool:
        """Whether the server sends something while somebody speaks, so that one that does not has stalled."""

    def start(self) -> Sequence[Output]:
        """Begin the task."""

    def audio(self, pcm: bytes) -> str | bytes:
        """Return the message that carries ``pcm``: mono, 16-bit little-endian, at the model's rate.

        It is empty, and not sent, where a coded stream cannot carry so little yet.
        """

    def commit(self) -> Sequence[Output]:
        """End the open utterance; a forced ``FinalResult`` or ``CommitEmpty`` follows, here or later.

        Commits are answered in their order: what a lost task has not delivered is known by that alone.
        """

    def update(self, adaptation: Adaptation) -> Sequence[Output]:
        """Replace the adaptation for the audio that follows; ``UpdateApplied`` follows, here or later."""

    def finish(self) -> Sequence[Output]:
        """End the audio; ``Finished`` follows later."""

    def receive(self, message: str) -> Sequence[Output]:
        """Translate one message of the server.

        Returns:
            Events in the task's time; empty when it carries no news.

        Raises:
            UpstreamProtocolError: It is not what the vendor's manual promises.
            GatewayError: The server gave up; the connection cannot be used again.
        """
