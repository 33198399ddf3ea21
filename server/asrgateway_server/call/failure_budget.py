"""How many failures of its upstream a call takes before it gives up. Pure: times and chance are passed in."""

from __future__ import annotations

from collections import deque
from typing import Final

_WINDOW_SECONDS: Final = 60.0
_HEALTHY_SECONDS: Final = 30.0
_PAUSE_FACTOR: Final = 3.0
_LONGEST_PAUSE_SECONDS: Final = 10.0


class FailureBudget:
    """Counts the failures within a minute in which the call was connected.

    A final result, or half a minute of one task, renews the budget; an open socket does not.

    Args:
        max_failures: So many are taken; one more is too many.
        first_pause_seconds: The pause after the first failure; each further one is three times as long.
    """

    def __init__(self, max_failures: int, first_pause_seconds: float) -> None:
        self._max_failures = max_failures
        self._first_pause_seconds = first_pause_seconds
        self._connected_seconds = 0.0
        self._failures: deque[float] = deque()

    @property
    def is_spent(self) -> bool:
        """Whether there were too many."""
        return len(self._failures) > self._max_failures

    def renew(self) -> None:
        """Forget all failures: the call makes progress."""
        self._failures.clear()

    def task_ran(self, seconds: float) -> bool:
        """Count the time for which a task was connected; return whether that was long enough to renew the budget."""
        self._connected_seconds += seconds
        is_healthy = seconds >= _HEALTHY_SECONDS
        if is_healthy:
            self.renew()
        return is_healthy

    def failed(self) -> None:
        """Count a failure."""
        self._failures.append(self._connected_seconds)
        while self._failures[0] < self._connected_seconds - _WINDOW_SECONDS:
            self._failures.popleft()

    def pause_seconds(self, chance: float) -> float:
        """Return how long to wait before the next attempt.

        Args:
            chance: 0 to 1; at least half of the pause is waited, so that many calls do not come back at once.
        """
        longest = self._first_pause_seconds * _PAUSE_FACTOR ** max(len(self._failures) - 1, 0)
        return min(longest, _LONGEST_PAUSE_SECONDS) * (0.5 + chance / 2)
