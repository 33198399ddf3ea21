"""What every adapter offers, whatever carries it."""

from __future__ import annotations

from typing import ClassVar, Protocol

from asrgateway_server.config import RecognitionConfig
from asrgateway_server.events import BackendEvent


class InProcessAdapter(Protocol):
    """A recognizer that runs where it is called, one stream at a time.

    Attributes:
        capabilities: Paths of the options it honours, as ``RecognitionConfig.wishes`` writes them.
    """

    capabilities: ClassVar[frozenset[str]]

    def start(self, config: RecognitionConfig) -> list[BackendEvent]:
        """Begin a stream, whatever became of the last one; ends with ``Ready``."""

    def audio(self, pcm: bytes) -> list[BackendEvent]:
        """Hear more: mono, 16-bit little-endian, at the model's rate."""

    def commit(self) -> list[BackendEvent]:
        """End the open utterance: a forced ``FinalResult``, or ``CommitEmpty``."""

    def finish(self) -> list[BackendEvent]:
        """End the stream; ends with ``Finished``."""
