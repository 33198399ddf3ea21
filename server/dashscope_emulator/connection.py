"""What connections of both dialects share: one reader, one writer, one watch, and the faults that befall them."""

from __future__ import annotations

import abc
import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aiohttp import WSMessage, WSMsgType, web

from dashscope_emulator.audio_input import AudioInput
from dashscope_emulator.faults import (
    Action,
    Close,
    Delay,
    Drop,
    Duplicate,
    Fail,
    FailItem,
    FaultBook,
    Garbage,
    Garble,
    Refuse,
    SlowRead,
    Stall,
    Throttle,
)
from dashscope_emulator.journal import Journals
from dashscope_emulator.knobs import Knobs
from dashscope_emulator.line import Line
from dashscope_emulator.phrases import PhraseLists
from dashscope_emulator.recognizers.base import Recognizers
from dashscope_emulator.vocabularies import Vocabularies

_HUGE_CHARACTERS: Final = 10 * 1024 * 1024
_CLOSING: Final = (WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)
_MUCH_BYTES: Final = 32 * 1024
_MAX_HELD_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What all connections of one emulator share.

    Attributes:
        knobs: How it behaves.
        time_scale: Limits of time are divided by it.
        recognizers: Who hears the audio.
        faults: What may befall a connection.
        vocabularies: The hot-word lists.
        phrases: Those of the first models.
        journals: What was noted of each task.
    """

    knobs: Knobs
    time_scale: float
    recognizers: Recognizers
    faults: FaultBook
    vocabularies: Vocabularies
    phrases: PhraseLists
    journals: Journals


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who is connected.

    Attributes:
        number: The connection's number, from 1.
        headers: The handshake's, names in lower case, without the credential.
        token_expires: When its token does, on the loop's clock; None for a permanent key.
    """

    number: int
    headers: dict[str, str]
    token_expires: float | None = None


class Connection(abc.ABC):
    """One WebSocket of the emulator, of either dialect."""

    def __init__(self, world: World, peer: Peer, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.world = world
        self.knobs = world.knobs
        self.peer = peer
        self.line = Line(socket, request, world.knobs)
        self._socket = socket
        self._held: deque[WSMessage] = deque()
        self._clock = asyncio.get_running_loop().time
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self.opened = self._clock()
        self.item_failures: deque[FailItem] = deque()

    async def converse(self) -> None:
        """Serve the connection until it ends."""
        try:
            await self._serve_messages()
        finally:
            self._ended.set()

    async def goodbye(self, code: int, reason: str) -> None:
        """Close the connection; wait until it has ended, or the client has had time enough."""
        await self.line.goodbye(code, reason)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.knobs.close_seconds):
                await self._ended.wait()
        self.line.cut()

    async def _serve_messages(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            others = [
                tasks.create_task(self.line.speak(), name="emulator speaks"),
                tasks.create_task(self._watch(), name="emulator watches"),
            ]
            try:
                await self.begin()
                while (message := await self._next_message()) is not None:
                    if not self.line.is_closed:  # what comes after our close frame is not heard
                        await self.heard(message)
            finally:
                await self.over()
                for other in others:
                    other.cancel()

    @abc.abstractmethod
    async def begin(self) -> None:
        """The connection is open."""

    @abc.abstractmethod
    async def heard(self, message: WSMessage) -> None:
        """The client sent a text, binary or ping message."""

    @abc.abstractmethod
    async def over(self) -> None:
        """The connection is gone: give back what its task holds."""

    @abc.abstractmethod
    def deadline(self) -> float | None:
        """When ``overdue`` must be asked next, on the loop's clock; None = not before something changes."""

    @abc.abstractmethod
    async def overdue(self) -> None:
        """A deadline has passed: do what it asks."""

    @abc.abstractmethod
    async def fail(self, code: str, message: str) -> None:
        """Tell the client that this went wrong, and close."""

    @abc.abstractmethod
    def strange_event(self, padding: int) -> str:
        """An event nobody knows, with so many characters of padding."""

    @staticmethod
    async def decoded(audio_input: AudioInput, data: bytes) -> bytes:
        """Decode what has come; much at once in a thread, so that other connections go on.

        Raises:
            UndecodableAudio: It is not what was declared.
        """
        if len(data) < _MUCH_BYTES:
            return audio_input.feed(data)
        return await asyncio.to_thread(audio_input.feed, data)

    def now(self) -> float:
        """The loop's clock in seconds."""
        return self._clock()

    def scaled(self, seconds: float) -> float:
        """A limit of the vendor in real seconds of this emulator."""
        return seconds / self.world.time_scale

    def changed(self) -> None:
        """Have the watch look at the deadlines anew."""
        self._changed.set()

    async def hold_messages(self, seconds: float, *, only_one: bool = False) -> bool:
        """Read what comes within so much time, to be heard afterwards.

        No more than a mebibyte is read: the rest waits in the connection.

        Args:
            seconds: How long.
            only_one: Return as soon as there is something.

        Returns:
            Whether anything has come; a ping is nothing.
        """
        until = self.now() + seconds
        size = count = 0
        while (left := until - self.now()) > 0 and size < _MAX_HELD_BYTES:
            try:
                message = await self._receive(left)
            except TimeoutError:
                break
            if message is None:
                break
            self._held.append(message)
            size += len(message.data)
            count += message.type is not WSMsgType.PING
            if count and only_one:
                break
        else:
            await asyncio.sleep(left)
        return count > 0

    async def _next_message(self) -> WSMessage | None:
        return self._held.popleft() if self._held else await self._receive()

    async def _receive(self, timeout_seconds: float | None = None) -> WSMessage | None:
        """Read the next message; None when the connection is over.

        Raises:
            TimeoutError: Nothing came in that time.
        """
        while True:
            message = await self._socket.receive(timeout_seconds)
            if message.type in _CLOSING:
                return None
            if message.type is WSMsgType.CLOSE:
                await self.line.answer_close(message.data)
                return None
            if message.type is WSMsgType.PING:
                with contextlib.suppress(ConnectionError):
                    await self._socket.pong(message.data)
            if message.type is not WSMsgType.PONG:
                return message

    async def suffer(self, actions: Iterable[Action]) -> None:
        """Let faults strike."""
        for action in actions:
            await self._suffer(action)

    async def _suffer(self, action: Action) -> None:  # noqa: C901  (one line for each action)
        match action:
            case Stall(seconds=seconds):
                self.line.pause(seconds)
            case Drop():
                await self.line.reset()
            case Close(code=code, reason=reason):
                await self.line.close(code, reason)
            case Fail(code=code, message=message):
                await self.fail(code, message)
            case Throttle(starts_per_second=limit):
                if self.world.faults.is_too_fast(limit, self.now()):
                    await self.fail("Throttling.RateQuota", "Requests rate limit exceeded, please try again later.")
            case Duplicate(count=count):
                self.line.double(count)
            case Garble(kind=kind):
                await self._garble(kind)
            case Delay(delay_ms=delay_ms, jitter_ms=jitter_ms):
                self.line.delay(delay_ms / 1000, jitter_ms / 1000)
            case SlowRead(seconds=seconds):
                await asyncio.sleep(seconds)
            case FailItem() as failure:
                self.item_failures.append(failure)
            case Refuse():
                await self.line.close(1011)

    async def _garble(self, kind: Garbage) -> None:
        match kind:
            case Garbage.BROKEN_JSON:
                await self.line.say('{"header": {"event": "result-gener')
            case Garbage.BINARY:
                await self.line.say_bytes(b"\x00\x01\x02\xff")
            case Garbage.HUGE:
                await self.line.say(self.strange_event(_HUGE_CHARACTERS))
            case Garbage.UNKNOWN_EVENT:
                await self.line.say(self.strange_event(0))

    async def _watch(self) -> None:
        """Ask about deadlines as they pass."""
        while True:
            self._changed.clear()
            deadline = self.deadline()
            if deadline is not None and deadline <= self.now():
                await self.overdue()
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
