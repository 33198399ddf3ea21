"""Backend time to client time: silence that was added never shows in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from asrgateway_server.audio.inserted_silence import InsertedSilence
from asrgateway_server.events import FinalResult, InterimResult, SpeechEnded, SpeechStarted, Word

ResultEvent = TypeVar("ResultEvent", InterimResult, FinalResult)


class Timeline:
    """Where the backend's times lie on the client's clock.

    Attributes:
        sent_ms: The client's audio handed to the backend.

    Args:
        offset_ms: The client's time of its first sample in this call.
    """

    def __init__(self, offset_ms: int) -> None:
        self.sent_ms = 0
        self._offset_ms = offset_ms
        self._inserted = InsertedSilence()

    @property
    def position_ms(self) -> int:
        """All that was handed to the backend, in its own time."""
        return self.sent_ms + self._inserted.added_ms

    @property
    def silence_ms(self) -> int:
        """The silence among it."""
        return self._inserted.added_ms

    def add_silence(self, length_ms: int) -> None:
        """Note silence handed to the backend after everything before."""
        self._inserted.add(self.position_ms, length_ms)

    def audio_ms(self, backend_ms: int) -> int:
        """Return how much of this call's audio lies before a backend time."""
        return self._inserted.without(backend_ms)

    def client_ms(self, backend_ms: int) -> int:
        """Return the client's time of a backend time."""
        return self._offset_ms + self._inserted.without(backend_ms)

    def move_result(self, event: ResultEvent) -> ResultEvent:
        """Return the result on the client's clock."""
        if not self._offset_ms and not self._inserted.added_ms:
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
