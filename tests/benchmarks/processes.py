"""Child processes, each on the core it is given, and what Linux tells of them in /proc."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_TESTS: Final = Path(__file__).resolve().parents[1]
_END_SECONDS: Final = 3.0
_KEPT_LINES: Final = 20
# What would change the processes' behaviour: settings of the gateway or the SDK, and proxies between them.
_UNWANTED: Final = re.compile(r"^(ASRGATEWAY_|DASHSCOPE_|https?_proxy$|all_proxy$)", re.IGNORECASE)


class ChildFailed(Exception):
    """A process of the bench ended, or was silent for too long; the message holds its last words."""


class Child:
    """A running process.

    Attributes:
        pid: Its process id.
    """

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self._process = process
        self._name = name
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._last_words: deque[str] = deque(maxlen=_KEPT_LINES)
        self.pid = process.pid
        self._reading = asyncio.create_task(self._read(), name=f"read {name}")

    async def line(self, pattern: str, within_seconds: float) -> re.Match[str]:
        """Wait for a line of its output.

        Raises:
            ChildFailed: It did not come.
        """
        try:
            async with asyncio.timeout(within_seconds):
                while (line := await self._lines.get()) is not None:
                    if found := re.search(pattern, line):
                        return found
        except TimeoutError:
            raise ChildFailed(f"{self._name} took too long: {self._words()}") from None
        raise ChildFailed(f"{self._name} ended: {self._words()}")

    async def end(self) -> None:
        """End it, gently at first."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
            try:
                async with asyncio.timeout(_END_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
        await self._process.wait()
        await self._reading

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def _words(self) -> str:
        return " | ".join(self._last_words) or "it said nothing"

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            text = line.decode(errors="replace").rstrip()
            self._last_words.append(text)
            self._lines.put_nowait(text)
        self._lines.put_nowait(None)


@asynccontextmanager
async def child(*arguments: str, core: int, environ: Mapping[str, str] | None = None) -> AsyncIterator[Child]:
    """Run ``python -m arguments`` on one core until the block ends."""
    kept = {name: value for name, value in os.environ.items() if not _UNWANTED.search(name)}
    path = {"PYTHONPATH": str(_TESTS)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        env=kept | path | dict(environ or {}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is for the bench, which then ends its children
    )
    # Long before it has any other thread.
    with contextlib.suppress(ProcessLookupError):
        os.sched_setaffinity(process.pid, {core})
    running = Child(process, arguments[0])
    try:
        yield running
    except BaseException:
        running.kill()
        raise
    finally:
        await running.end()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """CPU used so far, in seconds.

    Attributes:
        processes: User and system time of each process.
        busy: Of each core.
        total: Of each core, idle time included.
    """

    processes: Mapping[int, float]
    busy: Mapping[int, float]
    total: Mapping[int, float]


def read_cpu(pids: list[int]) -> Reading:
    """Read the CPU time of these processes and of every core."""
    cores = {}
    for line in Path("/proc/stat").read_text().splitlines():
        if found := re.match(r"cpu(\d+) (.*)", line):
            # user, nice, system, idle, iowait, irq, softirq, steal; guests are part of the first two.
            values = [int(value) / _TICKS_PER_SECOND for value in found[2].split()[:8]]
            cores[int(found[1])] = (sum(values) - values[3] - values[4], sum(values))
    return Reading(
        processes={pid: _cpu_seconds(pid) for pid in pids},
        busy={core: busy for core, (busy, _) in cores.items()},
        total={core: total for core, (_, total) in cores.items()},
    )


def memory_kb(pid: int) -> int:
    """Return the proportional set size: shared pages are divided among those who share them."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    if found is None:
        raise ChildFailed(f"the kernel does not tell the memory of process {pid}")
    return int(found[1])


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
