"""News for one call that its gateway is going to end it."""

from __future__ import annotations

import asyncio
import time


class GoingAwayNotice:
    """When a call has to end.

    Attributes:
        deadline: By ``time.monotonic()``; None while the call may last.
        news: Set when the deadline was.
    """

    def __init__(self) -> None:
        self.deadline: float | None = None
        self.news = asyncio.Event()

    def announce(self, seconds: float) -> None:
        """Let the client be told that so much time is left."""
        self.deadline = time.monotonic() + seconds
        self.news.set()
