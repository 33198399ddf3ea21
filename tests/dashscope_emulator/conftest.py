"""An emulator for each test, and a bare client of dialect A: what was sent and received, nothing clever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from dashscope_emulator import Emulator, EmulatorOptions, Knobs, running_emulator

TIMEOUT_SECONDS = 40  # Real speech on a busy machine takes its time.

Start = Callable[..., Awaitable[Emulator]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start an emulator with a scripted recogniser and these options; `knobs` are a mapping."""
    async with AsyncExitStack() as stack:

        async def start_one(knobs: dict[str, Any] | None = None, **options: Any) -> Emulator:
            settings = EmulatorOptions(**{"recognizer": "script", "knobs": Knobs(**(knobs or {})), **options})
            return await stack.enter_async_context(running_emulator(settings))

        yield start_one


class TaskClient:
    """A client of dialect A."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, action: str, payload: dict[str, Any], task_id: str = "t1", **header: Any) -> None:
        header = {"action": action, "task_id": task_id, "streaming": "duplex", **header}
        await self.socket.send_json({"header": header, "payload": payload})

    async def run(self, model: str = "fun-asr-realtime", task_id: str = "t1", **parameters: Any) -> Any:
        """Send `run-task`; return the answer."""
        await self.send("run-task", run_payload(model, **parameters), task_id)
        return await self.event()

    async def audio(self, data: bytes) -> None:
        await self.socket.send_bytes(data)

    async def finish(self, task_id: str = "t1") -> list[Any]:
        """Send `finish-task`; return all events up to the last one."""
        await self.send("finish-task", {"input": {}}, task_id)
        return await self.rest()

    async def rest(self) -> list[Any]:
        """All events up to `task-finished` or `task-failed`."""
        events = [await self.event()]
        while events[-1]["header"]["event"] not in ("task-finished", "task-failed"):
            events.append(await self.event())
        return events

    async def event(self) -> Any:
        message = await self.message()
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return json.loads(message.data)

    async def message(self) -> aiohttp.WSMessage:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await self.socket.receive()

    async def close_code(self) -> int | None:
        """Read until the connection is over; return its close code."""
        closing = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        while (await self.message()).type not in closing:
            pass
        return self.socket.close_code


def run_payload(model: str = "fun-asr-realtime", **parameters: Any) -> dict[str, Any]:
    return {
        "task_group": "audio",
        "task": "asr",
        "function": "recognition",
        "model": model,
        "parameters": {"format": "pcm", "sample_rate": 16000, **parameters},
        "input": {},
    }


Connect = Callable[..., Awaitable[TaskClient]]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as http:
        yield http


@pytest.fixture
async def connect(session: aiohttp.ClientSession) -> Connect:
    """Open dialect A on an emulator."""

    async def connect_to(emulator: Emulator, **options: Any) -> TaskClient:
        options = {"headers": {"Authorization": "Bearer sk-test"}, **options}
        return TaskClient(await session.ws_connect(f"{emulator.url}/api-ws/v1/inference", **options))

    return connect_to


class Sentences:
    """The sentences among the events of a task."""

    @staticmethod
    def of(events: list[Any]) -> list[Any]:
        results = [event for event in events if event["header"]["event"] == "result-generated"]
        return [event["payload"]["output"]["sentence"] for event in results]

    @staticmethod
    def finals(events: list[Any]) -> list[str]:
        return [sentence["text"] for sentence in Sentences.of(events) if sentence["sentence_end"]]


@pytest.fixture
def sentences() -> type[Sentences]:
    return Sentences


@pytest.fixture
def payload() -> Callable[..., dict[str, Any]]:
    """The payload of a good `run-task`, to be changed."""
    return run_payload
