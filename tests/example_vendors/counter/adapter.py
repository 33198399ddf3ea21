"""A recognizer that counts. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from asrgateway_server.config import Adaptation
from asrgateway_server.events import BackendEvent, CommitEmpty, FinalResult, Finished, Ready, UpdateApplied

BYTES_PER_MS = 32


class CounterAdapter:
    """See ``InProcessAdapter``.

    Args:
        unit: What is counted, ``ms`` or ``bytes``; as a worker process is given it on its command line.
    """

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._bytes_per_unit = BYTES_PER_MS if unit == "ms" else 1
        self._open_bytes = 0
        self._start_ms = 0
        self._subject = ""

    def start(self, adaptation: Adaptation) -> Sequence[BackendEvent]:
        """See ``InProcessAdapter``."""
        self._open_bytes = self._start_ms = 0
        self._subject = adaptation.context
        return [Ready()]

    def audio(self, pcm: bytes) -> Sequence[BackendEvent]:
        """See ``InProcessAdapter``."""
        self._open_bytes += len(pcm)
        return []

    def commit(self) -> Sequence[BackendEvent]:
        """See ``InProcessAdapter``."""
        return [self._final(is_forced=True)] if self._open_bytes else [CommitEmpty()]

    def update(self, adaptation: Adaptation) -> Sequence[BackendEvent]:
        """See ``InProcessAdapter``."""
        self._subject = adaptation.context
        return [UpdateApplied()]

    def finish(self) -> Sequence[BackendEvent | Finished]:
        """See ``InProcessAdapter``."""
        return [*([self._final()] if self._open_bytes else []), Finished()]

    def _final(self, *, is_forced: bool = False) -> FinalResult:
        count, start_ms = self._open_bytes // self._bytes_per_unit, self._start_ms
        self._start_ms += self._open_bytes // BYTES_PER_MS
        self._open_bytes = 0
        text = f"{self._subject} {count} {self._unit}".strip()
        return FinalResult(text=text, start_ms=start_ms, end_ms=self._start_ms, is_forced=is_forced)
