"""Carries one task on a connection: its input there, its events back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import aiohttp

from asrgateway_server.backends.adapter import Output, Send, WebSocketAdapter
from asrgateway_server.backends.base import Commit, Completed, Emit, TaskInput
from asrgateway_server.backends.bounded_websocket import CLOSE_SECONDS, GONE
from asrgateway_server.backends.unanswered_speech import UnansweredSpeech
from asrgateway_server.config import Update
from asrgateway_server.early_end import EarlyEnd
from asrgateway_server.errors import GatewayError, UpstreamLost, UpstreamProtocolError, first_error
from asrgateway_server.events import Finished
from asrgateway_server.settings import Settings

# How often the waits that nothing else ends are looked at.
_WATCH_SECONDS: Final = 1.0


class Connection(Protocol):
    """What carries the messages of one adapter: a WebSocket, or what stands in for one."""

    @property
    def close_code(self) -> int | None:
        """How it was closed."""

    async def send_str(self, data: str, /) -> None:
        """Send a text message; raise one of ``GONE`` when the connection is gone."""

    async def send_bytes(self, data: bytes, /) -> None:
        """Send a binary message, likewise."""

    async def is_pinged(self) -> bool:
        """Ask for a pong, likewise; return False if none will show, because the library below asks by itself."""

    async def receive(self) -> aiohttp.WSMessage:
        """Return the next message or pong, or how the connection ended; may also raise the error that it ended with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTimeouts:
    """How long an upstream may take.

    Attributes:
        ready_seconds: Until it accepts audio.
        stall_seconds: Until it answers speech or the end, and while it takes no audio.
        ping_seconds: After so much quiet it is sent a ping.
        pong_seconds: Until it answers that.
    """

    ready_seconds: float
    stall_seconds: float
    ping_seconds: float = 20.0
    pong_seconds: float = 10.0


def timeouts_of(settings: Settings) -> UpstreamTimeouts:
    """Return what the operator grants."""
    return UpstreamTimeouts(
        ready_seconds=settings.upstream_ready_timeout_seconds, stall_seconds=settings.upstream_stall_timeout_seconds
    )


class TaskExchange:
    """One task on one connection, from ``start`` to ``Finished``.

    Attributes:
        has_begun: Something was emitted. Before that nothing of the input was taken, so that another task may take its
            place unseen.

    Args:
        connection: Carries it.
        adapter: Says what is sent, and what the answers mean.
        task_input: What the upstream recognizes.
        emit: Takes what it finds.
        timeouts: How long it may take.
        sample_rate_hertz: Of its audio.
        close_error: Returns what it means that the connection was closed too soon.
    """

    def __init__(
        self,
        connection: Connection,
        adapter: WebSocketAdapter,
        task_input: TaskInput,
        emit: Emit,
        timeouts: UpstreamTimeouts,
        sample_rate_hertz: int,
        close_error: Callable[[int | None], GatewayError],
    ) -> None:
        self.has_begun = False
        self._connection = connection
        self._adapter = adapter
        self._task_input = task_input
        self._emit = emit
        self._timeouts = timeouts
        stall_seconds = timeouts.stall_seconds
        self._unanswered = UnansweredSpeech(stall_seconds, sample_rate_hertz) if adapter.answers_speech else None
        self._close_error = close_error
        self._ready = asyncio.Event()
        # While what one message means is passed on, a commit waits: its own answer must not come in between.
        self._is_passed_on = asyncio.Event()
        self._is_passed_on.set()
        self._early_end = EarlyEnd()
        self._emitting = 0
        self._sending_since: float | None = None
        self._received_at = 0.0
        self._emitted_at = 0.0
        self._pinged_at: float | None = None

    async def run(self) -> Completed:
        """Carry the task to its end; raise a GatewayError if the connection ends sooner, or stalls."""
        self._received_at = time.monotonic()
        try:
            async with self._early_end, asyncio.TaskGroup() as self._tasks:
                self._watch_later()
                self._sending = self._tasks.create_task(self._send_loop(), name="send loop")
                completed = await self._receive_loop()
        except BaseExceptionGroup as group:
            raise first_error(group) from group
        finally:
            self._watcher.cancel()
        return completed

    # To the upstream --------------------------------------------------------------------------------------------

    async def _send_loop(self) -> None:
        try:
            await self._send_all()
        except GONE as error:
            # Why the connection ended stands in what it still holds, which the receive loop reads.
            await self._wait(asyncio.Event().wait, CLOSE_SECONDS, "closed the connection")
            raise UpstreamLost("the vendor closed the connection") from error

    async def _send_all(self) -> None:
        ready_seconds, stall_seconds = self._timeouts.ready_seconds, self._timeouts.stall_seconds
        await self._dispatch(self._adapter.start(), time.monotonic())
        await self._wait(self._ready.wait, ready_seconds, "did not start the task")
        while (item := await self._task_input.next()) is not None:
            match item:
                case bytes():
                    if message := self._adapter.audio(item):
                        await self._send(message)
                    if self._unanswered:
                        self._unanswered.sent(item, time.monotonic())
                case Commit():
                    await self._is_passed_on.wait()
                    await self._dispatch(self._adapter.commit(), time.monotonic())
                case Update():
                    await self._dispatch(self._adapter.update(item.adaptation), time.monotonic())
        await self._dispatch(self._adapter.finish(), time.monotonic())
        await self._wait(asyncio.Event().wait, stall_seconds, "did not finish the task")

    async def _send(self, message: str | bytes) -> None:
        self._sending_since = time.monotonic()
        if isinstance(message, bytes):
            await self._connection.send_bytes(message)
        else:
            await self._connection.send_str(message)
        self._sending_since = None

    # From the upstream ------------------------------------------------------------------------------------------

    async def _receive_loop(self) -> Completed:
        while True:
            message = await self._connection.receive()
            read_at = self._received_at = time.monotonic()
            self._pinged_at = None
            match message.type:
                case aiohttp.WSMsgType.TEXT:
                    if self._unanswered:
                        self._unanswered.answered()
                    outputs = self._adapter.receive(message.data)
                    if outputs and isinstance(outputs[-1], Finished):
                        self._sending.cancel()  # The adapter takes nothing more, while what it returned is emitted.
                    self._is_passed_on.clear()
                    if completed := await self._dispatch(outputs, read_at, is_receiving=True):
                        return completed
                    self._is_passed_on.set()
                case aiohttp.WSMsgType.PING | aiohttp.WSMsgType.PONG:
                    pass
                case _:
                    raise self._error_at_end(message)

    async def _dispatch(
        self, outputs: Sequence[Output], read_at: float, *, is_receiving: bool = False
    ) -> Completed | None:
        """Send messages and emit events; return how the task ended if it has."""
        completed = None
        for output in outputs:
            match output:
                case Send() if is_receiving:
                    with contextlib.suppress(*GONE):  # Why it is gone stands in what is still to be read.
                        await self._send(output.message)
                case Send():
                    await self._send(output.message)
                case Finished():
                    completed = Completed(billed_ms=output.billed_ms, read_at=read_at)
                case _:
                    self.has_begun = True
                    self._emitting += 1
                    await self._emit(output, read_at)
                    self._emitting -= 1
                    self._emitted_at = read_at
        if self._adapter.is_ready:
            self._ready.set()
        return completed

    def _error_at_end(self, message: aiohttp.WSMessage) -> GatewayError:
        code = self._connection.close_code
        match message.type:
            case aiohttp.WSMsgType.BINARY:
                return UpstreamProtocolError("the vendor sent a binary message, where its dialect has text only")
            case aiohttp.WSMsgType.ERROR if isinstance(message.data, aiohttp.WebSocketError):
                return UpstreamProtocolError(f"the vendor broke the WebSocket protocol: {message.data.code}")
            case aiohttp.WSMsgType.CLOSE if message.data:
                # The connection has another one by now if the vendor did not stay for the answer.
                code = message.data
        return self._close_error(code)

    # Waits ------------------------------------------------------------------------------------------------------

    def _watch_later(self) -> None:
        timeouts = self._timeouts
        shortest = min(timeouts.stall_seconds, timeouts.ping_seconds, timeouts.pong_seconds)
        delay = min(_WATCH_SECONDS, shortest / 8)
        self._watcher = asyncio.get_running_loop().call_later(delay, self._watch)

    def _watch(self) -> None:
        """End the task once the upstream is taken to be gone, which is not while the client keeps it waiting."""
        now = time.monotonic()
        if self._emitting:
            self._restart_waits(now)
        elif reason := self._stall(now):
            self._early_end.end(UpstreamLost(reason))
            return
        elif self._pinged_at is None and now - self._received_at > self._timeouts.ping_seconds:
            self._received_at = now
            self._tasks.create_task(self._send_ping(now), name="ping")
        self._watch_later()

    def _stall(self, now: float) -> str:
        """Return what the upstream does not do; empty if all is well."""
        timeouts = self._timeouts
        if self._unanswered and self._unanswered.is_too_much(now):
            return f"the vendor left {timeouts.stall_seconds:g} s of speech unanswered"
        if self._sending_since is not None and now - self._sending_since > timeouts.stall_seconds:
            return f"the vendor took no audio for {timeouts.stall_seconds:g} s"
        if self._pinged_at is not None and now - self._pinged_at > timeouts.pong_seconds:
            return f"the vendor did not answer a ping within {timeouts.pong_seconds:g} s"
        return ""

    async def _send_ping(self, now: float) -> None:
        with contextlib.suppress(*GONE):  # The receive loop reads why.
            if await self._connection.is_pinged():
                self._pinged_at = now

    def _restart_waits(self, now: float) -> None:
        """Begin all waits anew: nothing is read from the vendor while the client does not take what has been read."""
        self._received_at = now
        self._pinged_at = None
        if self._unanswered:
            self._unanswered.answered()
        if self._sending_since is not None:
            self._sending_since = now

    async def _wait(self, wait: Callable[[], Awaitable[object]], seconds: float, what: str) -> None:
        """Wait for the vendor; raise UpstreamLost when it takes too long.

        It does not while the client reads what came before, nor while more of that comes.
        """
        while True:
            try:
                async with asyncio.timeout(seconds):
                    await wait()
                    return
            except TimeoutError:
                if not self._emitting and time.monotonic() - self._emitted_at >= seconds:
                    raise UpstreamLost(f"the vendor {what} within {seconds:g} s") from None
