"""What the emulator sends on one connection: in order, when it is due, by one writer."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Final

from aiohttp import web

_MAX_WAITING: Final = 256
_CLOCK: Final = "{monotonic_ns}"


@dataclass(frozen=True, slots=True)
class _Message:
    due: float
    data: str | bytes


@dataclass(frozen=True, slots=True)
class _Close:
    due: float
    code: int
    reason: bytes


@dataclass(frozen=True, slots=True)
class _Reset:
    due: float


class Line:
    """The sending half of a connection.

    Args:
        socket: The connection, upgraded.
        request: Its handshake.
        send_seconds: How long to wait for a client that does not read, before it is cut off.
    """

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, send_seconds: float) -> None:
        self._socket = socket
        self._request = request
        self._send_seconds = send_seconds
        self._clock = asyncio.get_running_loop().time
        self._waiting: asyncio.Queue[_Message | _Close | _Reset] = asyncio.Queue(_MAX_WAITING)
        self._is_mute = False
        self._held_until = 0.0
        self._delay_seconds = 0.0
        self._jitter_seconds = 0.0
        self._random = random.Random(0)  # noqa: S311  (jitter, and the same in each run)
        self._copies = 0

    async def say(self, text: str, *, after_seconds: float = 0.0) -> None:
        """Send a text message; ``{monotonic_ns}`` in it becomes the clock at that moment."""
        await self._put(_Message(self._due(after_seconds), text))

    async def say_result(self, text: str, *, after_seconds: float = 0.0) -> None:
        """Send a message that faults may delay or double."""
        after_seconds += self._delay_seconds
        if self._jitter_seconds:
            after_seconds += self._random.uniform(-self._jitter_seconds, self._jitter_seconds)
        await self.say(text, after_seconds=after_seconds)
        if self._copies:
            self._copies -= 1
            await self.say(text, after_seconds=after_seconds)

    async def say_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        await self._put(_Message(self._due(), data))

    async def close(self, code: int, reason: str = "", *, after_seconds: float = 0.0) -> None:
        """Close the connection once everything before has been sent."""
        await self._put(_Close(self._due(after_seconds), code, reason.encode()))

    async def reset(self) -> None:
        """Cut the TCP connection once everything before has been sent."""
        await self._put(_Reset(self._due()))

    def pause(self, seconds: float) -> None:
        """Say nothing for so long, 0 = ever again; what has been said is still sent."""
        self._held_until = self._clock() + seconds
        self._is_mute = not seconds

    def delay(self, delay_seconds: float, jitter_seconds: float) -> None:
        """Send the results from now on later."""
        self._delay_seconds = delay_seconds
        self._jitter_seconds = jitter_seconds

    def double(self, count: int) -> None:
        """Send the next results twice."""
        self._copies += count

    async def speak(self) -> None:
        """Send what is said until the connection ends."""
        try:
            while await self._send(await self._waiting.get()):
                pass
        except (ConnectionError, TimeoutError):
            self._cut()
        finally:
            self._is_mute = True
            while not self._waiting.empty():  # whoever waits for room goes on
                self._waiting.get_nowait()

    def _due(self, after_seconds: float = 0.0) -> float:
        return max(self._clock() + after_seconds, self._held_until)

    async def _put(self, item: _Message | _Close | _Reset) -> None:
        if not self._is_mute:
            await self._waiting.put(item)

    async def _send(self, item: _Message | _Close | _Reset) -> bool:
        """Send one item when it is due; False if it was the last."""
        early = item.due - self._clock()
        if early > 0:
            await asyncio.sleep(early)
        async with asyncio.timeout(self._send_seconds):
            match item:
                case _Message(data=str(text)):
                    if _CLOCK in text:
                        text = text.replace(_CLOCK, str(time.monotonic_ns()))
                    await self._socket.send_str(text)
                case _Message(data=bytes(data)):
                    await self._socket.send_bytes(data)
                case _Close(code=code, reason=reason):
                    await self._socket.close(code=code, message=reason)
                case _Reset():
                    self._cut()
        return isinstance(item, _Message)

    def _cut(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()
