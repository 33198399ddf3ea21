"""The open utterance of a task: how long it has lasted, and how long there was no speech. Pure."""

from __future__ import annotations

import math
from array import array
from typing import Final

from asrgateway_server.call.utterance_limit import UtteranceLimit

# From this share of the limit on, an utterance ends where its speaker pauses, however shortly.
_PAUSE_SHARE: Final = 0.75
# The end of a packet, a fiftieth of a second at 16 kHz, is a pause if it is so much weaker than the strongest one.
_TAIL_SAMPLES: Final = 320
_PAUSE_LEVEL: Final = 10 ** (-18 / 20)


class Utterance:
    """Follows the utterances of one task, in the task's time.

    Args:
        limit: A longer utterance has to be ended, if possible in a pause shortly before.
        max_silence_ms: A task without speech for so long has to be ended; None where the vendor keeps it.
        is_open: The task begins within an utterance.
        is_always_open: Only commits end utterances, so the next one begins where the last one ended.
    """

    def __init__(
        self, limit: UtteranceLimit, *, max_silence_ms: float | None, is_open: bool, is_always_open: bool
    ) -> None:
        self._limit = limit
        self._max_silence_ms = max_silence_ms
        self._is_always_open = is_always_open
        self._start_ms: int | None = 0 if is_open or is_always_open else None
        self._closed_ms = self._last_message_ms = 0
        self._level = self._highest_level = 0.0

    @property
    def is_shortened(self) -> bool:
        """Whether the limit is shorter than usual, because tasks were lost."""
        return self._limit.is_shortened

    def message(self, task_ms: int) -> None:
        """Note that the upstream has sent a message."""
        self._last_message_ms = task_ms

    def open(self, start_ms: int) -> None:
        """Note that an utterance has begun or goes on; none is older than the end of the last one, or than a commit."""
        if self._start_ms is None:
            self._start_ms = max(start_ms, self._closed_ms)

    def close(self, task_ms: int) -> None:
        """Note that the utterance has ended, or that a commit found none."""
        self._closed_ms = task_ms
        self._start_ms = task_ms if self._is_always_open else None

    def sent(self, pcm: bytes, task_ms: int) -> None:
        """Note that a packet was sent, up to a time of the task: mono, 16-bit little-endian."""
        # Only what is heard in the second half of an utterance decides where it ends.
        if self._start_ms is None or task_ms - self._start_ms < self._limit.ms / 2:
            self._highest_level = 0.0
            return
        self._level = math.hypot(*array("h", pcm)[-_TAIL_SAMPLES:])
        self._highest_level = max(self._highest_level, self._level)

    def is_to_be_ended(self, task_ms: int) -> bool:
        """Whether the utterance, or a task without one, has lasted too long."""
        if self._start_ms is None:
            return self._max_silence_ms is not None and task_ms - self._last_message_ms > self._max_silence_ms
        spoken_ms = task_ms - self._start_ms
        return spoken_ms > self._limit.ms or (spoken_ms > _PAUSE_SHARE * self._limit.ms and self._is_in_pause)

    @property
    def _is_in_pause(self) -> bool:
        return self._level < _PAUSE_LEVEL * self._highest_level
