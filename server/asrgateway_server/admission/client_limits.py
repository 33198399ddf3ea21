"""Limits of one client: its open calls, and its starts in a minute."""

from __future__ import annotations

import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from asrgateway_server.admission.rate_limit import PerMinute
from asrgateway_server.errors import ClientLimitReached

# Clients whose last starts are remembered. Beyond that the oldest are dropped; those may start again too early.
MAX_REMEMBERED: Final = 10_000
_OPEN_AGAIN_SECONDS: Final = 1.0


class ClientLimits:
    """Counts what each client has open, and how often it starts.

    Args:
        max_streams: Open calls of one client; 0: no limit.
        max_starts_per_minute: Calls that one client may start in a minute; 0: no limit.
        clock: Returns the time in seconds.
    """

    def __init__(
        self, max_streams: int, max_starts_per_minute: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_streams = max_streams
        self._rate = PerMinute(max_starts_per_minute) if max_starts_per_minute else None
        self._clock = clock
        # Bounded by the calls that the gateway has open, and by `MAX_REMEMBERED`.
        self._open: Counter[str] = Counter()
        self._full_at: OrderedDict[str, float] = OrderedDict()

    @property
    def remembered(self) -> int:
        """How many clients are remembered."""
        return len(self._open.keys() | self._full_at.keys())

    @contextmanager
    def admitted(self, client: str) -> Iterator[None]:
        """Count one call of a client while it is open.

        Raises:
            ClientLimitReached: It has too many open, or starts too many.
        """
        self._verify_open(client, 1)
        self._count_start(client)
        with self._opened(client, 1):
            yield

    @contextmanager
    def more_streams(self, client: str, count: int) -> Iterator[None]:
        """Count streams of an open call beyond its first; raise ClientLimitReached if they are too many."""
        self._verify_open(client, count)
        with self._opened(client, count):
            yield

    @contextmanager
    def _opened(self, client: str, count: int) -> Iterator[None]:
        self._open[client] += count
        try:
            yield
        finally:
            self._open[client] -= count
            if not self._open[client]:
                del self._open[client]

    def _verify_open(self, client: str, count: int) -> None:
        if self._max_streams and self._open[client] + count > self._max_streams:
            raise ClientLimitReached(
                f"this client has reached its limit of {self._max_streams} open calls; end one first",
                retry_after_seconds=_OPEN_AGAIN_SECONDS,
            )

    def _count_start(self, client: str) -> None:
        if self._rate is None:
            return
        now = self._clock()
        full_at = self._full_at.get(client, -math.inf)
        if (wait := self._rate.wait_seconds(full_at, now)) > 0:
            raise ClientLimitReached(
                f"this client has reached its limit of {self._rate.count} new calls in a minute; try again later",
                retry_after_seconds=wait,
            )
        self._full_at[client] = self._rate.full_again(full_at, now)
        self._full_at.move_to_end(client)
        self._forget(now)

    def _forget(self, now: float) -> None:
        """Drop clients whose last starts count no more, and the oldest beyond the bound."""
        while self._full_at:
            client, full_at = next(iter(self._full_at.items()))
            if full_at > now and len(self._full_at) <= MAX_REMEMBERED:
                return
            del self._full_at[client]
