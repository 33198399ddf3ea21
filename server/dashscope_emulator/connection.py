"""What connections of both dialects share: one reader, one writer, time limits, and faults."""

from __future__ import annotations

import abc
import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

from aiohttp import WSMessage, WSMsgType, web

from dashscope_emulator.fault_schedule import FaultSchedule, PendingFaults
from dashscope_emulator.faults import Phase
from dashscope_emulator.journal import Journal, Journals
from dashscope_emulator.knobs import Knobs
from dashscope_emulator.phrases import PhraseLists
from dashscope_emulator.recognizers.base import Recognizers
from dashscope_emulator.sender import Sender
from dashscope_emulator.vocabularies import Vocabularies

_CLOSING: Final = (WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)
_TOKEN_EXPIRED: Final = 1008


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What all connections of one emulator share.

    Attributes:
        knobs: How it behaves.
        time_scale: The vendor's time limits are divided by it.
        recognizers: Where recognisers come from.
        faults: What may go wrong.
        vocabularies: The hot-word lists of the account.
        phrases: Those of the first models.
        journals: What was noted of each task.
    """

    knobs: Knobs
    time_scale: float
    recognizers: Recognizers
    faults: FaultSchedule
    vocabularies: Vocabularies
    phrases: PhraseLists
    journals: Journals


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What the handshake said.

    Attributes:
        connection: The connection's number, from 1.
        model: The model in the query; dialect A names none.
        headers: Names in lower case, without the credential.
        token_expires: When its token does, on the loop's clock; None for a permanent key.
    """

    connection: int
    model: str
    headers: dict[str, str]
    token_expires: float | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A time limit.

    Attributes:
        at: When, on the loop's clock.
        act: What is done then, unless ``at`` has moved in the meantime.
    """

    at: float
    act: Callable[[], Awaitable[None]]


class Connection(abc.ABC):
    """One WebSocket of the emulator, of either dialect."""

    def __init__(self, services: Services, handshake: Handshake, sender: Sender, socket: web.WebSocketResponse) -> None:
        self.services = services
        self.knobs = services.knobs
        self.handshake = handshake
        self.sender = sender
        self.is_over = False
        self.now = asyncio.get_running_loop().time
        self.opened = self.now()
        self._socket = socket
        self._limits_changed = asyncio.Event()
        self._ended = asyncio.Event()

    @abc.abstractmethod
    async def on_open(self) -> None:
        """Greet the client."""

    @abc.abstractmethod
    async def on_message(self, message: WSMessage) -> None:
        """Serve a text, binary or ping message."""

    @abc.abstractmethod
    async def on_end(self) -> None:
        """The connection is gone: give back what its task holds."""

    @abc.abstractmethod
    async def fail(self, code: str, message: str) -> None:
        """Send the client a failure of the server, and close."""

    @abc.abstractmethod
    def unknown_event(self, padding: int) -> str:
        """Return an event that no manual knows, with so many characters of padding."""

    def fail_next_item(self, code: str, message: str) -> None:  # noqa: B027  (dialect A has no items)
        """Let the next item fail."""

    def limits(self) -> Iterator[Limit]:
        """Yield the time limits in force."""
        if self.knobs.connection_seconds:
            yield Limit(self.opened + self.scaled(self.knobs.connection_seconds), self.close_idle)
        if self.knobs.expired_token_closes and self.handshake.token_expires is not None:
            yield Limit(self.handshake.token_expires, self._close_expired)

    async def run(self) -> None:
        """Serve the connection until it ends."""
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self.sender.send_loop(), name="emulator send loop")
                watching = tasks.create_task(self._watch_limits(), name="emulator time limits")
                try:
                    await self._receive_loop()
                finally:
                    await self.on_end()
                    sending.cancel()
                    watching.cancel()
        finally:
            self._ended.set()

    async def close(self, code: int, reason: str = "", *, after_seconds: float = 0.0) -> None:
        """Serve nothing more, and close once everything before has been sent."""
        self.is_over = True
        await self.sender.close(code, reason, after_seconds=after_seconds)

    async def close_idle(self) -> None:
        """Close a connection that was idle, or lived, too long."""
        await self.close(self.knobs.idle_close_code)

    async def shut_down(self, code: int, reason: str) -> None:
        """Close the connection now; wait until it has ended, or the client has had time enough."""
        await self.sender.close_now(code, reason)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.knobs.close_seconds):
                await self._ended.wait()
        self.sender.abort()

    def scaled(self, seconds: float) -> float:
        """Return a time limit of the vendor in real seconds of this emulator."""
        return seconds / self.services.time_scale

    def limits_changed(self) -> None:
        """Have the time limits looked at anew: one may come earlier than before."""
        self._limits_changed.set()

    def faults(self, phase: Phase, journal: Journal) -> PendingFaults:
        """Return the faults that a task of this connection may meet in that phase."""
        connection = self.handshake.connection
        return self.services.faults.select(phase, connection=connection, task=journal.task, model=journal.model)

    async def _receive_loop(self) -> None:
        await self.on_open()
        while (message := await self._receive()) is not None:
            if not (self.is_over or self.sender.is_closed):
                await self.on_message(message)

    async def _receive(self) -> WSMessage | None:
        """Read the next message; None when the connection is over."""
        while True:
            message = await self._socket.receive()
            if message.type in _CLOSING:
                return None
            if message.type is WSMsgType.CLOSE:
                await self.sender.answer_close(message.data)
                return None
            if message.type is WSMsgType.PING:
                with contextlib.suppress(ConnectionError):
                    await self._socket.pong(message.data)
            if message.type is not WSMsgType.PONG:
                return message

    async def _watch_limits(self) -> None:
        """Act on each time limit that passes."""
        while True:
            self._limits_changed.clear()
            limit = None if self.is_over else min(self.limits(), key=lambda limit: limit.at, default=None)
            if limit is not None and limit.at <= self.now():
                await limit.act()
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(limit.at if limit else None):
                    await self._limits_changed.wait()

    async def _close_expired(self) -> None:
        await self.close(_TOKEN_EXPIRED, "token expired")
