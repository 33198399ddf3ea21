"""A stream into which silence was put: where its times lie in the stream without it."""

from __future__ import annotations

from bisect import bisect_right


class InsertedSilence:
    """Remembers where silence was put in, and takes it out of times.

    Times are milliseconds from the beginning of the stream, silence included.

    Attributes:
        added_ms: All the silence that was put in.
    """

    def __init__(self) -> None:
        self.added_ms = 0
        # Spans in order, none touching the next, and how much silence lies before each.
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._before: list[int] = []

    def add(self, start_ms: int, length_ms: int) -> None:
        """Note silence of ``length_ms`` at ``start_ms``; never before silence that was noted earlier."""
        if self._ends and self._ends[-1] == start_ms:
            self._ends[-1] += length_ms
        else:
            self._starts.append(start_ms)
            self._ends.append(start_ms + length_ms)
            self._before.append(self.added_ms)
        self.added_ms += length_ms

    def without(self, time_ms: int) -> int:
        """Return a time in the stream without the silence; one within silence becomes the place where it was put."""
        index = bisect_right(self._starts, time_ms) - 1
        if index < 0:
            return time_ms
        inside = min(time_ms, self._ends[index]) - self._starts[index]
        return time_ms - self._before[index] - inside
