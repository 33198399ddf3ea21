"""Connections that are open before a call needs one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from prometheus_client import Gauge

from asrgateway_server.backends.bounded_websocket import BoundedWebSocket
from asrgateway_server.errors import GatewayError
from asrgateway_server.settings import Settings

# After a failure nothing is opened ahead for so long, doubled for each one more.
_FIRST_BACKOFF_SECONDS: Final = 1.0
_LONGEST_BACKOFF_SECONDS: Final = 60.0
# Where no call has asked for so long, connections that have waited long enough are not replaced.
_FORGOTTEN_AFTER_SECONDS: Final = 300.0
#: With what calls leave, so many times as many may wait as are opened ahead; otherwise each call would open one.
MOST_WAITING: Final = 2


class Place(NamedTuple):
    """What all tasks on a connection have in common, besides the key.

    Attributes:
        endpoint: What the operator calls the vendor's address.
        url: The address with path and query: the dialect, and the model where a connection is made for one.
        workspace: The part of the account.
    """

    endpoint: str
    url: str
    workspace: str


class Opened(NamedTuple):
    """A connection, and the fingerprint of the key with which it was opened."""

    connection: BoundedWebSocket
    key: str


#: Opens one more connection; None: now is not the time. Raises a GatewayError.
OpenAhead = Callable[[], Awaitable[Opened | None]]


@dataclass(slots=True, kw_only=True)
class _Shelf:
    """The connections of one place that wait for a call.

    Attributes:
        gauge: Shows how many there are.
        open_ahead: Opens another one as the last call would.
        key: The fingerprint of the key of them all.
        asked_at: When the last call asked for one.
        waiting: They, each with the task that reads it, in the order in which they came.
        filling: Opens others.
        backoff_seconds: How long nothing is opened after the next failure.
        closed_until: When something may be opened again.
    """

    gauge: Gauge
    open_ahead: OpenAhead
    key: str = ""
    asked_at: float = 0.0
    waiting: dict[BoundedWebSocket, asyncio.Task[object]] = field(default_factory=dict)
    filling: asyncio.Task[object] | None = None
    backoff_seconds: float = _FIRST_BACKOFF_SECONDS
    closed_until: float = 0.0


class ConnectionPool:
    """Keeps connections open for calls to come.

    Each call that asks has the place filled up again, and so has each connection that has waited for as long as it may,
    while calls have come lately. What ends sooner is not replaced before the next call asks: a vendor that closes at
    once or refuses must not be tried for ever.

    Args:
        settings: How many wait at each place, and for how long.
        forgotten_after_seconds: How long a place is kept filled after its last call.
    """

    def __init__(self, settings: Settings, forgotten_after_seconds: float = _FORGOTTEN_AFTER_SECONDS) -> None:
        self._count = settings.warm_connections
        self._seconds = settings.warm_connection_seconds
        self._forgotten_after_seconds = forgotten_after_seconds
        self._shelves: dict[Place, _Shelf] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self._is_closed = False

    async def take(self, place: Place, key: str, open_ahead: OpenAhead, gauge: Gauge) -> Opened | None:
        """Return a connection that is open; None if there is none. Others are opened in its place.

        Args:
            place: What it must be good for.
            key: The fingerprint of the key that the vendor would be shown now.
            open_ahead: Opens others.
            gauge: Shows how many wait.
        """
        if not self._count:
            return None
        shelf = self._shelves.setdefault(place, _Shelf(gauge=gauge, open_ahead=open_ahead))
        if shelf.key != key:
            self._empty(shelf)
        shelf.key, shelf.open_ahead, shelf.asked_at = key, open_ahead, time.monotonic()
        try:
            while shelf.waiting:
                connection = await self._take_newest(shelf)
                if not connection.closed:
                    return Opened(connection, key)
            return None
        finally:
            self._fill_later(shelf)

    def give_back(self, place: Place, opened: Opened) -> bool:
        """Keep a connection that has carried a task for another call; return False if there is no room for it."""
        shelf = self._shelves.get(place)
        return shelf is not None and self._keep(shelf, opened, MOST_WAITING * self._count)

    def replace_all(self, place: Place) -> None:
        """Replace what waits at a place, because a connection from there was gone when it was used."""
        if shelf := self._shelves.get(place):
            self._empty(shelf)
            self._fill_later(shelf)

    async def close(self) -> None:
        """Close everything, and open nothing any more."""
        self._is_closed = True
        for shelf in self._shelves.values():
            if shelf.filling:
                shelf.filling.cancel()
            self._empty(shelf, BoundedWebSocket.leave)
        if self._tasks:
            await asyncio.wait(self._tasks)

    # One connection ---------------------------------------------------------------------------------------------

    def _keep(self, shelf: _Shelf, opened: Opened, most: int) -> bool:
        has_room = len(shelf.waiting) < most and shelf.key == opened.key
        if self._is_closed or not has_room or opened.connection.closed:
            return False
        shelf.waiting[opened.connection] = self._start(self._watch(shelf, opened.connection), "watch warm connection")
        shelf.gauge.inc()
        return True

    async def _watch(self, shelf: _Shelf, connection: BoundedWebSocket) -> None:
        """Read a connection that waits until it has ended, or has waited for as long as it may; then close it."""
        is_old = False
        try:
            async with asyncio.timeout(self._seconds):
                await connection.wait_for_end()
        except TimeoutError:
            is_old = True
        del shelf.waiting[connection]
        shelf.gauge.dec()
        if is_old and time.monotonic() - shelf.asked_at < self._forgotten_after_seconds:
            self._fill_later(shelf)
        await connection.close()

    async def _take_newest(self, shelf: _Shelf) -> BoundedWebSocket:
        """Return the connection that has waited for the shortest time, which is the least likely to have gone."""
        connection, watch = shelf.waiting.popitem()
        shelf.gauge.dec()
        watch.cancel()
        try:
            await asyncio.wait((watch,))
        except BaseException:
            self._start(connection.close(), "close warm connection")
            raise
        return connection

    # All of a place ---------------------------------------------------------------------------------------------

    def _empty(
        self, shelf: _Shelf, close: Callable[[BoundedWebSocket], Coroutine[Any, Any, object]] = BoundedWebSocket.close
    ) -> None:
        while shelf.waiting:
            connection, watch = shelf.waiting.popitem()
            shelf.gauge.dec()
            watch.cancel()
            self._start(close(connection), "close warm connection")

    def _fill_later(self, shelf: _Shelf) -> None:
        is_filling = shelf.filling is not None and not shelf.filling.done()
        may_open = not self._is_closed and time.monotonic() >= shelf.closed_until
        if may_open and not is_filling and len(shelf.waiting) < self._count:
            shelf.filling = self._start(self._fill(shelf), "open warm connections")

    async def _fill(self, shelf: _Shelf) -> None:
        """Open as many as may wait; fewer if the vendor refuses one, or closes those that wait already."""
        try:
            for _ in range(self._count):
                if len(shelf.waiting) >= self._count or (opened := await shelf.open_ahead()) is None:
                    break
                shelf.backoff_seconds = _FIRST_BACKOFF_SECONDS
                if not self._keep(shelf, opened, self._count):
                    await opened.connection.close()
        except GatewayError:
            shelf.closed_until = time.monotonic() + shelf.backoff_seconds
            shelf.backoff_seconds = min(shelf.backoff_seconds * 2, _LONGEST_BACKOFF_SECONDS)

    def _start(self, work: Coroutine[Any, Any, object], name: str) -> asyncio.Task[object]:  # Any: what no task reads
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
