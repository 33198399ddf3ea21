"""Keeps the metrics of a stopped gateway readable until Prometheus has read them."""

from __future__ import annotations

import asyncio
import logging

from asrgateway_server.grpc_api.drain import Drain
from asrgateway_server.grpc_api.event_wait import is_set_within

log = logging.getLogger(__name__)


class LastScrape:
    """The time between the last call and the end of ``/metrics``.

    That calls were cut is known from a counter alone, which a process that ends at once takes with it. Where none was
    cut nothing is waited for, nor where somebody stops the gateway by hand and waits for it himself.

    Args:
        seconds: How long; a little more than Prometheus's interval.
        drain: Whose calls were cut.
    """

    def __init__(self, seconds: float, drain: Drain) -> None:
        self._seconds = seconds
        self._drain = drain
        self._is_expected = False
        self._is_skipped = asyncio.Event()

    def expect(self) -> None:
        """Wait for it: the gateway is stopped by what also watches it."""
        self._is_expected = True

    def skip(self) -> None:
        """Wait no longer."""
        self._is_skipped.set()

    async def wait(self) -> None:
        """Return once it may be taken for granted."""
        if not self._is_expected or not self._drain.cut_calls:
            return
        log.info("waiting for the last scrape", extra={"seconds": self._seconds, "cut_calls": self._drain.cut_calls})
        await is_set_within(self._is_skipped, self._seconds)
