"""Keeps the starts of tasks within what a vendor allows, so that it need not refuse any."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from typing import Final

from asrgateway_server.backends.vendor_access import Access
from asrgateway_server.errors import Overloaded
from asrgateway_server.metrics import Metrics
from asrgateway_server.settings import Settings

# Clients may bring keys, each of which is an account; beyond so many, those without a start for the longest go.
_MAX_BUCKETS: Final = 1000


class TokenBucket:
    """A bucket of tokens, each of which comes back a while after its use. Pure: the time is passed in.

    A bucket that fills up steadily lets nearly twice its count through in its first second. This one never lets more
    than its rate through in any second, however a vendor counts them.

    Args:
        per_second: How many starts there may be in any second; fewer than one is possible.
    """

    def __init__(self, per_second: float) -> None:
        self._count = math.ceil(per_second)
        self._away_seconds = self._count / per_second
        #: When the tokens that are not back were used, or will be, in this order.
        self._turns: deque[float] = deque()

    def next_turn(self, now: float) -> float:
        """Return when the next token can be used, behind those that are promised."""
        while self._turns and self._turns[0] + self._away_seconds <= now:
            self._turns.popleft()
        if not self._turns:
            return now
        back_at = -math.inf
        if len(self._turns) >= self._count:
            back_at = self._turns[-self._count] + self._away_seconds
        return max(now, self._turns[-1], back_at)

    def spare_turn(self, now: float) -> float:
        """Return when more than half of the tokens will be there, if nobody takes more."""
        self.next_turn(now)
        least = len(self._turns) * 2 - self._count
        if least < 0:
            return now
        return self._turns[least // 2] + self._away_seconds

    def take(self, turn: float) -> None:
        """Promise a token for the time that ``next_turn`` has returned."""
        self._turns.append(turn)

    def give_back(self, turn: float) -> None:
        """Take a promise back; those that were made after it stay as they are."""
        if turn in self._turns:
            self._turns.remove(turn)


class StartLimiter:
    """Lets tasks start in the order in which they ask, as fast as the vendor allows for their account and model."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._per_second = settings.max_task_starts_per_second
        self._wait_seconds = settings.max_task_start_wait_seconds
        self._waits = metrics.start_waits
        self._rejections = metrics.start_rejections
        self._buckets: dict[tuple[str, str], TokenBucket] = {}

    async def wait_for_turn(self, access: Access, model: str) -> None:
        """Wait until a task may start.

        Raises:
            Overloaded: That would take too long.
        """
        if not self._per_second:
            return
        bucket = self._bucket(access.account, model)
        now = time.monotonic()
        turn = bucket.next_turn(now)
        wait_seconds = turn - now
        if wait_seconds > self._wait_seconds:
            self._rejections[access.is_callers].inc()
            raise Overloaded(
                "more tasks of this model are being started than the vendor takes at once; try again later",
                retry_after_seconds=wait_seconds,
            )
        bucket.take(turn)
        if wait_seconds > 0:
            try:
                await asyncio.sleep(wait_seconds)
            except BaseException:
                bucket.give_back(turn)
                raise
        self._waits[access.is_callers].observe(wait_seconds)

    async def wait_for_spare_turn(self, access: Access, model: str) -> None:
        """Wait until something may start that no call waits for, and that leaves enough turns for those which come."""
        if not self._per_second:
            return
        bucket = self._bucket(access.account, model)
        while (turn := bucket.spare_turn(now := time.monotonic())) > now:  # noqa: ASYNC110 only time brings tokens back
            await asyncio.sleep(turn - now)
        bucket.take(now)

    def _bucket(self, account: str, model: str) -> TokenBucket:
        bucket = self._buckets.pop((account, model), None) or TokenBucket(self._per_second)
        self._buckets[account, model] = bucket  # The last one by now.
        if len(self._buckets) > _MAX_BUCKETS:
            del self._buckets[next(iter(self._buckets))]
        return bucket
