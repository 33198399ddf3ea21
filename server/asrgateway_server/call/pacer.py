"""Limits how fast waiting audio is sent. Pure: times are passed in."""

from __future__ import annotations


class Pacer:
    """Spaces packets so that audio is sent at most ``speed`` times faster than realtime.

    Live audio is never delayed; audio that waited is sent a little faster, not all at once.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._due = 0.0

    def wait_seconds(self, now: float, packet_seconds: float) -> float:
        """Return how long the next packet has to wait."""
        start = max(now, self._due)
        self._due = start + packet_seconds / self._speed
        return start - now
