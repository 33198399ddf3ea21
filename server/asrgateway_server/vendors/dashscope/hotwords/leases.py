"""What was compiled, once for each content: shared by all calls that want it, and known while one of them runs."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from asrgateway_server.errors import UpstreamRefused
from asrgateway_server.vendors.dashscope.hotwords.content import Content

Clock = Callable[[], float]
Obtain = Callable[[Content], Awaitable[str]]

# Another gateway may delete what nobody seems to use: after so long it is looked up again.
_TRUSTED_SECONDS: Final = 60.0
_MAX_KNOWN: Final = 1000


@dataclass(slots=True, kw_only=True)
class _Known:
    vocabulary_id: str
    found_at: float
    used_at: float


class Leases:
    """Compiled contents, by prefix.

    Args:
        obtain: Finds or makes what a content is compiled to; returns its id.
        clock: Seconds since the epoch.
    """

    def __init__(self, obtain: Obtain, clock: Clock = time.time) -> None:
        self._obtain = obtain
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._users: Counter[str] = Counter()
        self._flights: dict[str, asyncio.Task[str]] = {}

    async def close(self) -> None:
        """Give up what is being compiled."""
        flights = tuple(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    @property
    def is_idle(self) -> bool:
        """Whether no call has or waits for anything."""
        return not self._users and not self._flights

    def is_used(self, prefix: str) -> bool:
        """Whether a running call has it, or waits for it."""
        return self._users[prefix] > 0

    def used_at(self, prefix: str) -> float:
        """When a call last had it; 0: never, as far as is known."""
        known = self._known.get(prefix)
        return known.used_at if known else 0.0

    def forget(self, prefix: str) -> None:
        """Look it up again before its next use."""
        self._known.pop(prefix, None)

    @asynccontextmanager
    async def lease(self, content: Content) -> AsyncIterator[str]:
        """Have a content for the time of a call: its id.

        Raises:
            GatewayError: It can neither be found nor made.
        """
        prefix = content.prefix
        self._users[prefix] += 1
        try:
            yield await self._shared(content)
        except UpstreamRefused:
            self.forget(prefix)  # It may have been deleted.
            raise
        finally:
            self._users[prefix] -= 1
            if not self._users[prefix]:
                del self._users[prefix]
            if known := self._known.get(prefix):
                known.used_at = self._clock()

    async def _shared(self, content: Content) -> str:
        known = self._known.get(content.prefix)
        if known and self._clock() - known.found_at < _TRUSTED_SECONDS:
            return known.vocabulary_id
        flight = self._flights.get(content.prefix)
        if flight is None:
            # In a task of its own, because the call that asks first may end before the others.
            flight = asyncio.create_task(self._fly(content), name="compile hot words")
            self._flights[content.prefix] = flight
            flight.add_done_callback(self._landed(content.prefix))
        return await asyncio.shield(flight)

    async def _fly(self, content: Content) -> str:
        vocabulary_id = await self._obtain(content)
        now = self._clock()
        self._known.pop(content.prefix, None)
        self._known[content.prefix] = _Known(vocabulary_id=vocabulary_id, found_at=now, used_at=now)
        if len(self._known) > _MAX_KNOWN:
            del self._known[next(prefix for prefix in self._known if not self.is_used(prefix))]
        return vocabulary_id

    def _landed(self, prefix: str) -> Callable[[asyncio.Task[str]], None]:
        def landed(flight: asyncio.Task[str]) -> None:
            self._flights.pop(prefix, None)
            if not flight.cancelled():
                flight.exception()  # Calls that waited have got it; perhaps none does any more.

        return landed
