"""How fast a backlog of live audio may drain. Pure: the clock's readings are passed in."""

from __future__ import annotations


class Pacer:
    """Spaces chunks so that audio leaves at most ``speed`` times faster than it lasts.

    Audio that comes at its own speed is never held up; what waited is sent on a little faster, not all at once.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._due = 0.0

    def wait_seconds(self, now: float, chunk_seconds: float) -> float:
        """Return how long the next chunk has to wait."""
        start = max(now, self._due)
        self._due = start + chunk_seconds / self._speed
        return start - now
