"""Commands of the documentation, run as they stand but for their ports: those of another gateway may be taken here."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from calls import ROOT
from ports import free_offset

#: The commands that run until they are stopped, each in a terminal of its own, and what they print when they are ready.
SERVERS: Final = {"asr-gateway serve": b'"message": "listening"', "asr-gateway emulator": b" listens on "}
_EMULATOR_PORT: Final = 8765
_PORTS: Final = (50051, 50052, 9464, _EMULATOR_PORT, 8080)
_SECONDS: Final = 120


def section(page: Path, heading: str) -> str:
    """The text below a heading, up to the next one of its level or above."""
    lines = page.read_text(encoding="utf-8").partition(f"\n{heading}\n")[2].splitlines(keepends=True)
    assert lines, f"{page.name} has no {heading!r}"
    next_heading = re.compile(rf"#{{1,{heading.index(' ')}}} ")
    is_fenced, kept = False, []
    for line in lines:
        is_fenced ^= line.startswith("```")
        if not is_fenced and next_heading.match(line):
            break
        kept.append(line)
    return "".join(kept)


def scripts(text: str) -> list[str]:
    """The blocks of commands: indented lines outside fences."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"(?:^    .*\n)+", plain, re.MULTILINE)
    return ["".join(line[4:] + "\n" for line in block.splitlines()) for block in blocks]


def fenced(text: str, language: str) -> list[str]:
    """The contents of the fences of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


class Terminals:
    """Runs commands in a folder; those of ``SERVERS`` stay until another one of their kind begins.

    Args:
        folder: Where; paths into the repository work there too.
        variables: More environment variables.
    """

    def __init__(self, folder: Path = ROOT, **variables: str) -> None:
        self._folder = folder
        self._offset = free_offset(_PORTS)
        ours = ("ASRGATEWAY_", "DASHSCOPE_", "ASR_API_KEY")
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self._environment |= {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "ASRGATEWAY_LISTEN_OFFSET": str(self._offset),
            "ASRGATEWAY_EMBEDDED_WORKERS": "1",
            # A busy machine lets a recogniser wait.
            "ASRGATEWAY_UPSTREAM_READY_TIMEOUT_SECONDS": "60",
            "ASRGATEWAY_UPSTREAM_STALL_TIMEOUT_SECONDS": "60",
        } | variables
        self._servers: dict[str, _Server] = {}
        if folder != ROOT:
            (folder / "clients").symlink_to(ROOT / "clients")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers.values():
            await server.stop()

    async def run(self, script: str) -> str:
        """Run a block of commands; return what it writes to standard output and standard error."""
        for name, ready in SERVERS.items():
            if name in script:
                if name in self._servers:
                    await self._servers.pop(name).stop()
                self._servers[name] = server = _Server(await self._start(f"exec env {self._moved(script)}"))
                await server.wait_for(ready)
                return ""
        process = await self._start(self._moved(script))
        async with asyncio.timeout(_SECONDS):
            output, _ = await process.communicate()
        return output.decode()

    async def run_python(self, program: str) -> str:
        """Run a Python program; return what it prints."""
        assert self._folder != ROOT, "programs are run in a folder of the test"
        (self._folder / "program.py").write_text(self._moved(program), encoding="utf-8")
        return await self.run("python program.py")

    async def _start(self, script: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *("bash", "-c", script),
            cwd=self._folder,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    def _moved(self, script: str) -> str:
        # The gateway's own setting moves those that it listens on.
        for port in (_EMULATOR_PORT,) if "asr-gateway serve" in script else _PORTS:
            script = re.sub(rf":{port}\b", f":{port + self._offset}", script)
        here = f"--target 127.0.0.1:{50051 + self._offset}"
        script = re.sub(r"(asr-client (?:file|models))(?!.*--target)", rf"\1 {here}", script)
        script = script.replace("asr-gateway emulator", f"asr-gateway emulator --port {_EMULATOR_PORT + self._offset}")
        # Tests listen on loopback only.
        return script.replace(".venv/bin/", "").replace("LISTEN=0.0.0.0:", "LISTEN=127.0.0.1:")


class _Server:
    """A running command whose output is read."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[bytes] = []
        self._new_line = asyncio.Event()
        self._reading = asyncio.create_task(self._read(), name="read output")

    async def wait_for(self, ready: bytes) -> None:
        async with asyncio.timeout(_SECONDS):
            while not any(ready in line for line in self.lines):
                assert not self._reading.done(), f"it ended: {self.lines}"
                self._new_line.clear()
                await self._new_line.wait()

    async def stop(self) -> None:
        # As Ctrl-C does: after SIGTERM a gateway waits for Prometheus.
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)
        async with asyncio.timeout(_SECONDS):
            await self._reading
            await self._process.wait()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            async for line in self._process.stdout:
                self.lines.append(line)
                self._new_line.set()
        finally:
            self._new_line.set()
