"""Backend time to client time."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from asrgateway_server.events import FinalResult, InterimResult, SpeechEnded, SpeechStarted, Word

ResultEvent = TypeVar("ResultEvent", InterimResult, FinalResult)


class Timeline:
    """Where the backend's zero lies on the client's clock."""

    def __init__(self, offset_ms: int) -> None:
        self._offset_ms = offset_ms

    def client_ms(self, backend_ms: int) -> int:
        """Return the client's time of a backend time."""
        return backend_ms + self._offset_ms

    def move_result(self, event: ResultEvent) -> ResultEvent:
        """Return the result on the client's clock."""
        if not self._offset_ms:
            return event
        return replace(
            event,
            start_ms=None if event.start_ms is None else self.client_ms(event.start_ms),
            end_ms=None if event.end_ms is None else self.client_ms(event.end_ms),
            words=tuple(self._move_word(word) for word in event.words),
        )

    def move_boundary(self, event: SpeechStarted | SpeechEnded) -> SpeechStarted | SpeechEnded:
        """Return the beginning or end of speech on the client's clock."""
        return replace(event, offset_ms=self.client_ms(event.offset_ms))

    def _move_word(self, word: Word) -> Word:
        return replace(word, start_ms=self.client_ms(word.start_ms), end_ms=self.client_ms(word.end_ms))
