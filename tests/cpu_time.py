"""What code costs, measured so that a busy machine changes little: this thread's own processor time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


def cpu_seconds(work: Callable[[], object]) -> float:
    """The least of three tries."""

    def once() -> float:
        began = time.thread_time()
        work()
        return time.thread_time() - began

    return min(once() for _ in range(3))


class LoopWatch:
    """Measures each turn of the event loop from its beginning to its end, in processor time of the loop's thread.

    Attributes:
        longest_seconds: The longest turn since it began.
    """

    def __init__(self) -> None:
        self.longest_seconds = 0.0
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> LoopWatch:
        """Begin."""
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *error: object) -> None:
        """End."""
        if self._watching:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _watch(self) -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest_seconds = max(self.longest_seconds, now - before)
            before = now
