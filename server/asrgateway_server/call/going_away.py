"""The notice to a client that its call has to end soon."""

from __future__ import annotations

import asyncio
import time


class GoingAwayNotice:
    """When a call has to end.

    Attributes:
        deadline: By ``time.monotonic()``; None while the call has none.
        announced: Set when the deadline is.
    """

    def __init__(self) -> None:
        self.deadline: float | None = None
        self.announced = asyncio.Event()

    def announce(self, seconds: float) -> None:
        """Set the deadline; the responder then sends it to the client."""
        self.deadline = time.monotonic() + seconds
        self.announced.set()
