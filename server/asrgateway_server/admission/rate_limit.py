"""Limits how often something may happen. Pure: the time is passed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MINUTE_SECONDS: Final = 60.0
# Shorter waits are rounding errors of sums.
_DECIMALS: Final = 6


@dataclass(frozen=True, slots=True)
class PerMinute:
    """A token bucket of one minute: all may come at once, then the bucket fills up again steadily.

    Its state is one number: when the bucket will be full again. A time in the past, such as ``-math.inf``, is a full
    bucket.

    Source: the generic cell rate algorithm, ITU-T I.371.

    Attributes:
        count: How many in a minute.
    """

    count: int

    def wait_seconds(self, full_at: float, now: float) -> float:
        """Return how long the next one has to wait; 0: no wait."""
        empty_for = self.full_again(full_at, now) - now - _MINUTE_SECONDS
        return max(round(empty_for, _DECIMALS), 0.0)

    def full_again(self, full_at: float, now: float) -> float:
        """Return when the bucket will be full again after one more is taken."""
        return max(full_at, now) + _MINUTE_SECONDS / self.count
