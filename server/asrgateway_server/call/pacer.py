"""Limits how fast waiting audio is sent. Pure: times are passed in."""

from __future__ import annotations


class Pacer:
    """Spaces packets: live audio is never delayed; audio that waited is sent a little faster, not all at once."""

    def __init__(self) -> None:
        self._due = 0.0

    def wait_seconds(self, now: float, taken_seconds: float) -> float:
        """Return how long the next packet has to wait; the one after it waits for ``taken_seconds`` more."""
        start = max(now, self._due)
        self._due = start + taken_seconds
        return start - now
