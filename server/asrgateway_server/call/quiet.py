"""Detects when the client is quiet, and when silence is due in its place. Pure: times are passed in."""

from __future__ import annotations

import math
from typing import Final

# After a longer burst, the client is still expected to send again within this time.
_MOST_SECONDS: Final = 2.0
# Silence that a slow upstream could not take is not made up for beyond this.
_MOST_OWED_SECONDS: Final = 1.0
# Whoever asks so long after silence was due had no processor: the client's audio may wait unread meanwhile.
_LATE_SECONDS: Final = 0.1


class QuietDetector:
    """Finds that the client has sent less audio than the time that has passed.

    Each message puts the time at which its audio is used up further ahead. The pause between two messages cannot be
    used: clients that send half a second at a time pause for as long.

    Args:
        quiet_after_seconds: The client is quiet when its audio has been used up for so long.
        max_silence_seconds: The most silence in a row; none follows until audio comes.
    """

    def __init__(self, quiet_after_seconds: float, max_silence_seconds: float = math.inf) -> None:
        self._quiet_after_seconds = quiet_after_seconds
        self._max_silence_ms = max_silence_seconds * 1000
        self._silence_ms = 0
        self._used_up_at: float | None = None
        self._next_silence_at = 0.0
        self._was_late = False

    def add(self, now: float, seconds: float) -> None:
        """Count the audio of a message."""
        if seconds > 0:
            self._silence_ms = 0
            self._was_late = False
        used_up_at = now if self._used_up_at is None else max(now, self._used_up_at)
        self._used_up_at = min(used_up_at + seconds, now + _MOST_SECONDS)

    def hold(self, now: float) -> None:
        """Do not count the time until now as quiet: the client could not have sent anything."""
        if self._used_up_at is not None:
            self._used_up_at = max(self._used_up_at, now)

    def add_silence(self, now: float, length_ms: int) -> None:
        """Count silence that was sent in the client's place."""
        due_at = self.silence_at or now
        self._silence_ms += length_ms
        self._was_late = False
        self._next_silence_at = max(due_at, now - _MOST_OWED_SECONDS) + length_ms / 1000

    @property
    def silence_seconds(self) -> float:
        """The silence sent since the last audio."""
        return self._silence_ms / 1000

    def is_silence_due(self, now: float) -> bool:
        """Return whether silence is due; if the question comes late, only after a moment more to read audio in."""
        due_at = self.silence_at
        if due_at is None or now < due_at:
            return False
        if now - due_at < _LATE_SECONDS or self._was_late:
            return True
        self._was_late = True
        self._next_silence_at = now + _LATE_SECONDS
        return False

    @property
    def silence_at(self) -> float | None:
        """When silence is due unless audio comes; None before the first audio, and after the most silence."""
        if self._used_up_at is None or self._silence_ms >= self._max_silence_ms:
            return None
        return max(self._used_up_at + self._quiet_after_seconds, self._next_silence_at)
