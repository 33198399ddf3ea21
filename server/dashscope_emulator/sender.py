"""The sending half of a connection: messages in order, each when it is due, by one writer."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from dashscope_emulator.knobs import Knobs

_MAX_QUEUED: Final = 256
_CLOCK: Final = "{monotonic_ns}"
# As wide as the largest 64-bit number, so that texts keep their length, and a reader finds the number by its width.
_CLOCK_DIGITS: Final = 19


@dataclass(frozen=True, slots=True)
class _Queued:
    due: float
    send: Callable[[], Awaitable[None]]
    is_last: bool


class Sender:
    """Sends the messages of one connection.

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
        self._queue: asyncio.Queue[_Queued] = asyncio.Queue(_MAX_QUEUED)
        self._is_mute = False
        self._stalled_until = 0.0
        self._delay_seconds = 0.0
        self._jitter_seconds = 0.0
        self._random = random.Random(0)  # noqa: S311  (jitter, and the same in each run)
        self._copies = 0

    @property
    def is_closed(self) -> bool:
        """Whether a close frame has been sent: nothing can follow it."""
        return self._is_closed

    async def send(self, text: str, *, after_seconds: float = 0.0) -> None:
        """Send a text message; ``{monotonic_ns}`` in it becomes the clock at that moment, in 19 digits."""
        await self._put(partial(self._send_text, text), after_seconds)

    async def send_result(self, text: str, *, after_seconds: float = 0.0) -> None:
        """Send a result, which faults may delay or duplicate."""
        after_seconds += self._delay_seconds
        if self._jitter_seconds:
            after_seconds += self._random.uniform(-self._jitter_seconds, self._jitter_seconds)
        await self.send(text, after_seconds=after_seconds)
        if self._copies:
            self._copies -= 1
            await self.send(text, after_seconds=after_seconds)

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        await self._put(partial(self._socket.send_bytes, data))

    async def close(self, code: int, reason: str = "", *, after_seconds: float = 0.0) -> None:
        """Close the connection once everything before has been sent."""
        await self._put(partial(self._send_close, code, reason), after_seconds, is_last=True)

    async def reset(self) -> None:
        """Reset the TCP connection once everything before has been sent."""
        await self._put(self._send_reset, is_last=True)

    def stall(self, seconds: float) -> None:
        """Send nothing new for so long, 0 = for ever; what is queued already is still sent."""
        self._stalled_until = self._clock() + seconds
        # What is not sent for ever is not kept, so a later stall that ends must not end this one.
        self._is_mute |= not seconds

    def delay(self, delay_seconds: float, jitter_seconds: float) -> None:
        """Send all results from now on so much later, plus or minus the jitter."""
        self._delay_seconds = delay_seconds
        self._jitter_seconds = jitter_seconds

    def duplicate(self, count: int) -> None:
        """Send each of the next results twice."""
        self._copies += count

    async def close_now(self, code: int, reason: str = "") -> None:
        """Close the connection now; what is queued is not sent."""
        self._is_mute = True
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(self._knobs.close_seconds):
                await self._send_close(code, reason)

    async def answer_close(self, code: int | None) -> None:
        """Answer the client's close frame, unless it is the answer to ours, and end the connection."""
        await self.close_now(code or WSCloseCode.OK)
        if self._request.transport is not None:
            self._request.transport.close()

    def abort(self) -> None:
        """Reset the TCP connection now."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def send_loop(self) -> None:
        """Send what is queued until the connection ends; after our close frame, wait for the client's.

        A client reads what was sent before the close frame only while the connection lasts: if it is reset at once,
        the client may lose that.
        """
        try:
            while await self._send_next():
                pass
            self._drop_queue()
            await asyncio.sleep(self._knobs.close_seconds)
            self.abort()
        except (ConnectionError, TimeoutError):
            self.abort()
        finally:
            self._drop_queue()

    async def _put(
        self, send: Callable[[], Awaitable[None]], after_seconds: float = 0.0, *, is_last: bool = False
    ) -> None:
        if not self._is_mute:
            due = max(self._clock() + after_seconds, self._stalled_until)
            await self._queue.put(_Queued(due, send, is_last))

    async def _send_next(self) -> bool:
        """Send the next message when it is due; False if it was the last one."""
        queued = await self._queue.get()
        early = queued.due - self._clock()
        if early > 0:
            await asyncio.sleep(early)
        if self._is_closed:
            return False
        async with asyncio.timeout(self._knobs.send_seconds):
            await queued.send()
        return not queued.is_last

    def _drop_queue(self) -> None:
        self._is_mute = True
        while not self._queue.empty():  # a writer that waits for room goes on
            self._queue.get_nowait()

    async def _send_text(self, text: str) -> None:
        if _CLOCK in text:
            text = text.replace(_CLOCK, f"{time.monotonic_ns():0{_CLOCK_DIGITS}}")
        await self._socket.send_str(_encodable(text))

    async def _send_close(self, code: int, reason: str) -> None:
        """Send a close frame; the library's ``close`` would reset the connection without waiting for the answer."""
        if not self._is_closed:
            self._is_closed = True
            await self._socket.send_frame(code.to_bytes(2, "big") + reason.encode(), WSMsgType.CLOSE)

    async def _send_reset(self) -> None:
        self.abort()


def _encodable(text: str) -> str:
    """Return the text without halves of surrogate pairs, which JSON can write and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text
