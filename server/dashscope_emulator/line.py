"""What the emulator sends on one connection: in order, when it is due, by one writer."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from dashscope_emulator.knobs import Knobs

_MAX_WAITING: Final = 256
_CLOCK: Final = "{monotonic_ns}"
# As wide as the largest 64-bit number, so that texts keep their length, and a reader finds the number by its width.
_CLOCK_DIGITS: Final = 19


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
        knobs: How long to wait for a client that does not read, or does not answer a close frame.
    """

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, knobs: Knobs) -> None:
        self._socket = socket
        self._request = request
        self._knobs = knobs
        self._is_closed = False
        self._clock = asyncio.get_running_loop().time
        self._waiting: asyncio.Queue[_Message | _Close | _Reset] = asyncio.Queue(_MAX_WAITING)
        self._is_mute = False
        self._held_until = 0.0
        self._delay_seconds = 0.0
        self._jitter_seconds = 0.0
        self._random = random.Random(0)  # noqa: S311  (jitter, and the same in each run)
        self._copies = 0

    @property
    def is_closed(self) -> bool:
        """A close frame has been sent: nothing can follow it."""
        return self._is_closed

    async def say(self, text: str, *, after_seconds: float = 0.0) -> None:
        """Send a text message; ``{monotonic_ns}`` in it becomes the clock at that moment, in 19 digits."""
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

    async def goodbye(self, code: int, reason: str) -> None:
        """Close the connection now, whatever still waits to be sent."""
        self._is_mute = True
        await self._close_now(code, reason.encode())

    async def answer_close(self, code: int | None) -> None:
        """The client has sent a close frame: answer it, unless it is the answer to ours, and end the connection."""
        self._is_mute = True
        await self._close_now(code or WSCloseCode.OK)
        if self._request.transport is not None:
            self._request.transport.close()

    async def speak(self) -> None:
        """Send what is said until the connection ends; after our close frame, wait for the client's.

        A client reads what was sent before the close frame only while the connection lasts: one that is cut at once
        may lose it.
        """
        try:
            while await self._send(await self._waiting.get()):
                pass
            self._fall_silent()
            await asyncio.sleep(self._knobs.close_seconds)
            self.cut()
        except (ConnectionError, TimeoutError):
            self.cut()
        finally:
            self._fall_silent()

    def _fall_silent(self) -> None:
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
        if self._is_closed:
            return False
        async with asyncio.timeout(self._knobs.send_seconds):
            match item:
                case _Message(data=str(text)):
                    if _CLOCK in text:
                        text = text.replace(_CLOCK, f"{time.monotonic_ns():0{_CLOCK_DIGITS}}")
                    await self._socket.send_str(_encodable(text))
                case _Message(data=bytes(data)):
                    await self._socket.send_bytes(data)
                case _Close(code=code, reason=reason):
                    await self._send_close(code, reason)
                case _Reset():
                    self.cut()
        return isinstance(item, _Message)

    async def _close_now(self, code: int, reason: bytes = b"") -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(self._knobs.close_seconds):
                await self._send_close(code, reason)

    async def _send_close(self, code: int, reason: bytes) -> None:
        """Not by the library's ``close``, which cuts the connection without waiting for the answer."""
        if not self._is_closed:
            self._is_closed = True
            await self._socket.send_frame(code.to_bytes(2, "big") + reason, WSMsgType.CLOSE)

    def cut(self) -> None:
        """Cut the TCP connection."""
        if self._request.transport is not None:
            self._request.transport.abort()


def _encodable(text: str) -> str:
    """The text without halves of characters, which JSON can name and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text
