"""Keeps the metrics of a stopped gateway readable until Prometheus has read them."""

from __future__ import annotations

import asyncio
import logging

from asrgateway_server.admission.drain import Drain
from asrgateway_server.admission.event_wait import is_set_within

log = logging.getLogger(__name__)


class LastScrape:
    """Waits between the last call and the end of ``/metrics``.

    Only a counter shows that calls were cut, and it is lost when the process ends at once. If none was cut there is no
    wait, nor if a person stops the gateway by hand.

    Args:
        seconds: How long; a little more than Prometheus's interval.
        drain: Counts the calls that were cut.
    """

    def __init__(self, seconds: float, drain: Drain) -> None:
        self._seconds = seconds
        self._drain = drain
        self._is_expected = False
        self._is_skipped = asyncio.Event()

    def expect(self) -> None:
        """Expect a scrape: the gateway was stopped by a signal of its platform, which also scrapes it."""
        self._is_expected = True

    def skip(self) -> None:
        """Wait no longer."""
        self._is_skipped.set()

    async def wait(self) -> None:
        """Return once the scrape has probably happened."""
        if not self._is_expected or not self._drain.cut_calls:
            return
        log.info("waiting for the last scrape", extra={"seconds": self._seconds, "cut_calls": self._drain.cut_calls})
        await is_set_within(self._is_skipped, self._seconds)
