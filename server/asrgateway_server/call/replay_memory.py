"""Bounds the audio that all calls of the process keep for a replay. Pure."""

from __future__ import annotations

from typing import Protocol


class Log(Protocol):
    """What keeps audio."""

    @property
    def kept_bytes(self) -> int:
        """How much could be given up."""

    def drop(self, size: int) -> None:
        """Give up the oldest audio."""


class ReplayMemory:
    """The audio kept by all logs. When it is too much, the longest log gives up the older half of its own.

    Attributes:
        held_bytes: What all logs hold.

    Args:
        limit_bytes: The most that they may hold.
    """

    def __init__(self, limit_bytes: float) -> None:
        self.held_bytes = 0
        self._limit_bytes = limit_bytes
        self._logs: set[Log] = set()

    @property
    def has_spare_room(self) -> bool:
        """Whether less than half is held. Only so much may be audio that lags: it cannot be given up."""
        return self.held_bytes < self._limit_bytes / 2

    def grown(self, log: Log, size: int) -> None:
        """Count what a log has taken in; shorten the longest logs if it is too much."""
        self._logs.add(log)
        self.held_bytes += size
        while self.held_bytes > self._limit_bytes:
            longest = max(self._logs, key=lambda one: one.kept_bytes)
            if not longest.kept_bytes:
                return
            longest.drop(max(longest.kept_bytes // 2 & ~1, 2))

    def shrunk(self, size: int) -> None:
        """Count what a log has given up."""
        self.held_bytes -= size

    def closed(self, log: Log, size: int) -> None:
        """Forget a log, and what it held."""
        self._logs.discard(log)
        self.held_bytes -= size
