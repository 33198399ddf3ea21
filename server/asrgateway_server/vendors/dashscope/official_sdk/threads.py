"""What crosses from the threads of the vendor's SDK to the event loop, and what the SDK is given of the vendor."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from asrgateway_server.errors import GatewayError, UpstreamProtocolError

#: Runs what blocks in a thread, at once, whether it is awaited or not.
RunInThread = Callable[[Callable[[], object]], Awaitable[object]]

# A second or two of results. A thread with more waits, and then no longer reads from the vendor.
INBOX_ITEMS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where the vendor is, and who asks.

    Attributes:
        url: Scheme, host and port, such as ``wss://dashscope.aliyuncs.com``.
        key: Returns the key for a connection that is opened now. It is never a module's global, so that calls with
            different keys do not meet.
        workspace: Sent along; None: that of the key.
        timeout_seconds: How long a handshake may take.
    """

    url: str
    key: Callable[[], Awaitable[str]] = field(repr=False)
    workspace: str | None = None
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Closed:
    """The vendor closed the connection, with this code if it gave one."""

    code: int | None = None


class Pong:
    """The vendor answered a ping."""


#: A message of the vendor, how the connection ended, or why it never began.
Arrival = str | Closed | Pong | GatewayError


class Inbox:
    """A bounded queue out of the SDK's threads; made on the event loop that reads it."""

    def __init__(self, capacity: int = INBOX_ITEMS) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Arrival] = asyncio.Queue()
        self._room = threading.Semaphore(capacity)
        self._is_closed = False
        self._is_empty = True

    @property
    def has_messages(self) -> bool:
        """Whether the vendor has ever said anything."""
        return not self._is_empty

    def put(self, arrival: Arrival) -> None:
        """Add what arrived, from any thread but the loop's own; wait for room, and drop what comes after the end."""
        self._room.acquire()
        if self._is_closed:
            self._room.release()
            return
        with contextlib.suppress(RuntimeError):  # The loop is closed: nobody reads any more.
            self._loop.call_soon_threadsafe(self._queue.put_nowait, arrival)

    async def get(self) -> Arrival:
        """Return the next arrival, in order."""
        arrival = await self._queue.get()
        self._room.release()
        self._is_empty &= not isinstance(arrival, str)
        return arrival

    def close(self) -> None:
        """Drop what comes from now on; threads that wait for room go on at once."""
        self._is_closed = True
        self._room.release()  # Each of them lets in the next.


def message_of(arrival: Arrival) -> aiohttp.WSMessage:
    """Return what a WebSocket of our own would have given; raise the error that ended the connection."""
    match arrival:
        case str():
            return aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, arrival, None)
        case Closed():
            return aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None)
        case Pong():
            return aiohttp.WSMessage(aiohttp.WSMsgType.PONG, b"", None)
        case _:
            raise arrival


def unreadable() -> GatewayError:
    """Return what a message means that the SDK gives up on."""
    return UpstreamProtocolError("the vendor sent what its SDK cannot read")
