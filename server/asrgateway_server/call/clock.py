"""Positions: the times of whichever task runs, and the client's own. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from asrgateway_server.audio.inserted_silence import InsertedSilence
from asrgateway_server.events import FinalResult, InterimResult, SpeechEnded, SpeechStarted, Word

ResultEvent = TypeVar("ResultEvent", InterimResult, FinalResult)


class Clock:
    """Moves times from a task to the client's clock: a task begins at zero, and silence that was added counts in it.

    Attributes:
        sent_samples: The client's audio handed to tasks so far.
        silence_ms: The silence handed to tasks in the client's place.
        offset_ms: The client's time of its first sample in this call.

    Args:
        sample_rate_hertz: Of the samples.
        offset_ms: See above.
    """

    def __init__(self, sample_rate_hertz: int, offset_ms: int) -> None:
        self.sent_samples = 0
        self.silence_ms = 0
        self._sample_rate_hertz = sample_rate_hertz
        self.offset_ms = offset_ms
        self._task_start_ms = 0
        self._inserted = InsertedSilence()

    @property
    def sent_ms(self) -> int:
        """The client's audio handed to tasks so far."""
        return self.sent_samples * 1000 // self._sample_rate_hertz

    @property
    def task_ms(self) -> int:
        """All that was handed to the task that runs, in its own time."""
        return self.sent_ms - self._task_start_ms + self._inserted.added_ms

    def begin_task(self) -> None:
        """Count from zero: a task begins with the audio that is handed over next."""
        self._task_start_ms = self.sent_ms
        self._inserted = InsertedSilence()

    def add_silence(self, length_ms: int) -> None:
        """Count silence handed to the task after everything before."""
        self._inserted.add(self.task_ms, length_ms)
        self.silence_ms += length_ms

    def audio_ms(self, task_ms: int) -> int:
        """Return how much of this call's audio lies before a time of the task."""
        return self._task_start_ms + self._inserted.without(task_ms)

    def client_ms(self, task_ms: int) -> int:
        """Return the client's time of a time of the task."""
        return self.offset_ms + self.audio_ms(task_ms)

    def move_result(self, event: ResultEvent) -> ResultEvent:
        """Return a result on the client's clock."""
        if not (self.offset_ms or self._task_start_ms or self._inserted.added_ms):
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
