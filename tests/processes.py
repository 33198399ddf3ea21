"""Gateways in processes of their own, as an operator runs them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc

from asrgateway.v1 import recognition_pb2_grpc as pb_grpc
from calls import Stub

# A process may take 20 s to start where others load the machine.
_PATIENCE_SECONDS: Final = 50
COMMAND: Final = str(Path(sys.executable).with_name("asr-gateway"))
_ANYWHERE: Final = {
    "listen": "127.0.0.1:0",
    "health_listen": "127.0.0.1:0",
    "http_listen": "127.0.0.1:0",
    "upstream_stall_timeout_seconds": "60",
    "reconnect_pause_seconds": "0.01",
}


class GatewayProcess:
    """`asr-gateway serve` as a child process.

    Attributes:
        process: The child.
        lines: What it has logged so far.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []  # Any: JSON values
        self._new_line = asyncio.Event()
        self._reading = asyncio.create_task(self._read(), name="read log")

    async def line(self, message: str) -> dict[str, Any]:
        """Wait for a line of the log."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not (found := [line for line in self.lines if line["message"] == message]):
                assert not self._reading.done(), f"it ended before {message!r}: {self.lines}"
                self._new_line.clear()
                await self._new_line.wait()
        return found[0]

    async def address(self, port: str) -> str:
        """Where its port named ``grpc``, ``health`` or ``metrics`` is."""
        return str((await self.line("listening"))[port])

    async def exit_code(self) -> int:
        """Wait for its end."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await self._reading
            return await self.process.wait()

    async def _read(self) -> None:
        assert self.process.stderr is not None
        try:
            async for line in self.process.stderr:
                # What is no JSON, such as a traceback, is for whoever reads why a test failed.
                self.lines.append(json.loads(line) if line.startswith(b"{") else {"message": line.decode()})
                self._new_line.set()
        finally:
            self._new_line.set()


def environment(**settings: str) -> dict[str, str]:
    """The variables of a gateway with these settings and no others, on free ports unless told otherwise."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(("ASRGATEWAY_", "DASHSCOPE_"))}
    return others | {f"ASRGATEWAY_{name.upper()}": value for name, value in (_ANYWHERE | settings).items()}


async def start(*arguments: str, open_files: str = "", **settings: str) -> asyncio.subprocess.Process:
    """Start `asr-gateway` with these settings and no others, on free ports unless told otherwise.

    Args:
        arguments: Those of the command.
        open_files: How many it may have; empty: as many as the tests.
        settings: By name.
    """
    command = [COMMAND, *arguments]
    if open_files:
        command = ["sh", "-c", f'ulimit -n {open_files}; exec "$0" "$@"', *command]
    return await asyncio.create_subprocess_exec(*command, env=environment(**settings), stderr=asyncio.subprocess.PIPE)


@asynccontextmanager
async def gateway_process(open_files: str = "", **settings: str) -> AsyncIterator[tuple[GatewayProcess, Stub]]:
    """Run a gateway with one worker until it ends by itself or is not needed any more, and a caller beside it."""
    gateway = GatewayProcess(await start("serve", open_files=open_files, **{"embedded_workers": "1"} | settings))
    try:
        async with grpc.aio.insecure_channel(await gateway.address("grpc")) as channel:
            yield gateway, pb_grpc.SpeechRecognitionServiceStub(channel)
    finally:
        if gateway.process.returncode is None:
            gateway.process.kill()
        await gateway.exit_code()


def children(pid: int) -> set[int]:
    """The process ids of a process's children."""
    found: set[int] = set()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # A thread may end meanwhile.
            found |= {int(child) for child in (thread / "children").read_text().split()}
    return found


def is_running(pid: int) -> bool:
    """Whether a process is there and not just waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
