"""What every adapter offers, whatever carries it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from asrgateway_server.config import Adaptation
from asrgateway_server.events import BackendEvent


class InProcessAdapter(Protocol):
    """A recognizer that runs where it is called, one stream at a time."""

    def start(self, adaptation: Adaptation) -> list[BackendEvent]:
        """Begin a stream, whatever became of the last one; ends with ``Ready``."""

    def audio(self, pcm: bytes) -> list[BackendEvent]:
        """Hear more: mono, 16-bit little-endian, at the model's rate."""

    def commit(self) -> list[BackendEvent]:
        """End the open utterance: a forced ``FinalResult``, or ``CommitEmpty``."""

    def finish(self) -> list[BackendEvent]:
        """End the stream; ends with ``Finished``."""


@dataclass(frozen=True, slots=True)
class Send:
    """A message for the server: text or bytes, as the frame's type shall be."""

    message: str | bytes


@dataclass(frozen=True, slots=True)
class Reopen:
    """The server is about to close the connection, and the call goes on: ``start`` begins again on another one."""


Output = BackendEvent | Send | Reopen


class WebSocketAdapter(Protocol):
    """What is said on one WebSocket connection, and what the answers mean."""

    @property
    def path(self) -> str:
        """Path and query of the URL."""

    @property
    def is_ready(self) -> bool:
        """Whether audio, commits and the end may be sent now; if not, they wait for the next message."""

    def start(self) -> Sequence[Output]:
        """Begin on a new connection; go on there after ``Reopen``."""

    def audio(self, pcm: bytes) -> str | bytes:
        """Return the message that carries ``pcm``: mono, 16-bit little-endian, at the model's rate."""

    def commit(self) -> Sequence[Output]:
        """End the open utterance; a forced ``FinalResult`` or ``CommitEmpty`` follows, here or later."""

    def update(self, adaptation: Adaptation) -> Sequence[Output]:
        """Replace the adaptation for the audio that follows; ``UpdateApplied`` follows, here or later."""

    def finish(self) -> Sequence[Output]:
        """End the audio; ``Finished`` follows later."""

    def receive(self, message: str) -> Sequence[Output]:
        """Translate one message of the server.

        Returns:
            Events in the connection's time; empty when it carries no news.

        Raises:
            UpstreamProtocolError: It is not what the vendor's manual promises.
            GatewayError: The server gave up; the connection cannot be used again.
        """
