"""Converts times of a task to the client's clock. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from asrgateway_server.audio.inserted_silence import InsertedSilence
from asrgateway_server.events import FinalResult, InterimResult, SpeechEnded, SpeechStarted, Word

ResultEvent = TypeVar("ResultEvent", InterimResult, FinalResult)


class Clock:
    """Moves times from a task to the client's clock. A task's time begins at zero and includes inserted silence.

    Attributes:
        position_samples: Where the current task is in the client's audio.
        silence_ms: The silence handed to tasks so far.
        offset_ms: The client's time of its first sample in this call.

    Args:
        sample_rate_hertz: Rate of the samples.
        offset_ms: See above.
    """

    def __init__(self, sample_rate_hertz: int, offset_ms: int) -> None:
        self.position_samples = 0
        self.silence_ms = 0
        self._sample_rate_hertz = sample_rate_hertz
        self.offset_ms = offset_ms
        self._task_start_ms = 0
        self._inserted = InsertedSilence()

    @property
    def position_ms(self) -> int:
        """Where the current task is in the client's audio."""
        return self.time_ms(self.position_samples)

    @property
    def task_ms(self) -> int:
        """Audio and silence handed to the current task, in its own time."""
        return self.position_ms - self._task_start_ms + self._inserted.added_ms

    def begin_task(self, position_samples: int) -> None:
        """Begin a task with the audio from a position on; its time is zero."""
        self.position_samples = position_samples
        self._task_start_ms = self.position_ms
        self._inserted = InsertedSilence()

    def samples(self, audio_ms: int) -> int:
        """Return the position of a time."""
        return audio_ms * self._sample_rate_hertz // 1000

    def time_ms(self, samples: int) -> int:
        """Return the time of a position."""
        return samples * 1000 // self._sample_rate_hertz

    def add_silence(self, length_ms: int) -> None:
        """Count silence that is handed to the task now."""
        self._inserted.add(self.task_ms, length_ms)
        self.silence_ms += length_ms

    def audio_ms(self, task_ms: int) -> int:
        """Return how much of this call's audio precedes a time of the task."""
        return self._task_start_ms + self._inserted.without(task_ms)

    def client_ms(self, task_ms: int) -> int:
        """Convert a time of the task to the client's time."""
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
        """Return a begin or end of speech on the client's clock."""
        return replace(event, offset_ms=self.client_ms(event.offset_ms))

    def _move_word(self, word: Word) -> Word:
        return replace(word, start_ms=self.client_ms(word.start_ms), end_ms=self.client_ms(word.end_ms))
