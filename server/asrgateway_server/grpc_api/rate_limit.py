"""How often something may happen. Pure: the clock's readings are passed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MINUTE_SECONDS: Final = 60.0
# Shorter waits are what adding seconds up leaves behind.
_DECIMALS: Final = 6


@dataclass(frozen=True, slots=True)
class PerMinute:
    """So many a minute, of which all may come at once: a bucket that fills up again little by little.

    What is to be remembered of it is one number: when the bucket will be full again. A time in the past, such as
    ``-math.inf``, is a full one.

    Source: the generic cell rate algorithm, ITU-T I.371.

    Attributes:
        count: How many.
    """

    count: int

    def wait_seconds(self, full_at: float, now: float) -> float:
        """Return how long the next one has to wait; 0: not at all."""
        empty_for = self.full_again(full_at, now) - now - _MINUTE_SECONDS
        return max(round(empty_for, _DECIMALS), 0.0)

    def full_again(self, full_at: float, now: float) -> float:
        """Return when the bucket will be full again, once one more was taken."""
        return max(full_at, now) + _MINUTE_SECONDS / self.count
