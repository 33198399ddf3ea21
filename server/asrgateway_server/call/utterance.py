"""The open utterance of a task: how long it has lasted, and how long there was no speech. Pure."""

from __future__ import annotations


class Utterance:
    """Follows the utterances of one task, in the task's time.

    Args:
        max_utterance_ms: A longer utterance has to be ended.
        max_silence_ms: A task without speech for so long has to be ended; None where the vendor keeps it.
        is_always_open: Only commits end utterances, so the next one begins where the last one ended.
    """

    def __init__(self, *, max_utterance_ms: float, max_silence_ms: float | None, is_always_open: bool) -> None:
        self._max_utterance_ms = max_utterance_ms
        self._max_silence_ms = max_silence_ms
        self._is_always_open = is_always_open
        self._start_ms: int | None = 0 if is_always_open else None
        self._last_message_ms = 0

    def message(self, task_ms: int) -> None:
        """Note that the upstream has sent a message."""
        self._last_message_ms = task_ms

    def open(self, start_ms: int) -> None:
        """Note that an utterance has begun or goes on."""
        if self._start_ms is None:
            self._start_ms = start_ms

    def close(self, task_ms: int) -> None:
        """Note that the utterance has ended."""
        self._start_ms = task_ms if self._is_always_open else None

    def is_to_be_ended(self, task_ms: int) -> bool:
        """Whether the utterance, or a task without one, has lasted too long."""
        if self._start_ms is not None:
            return task_ms - self._start_ms > self._max_utterance_ms
        return self._max_silence_ms is not None and task_ms - self._last_message_ms > self._max_silence_ms
