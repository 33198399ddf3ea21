"""Limits the open calls of one address, whatever keys they show, if any."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from asrgateway_server.admission.client_identity import address_of
from asrgateway_server.errors import ClientLimitReached
from asrgateway_server.metrics import Metrics


class PeerCalls:
    """Counts open calls by address.

    Args:
        limit: How many one address may have; 0: no limit.
        metrics: Count refused calls.
    """

    def __init__(self, limit: int, metrics: Metrics) -> None:
        self._limit = limit
        self._rejected = metrics.streams_rejected.labels("quota")
        self._open: Counter[str] = Counter()

    @contextmanager
    def counted(self, peer: str) -> Iterator[None]:
        """Count a call while it is open; ``peer`` is gRPC's name of the client's address.

        Raises:
            ClientLimitReached: Its address has reached the limit.
        """
        if not self._limit:
            yield
            return
        address = address_of(peer)
        if self._open[address] >= self._limit:
            self._rejected.inc()
            raise ClientLimitReached(
                f"this address has reached its limit of {self._limit} open calls; try again later",
                retry_after_seconds=1.0,
            )
        self._open[address] += 1
        try:
            yield
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]
