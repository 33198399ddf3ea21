"""One task on one connection, whose vendor may be gone without a word."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, cast

import aiohttp
import pytest
from aiohttp import web

import messages
from asrgateway_server.backends.adapter import Output
from asrgateway_server.backends.base import Commit, Emit
from asrgateway_server.backends.bounded_websocket import BoundedWebSocket
from asrgateway_server.backends.task_exchange import TaskExchange, UpstreamTimeouts
from asrgateway_server.config import Adaptation, AudioFormat, RecognitionConfig
from asrgateway_server.errors import GatewayError, UpstreamLost
from asrgateway_server.events import BackendEvent, CommitEmpty, FinalResult, Finished, InterimResult
from asrgateway_server.vendors.dashscope.adapters.paraformer import ParaformerAdapter
from asrgateway_server.vendors.dashscope.adapters.qwen3_asr import Qwen3AsrAdapter
from asrgateway_server.vendors.dashscope.adapters.run_task import PATH
from asrgateway_server.vendors.dashscope.catalogue import DASHSCOPE_MODELS
from asrgateway_server.vendors.dashscope.error_codes import close_error
from emulated_vendor import task_vendor
from session_messages import created, finished, text, updated

CONFIG = RecognitionConfig(model=DASHSCOPE_MODELS[0], audio=AudioFormat(sample_rate_hertz=16_000))
TIMEOUTS = UpstreamTimeouts(ready_seconds=10.0, stall_seconds=60.0, ping_seconds=0.05, pong_seconds=0.1)


class Nothing:
    """The input of a task whose client is quiet."""

    async def next(self) -> None:
        await asyncio.Event().wait()


async def unheard(event: BackendEvent, read_at: float) -> None:
    """Take an event."""


async def error_of_a_call(url: str, emit: Emit = unheard, timeouts: UpstreamTimeouts = TIMEOUTS) -> GatewayError:
    """Run a call of a quiet caller; return what ends it."""
    adapter = ParaformerAdapter(CONFIG, messages.TASK)
    async with aiohttp.ClientSession(ws_response_class=BoundedWebSocket) as session:
        connection = cast("BoundedWebSocket", await session.ws_connect(url + PATH, autoping=False))

        exchange = TaskExchange(connection, adapter, Nothing(), emit, timeouts, 16_000, close_error)
        with pytest.raises(GatewayError) as raised:
            await exchange.run()
        await connection.leave()
    return raised.value


async def test_a_vendor_that_answers_no_ping_is_lost() -> None:
    released = asyncio.Event()

    async def read_nothing(request: web.Request, _: web.WebSocketResponse) -> None:
        assert isinstance(request.transport, asyncio.Transport)
        request.transport.pause_reading()
        await released.wait()

    async with task_vendor(read_nothing) as url:
        error = await error_of_a_call(url)
        released.set()
    assert isinstance(error, UpstreamLost)
    assert "ping" in error.message


async def test_a_vendor_that_answers_pings_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent the next one, which waits for the answer to the one before."""
    pings = 0
    enough = asyncio.Event()
    send_ping = BoundedWebSocket.is_pinged

    async def counted(connection: BoundedWebSocket) -> bool:
        nonlocal pings
        pings += 1
        if pings == 3:
            enough.set()
        return await send_ping(connection)

    async def answer_pings(_: web.Request, connection: web.WebSocketResponse) -> None:
        reading = asyncio.create_task(connection.receive())  # Pings are answered while it waits.
        await enough.wait()
        await connection.close(code=4000)
        await reading

    monkeypatch.setattr(BoundedWebSocket, "is_pinged", counted)
    async with task_vendor(answer_pings) as url, asyncio.timeout(60):
        error = await error_of_a_call(url, timeouts=replace(TIMEOUTS, pong_seconds=60.0))
    assert error.upstream_code == "close 4000"


async def test_a_caller_that_reads_slowly_does_not_make_the_vendor_late() -> None:
    """The vendor's pongs wait behind results that nobody takes."""

    async def flood(_: web.Request, connection: web.WebSocketResponse) -> None:
        for _number in range(100):
            await connection.send_str(messages.interim("x" * 20_000))
        await connection.close(code=4000)

    is_first = True

    async def slowly(event: BackendEvent, _: float) -> None:
        nonlocal is_first
        if is_first and isinstance(event, InterimResult):
            is_first = False
            await asyncio.sleep(10 * TIMEOUTS.pong_seconds)

    async with task_vendor(flood) as url:
        error = await error_of_a_call(url, slowly)
    assert error.upstream_code == "close 4000"


class Scripted:
    """A connection on which a few messages come."""

    close_code = None

    def __init__(self, *received: str) -> None:
        self._received = [aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, message, None) for message in received]

    async def receive(self) -> aiohttp.WSMessage:
        for _turn in range(5):  # The other loop runs meanwhile.
            await asyncio.sleep(0)
        return self._received.pop(0)

    async def send_str(self, data: str) -> None:
        """Send nothing."""

    async def send_bytes(self, data: bytes) -> None:
        """Send nothing."""

    async def is_pinged(self) -> bool:
        return False


class Endless:
    """The input of a task whose client never stops."""

    async def next(self) -> bytes:
        await asyncio.sleep(0)
        return bytes(3200)


async def test_a_task_that_the_vendor_ends_takes_nothing_more_while_its_last_result_is_written() -> None:
    """Its adapter would call that a mistake."""
    config = replace(CONFIG, model=next(model for model in DASHSCOPE_MODELS if model.backend == "qwen3_asr"))
    received = (created(), updated(), text("yes"), finished())
    emitted: list[BackendEvent] = []

    async def slowly(event: BackendEvent, _: float) -> None:
        for _turn in range(10):
            await asyncio.sleep(0)
        emitted.append(event)

    adapter = Qwen3AsrAdapter(config, messages.TASK)
    await TaskExchange(Scripted(*received), adapter, Endless(), slowly, TIMEOUTS, 16_000, close_error).run()
    assert isinstance(emitted[-1], FinalResult)


class TwoFinals:
    """An adapter whose every message is two final results, and which finds nothing at a commit."""

    path = ""
    ends_at_commit: ClassVar[bool] = False
    keeps_connection: ClassVar[bool] = False
    answers_speech = False
    is_ready = True

    def start(self) -> Sequence[Output]:
        return []

    def audio(self, pcm: bytes) -> bytes:
        return pcm

    def commit(self) -> Sequence[Output]:
        return [CommitEmpty()]

    def update(self, _: Adaptation) -> Sequence[Output]:
        return []

    def finish(self) -> Sequence[Output]:
        return []

    def receive(self, message: str) -> Sequence[Output]:
        return [Finished()] if message == "end" else [FinalResult(text="one"), FinalResult(text="two")]


async def test_the_answer_to_a_commit_does_not_come_in_between_the_results_of_one_message() -> None:
    emitted: list[BackendEvent] = []
    is_emitting, is_answered = asyncio.Event(), asyncio.Event()

    class OneCommit:
        async def next(self) -> Commit | None:
            await is_emitting.wait()
            return None if is_answered.is_set() else Commit()

    async def slowly(event: BackendEvent, _: float) -> None:
        emitted.append(event)
        is_emitting.set()
        if event == CommitEmpty():
            is_answered.set()
        for _turn in range(10):
            await asyncio.sleep(0)

    class Ending(Scripted):
        async def receive(self) -> aiohttp.WSMessage:
            if len(emitted) > 1:
                await is_answered.wait()
            return await super().receive()

    exchange = TaskExchange(Ending("two", "end"), TwoFinals(), OneCommit(), slowly, TIMEOUTS, 16_000, close_error)
    async with asyncio.timeout(60):
        await exchange.run()
    assert emitted == [FinalResult(text="one"), FinalResult(text="two"), CommitEmpty()]
