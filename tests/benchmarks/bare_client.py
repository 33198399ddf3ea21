"""The bare WebSocket client: dialect A by hand, as little as a client can do. Whatever a gateway adds is added to this.

Run as a process of its own: ``python -m benchmarks.bare_client --target ws://HOST:PORT --streams N …``.
"""

from __future__ import annotations

import json
import ssl
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import uvloop

from benchmarks.driver import DONE, Stream, drive, parse_arguments, plan_from, tell
from benchmarks.workload import MODEL, SAMPLE_RATE_HERTZ, Plan

PATH: Final = "/api-ws/v1/inference"
HEADERS: Final = {"Authorization": "Bearer benchmark"}


class BareStream:
    """One task on one connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, task_id: str) -> None:
        self._socket = socket
        self._task_id = task_id
        self.send = socket.send_bytes

    async def finish(self) -> None:
        """Send `finish-task`."""
        await self._socket.send_str(message("finish-task", self._task_id, {"input": {}}))

    async def read(self) -> str | None:
        """Return the next message; None for `task-finished`."""
        text: str = await self._socket.receive_str()
        return None if '"event":"task-finished"' in text else text


def message(action: str, task_id: str, payload: dict[str, object]) -> str:
    """Return a client's message of dialect A."""
    return json.dumps({"header": {"action": action, "task_id": task_id, "streaming": "duplex"}, "payload": payload})


def run_task(task_id: str) -> str:
    """Return `run-task`."""
    payload: dict[str, object] = {
        "task_group": "audio",
        "task": "asr",
        "function": "recognition",
        "model": MODEL,
        "parameters": {"format": "pcm", "sample_rate": SAMPLE_RATE_HERTZ},
        "input": {},
    }
    return message("run-task", task_id, payload)


@asynccontextmanager
async def open_task(
    http: aiohttp.ClientSession, target: str, tls: ssl.SSLContext | bool = True
) -> AsyncIterator[Stream]:
    """Connect, begin a task and wait for `task-started`."""
    task_id = uuid.uuid4().hex
    async with http.ws_connect(target + PATH, headers=HEADERS, ssl=tls) as socket:
        await socket.send_str(run_task(task_id))
        await socket.receive_str()
        yield BareStream(socket, task_id)


async def run(target: str, plan: Plan) -> None:
    """Run the plan."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        outcome = await drive(lambda: open_task(http, target), plan)
        tell(DONE, **outcome.to_json())


def main() -> None:
    """Run this process."""
    arguments = parse_arguments()
    uvloop.run(run(arguments.target, plan_from(arguments)))


if __name__ == "__main__":
    main()
