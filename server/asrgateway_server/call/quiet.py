"""When the client is quiet, and when silence is due in its place. Pure: the clock's readings are passed in."""

from __future__ import annotations

import math
from typing import Final

# A burst of more than this says nothing about when the client will speak again.
_MOST_SECONDS: Final = 2.0
# An upstream that was slow is not owed the silence that it missed.
_MOST_OWED_SECONDS: Final = 1.0


class QuietDetector:
    """Each message adds its duration to the client's lead, the clock takes it away; without lead it is quiet.

    A plain pause between messages would not do: clients that send half a second at a time pause for as long.

    Args:
        quiet_after_seconds: How long the lead has to be used up.
        max_silence_seconds: How much silence in a row may stand in for the client; after it nothing does, until audio
            comes.
    """

    def __init__(self, quiet_after_seconds: float, max_silence_seconds: float = math.inf) -> None:
        self._quiet_after_seconds = quiet_after_seconds
        self._max_silence_ms = max_silence_seconds * 1000
        self._silence_ms = 0
        self._used_up_at: float | None = None
        self._next_silence_at = 0.0

    def add(self, now: float, seconds: float) -> None:
        """Count a message that has arrived."""
        if seconds > 0:
            self._silence_ms = 0
        used_up_at = now if self._used_up_at is None else max(now, self._used_up_at)
        self._used_up_at = min(used_up_at + seconds, now + _MOST_SECONDS)

    def hold(self, now: float) -> None:
        """Count the time until now as used: the client could not have sent anything sooner."""
        if self._used_up_at is not None:
            self._used_up_at = max(self._used_up_at, now)

    def add_silence(self, now: float, length_ms: int) -> None:
        """Count silence that stands in for the client."""
        due_at = self.silence_at or now
        self._silence_ms += length_ms
        self._next_silence_at = max(due_at, now - _MOST_OWED_SECONDS) + length_ms / 1000

    @property
    def silence_at(self) -> float | None:
        """When silence stands in, if nothing comes; None before the first audio, and once there was enough of it."""
        if self._used_up_at is None or self._silence_ms >= self._max_silence_ms:
            return None
        return max(self._used_up_at + self._quiet_after_seconds, self._next_silence_at)
