"""A real Prometheus, with our rules, and the questions that one asks it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from calls import ROOT
from ports import free_port

CHART: Final = ROOT / "helm" / "asr-gateway"
RULES: Final = sorted((CHART / "files" / "rules").glob("*.yaml"))
DASHBOARDS: Final = sorted((CHART / "files" / "dashboards").glob("*.json"))

# Any: JSON values.
Json = dict[str, Any]


def tool(name: str) -> str:
    """The path of a program of the Debian package `prometheus`; without it skip the test, or fail it in CI."""
    if path := shutil.which(name):
        return path
    reason = f"{name} is not installed; .ci/install-tools does it"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def groups() -> list[Json]:
    """Every group of every file: those that record before those that alert."""
    found = [group for path in RULES for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]
    return sorted(found, key=lambda group: any("alert" in rule for rule in group["rules"]))


def rules() -> list[Json]:
    """Every rule of every group."""
    return [rule for group in groups() for rule in group["rules"]]


def alerts() -> list[Json]:
    return [rule for rule in rules() if "alert" in rule]


def metrics_in(query: str) -> set[str]:
    """The names of our metrics, and of those that every Python process has, in a query; not of recorded series."""
    return set(re.findall(r"(?<![\w:])(?:asrgateway|grpc_server|process|python)_\w+", query))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """A running Prometheus.

    Attributes:
        url: Where it answers.
    """

    url: str

    def get(self, path: str, **parameters: str | float) -> Any:  # Any: JSON
        """Ask its API."""
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(parameters)}", timeout=60) as answer:  # noqa: S310 loopback
            return json.load(answer)["data"]

    def query(self, expression: str, at: float) -> list[Json]:
        """What an instant query returns."""
        found: list[Json] = self.get("query", query=expression, time=at)["result"]
        return found

    async def scraped(self, times: int) -> None:
        """Wait for more scrapes of the gateway, by each job."""
        counting = "min(count_over_time(up[1h]))"
        async with asyncio.timeout(60):
            wanted = await self._number(counting) + times
            while await self._number(counting) < wanted:  # noqa: ASYNC110 Prometheus signals nobody
                await asyncio.sleep(0.05)

    async def until(self, expression: str, value: float, within_seconds: float = 60.0) -> None:
        """Wait until an instant query returns this one value."""
        async with asyncio.timeout(within_seconds):
            while await self._number(expression) != value:  # noqa: ASYNC110 Prometheus signals nobody
                await asyncio.sleep(0.05)

    async def has(self, expression: str, within_seconds: float = 0.0) -> bool:
        """Whether an instant query returns anything, now or in time."""
        end = time.monotonic() + within_seconds
        while not (found := await asyncio.to_thread(lambda: self.get("query", query=expression)["result"])):
            if time.monotonic() >= end:
                return False
            await asyncio.sleep(0.5)
        return bool(found)

    async def ready(self) -> None:
        """Wait until it answers."""
        async with asyncio.timeout(60):
            while True:
                try:
                    await self._number("vector(1)")
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    return

    async def _number(self, expression: str) -> float:
        found = await asyncio.to_thread(lambda: self.get("query", query=expression)["result"])
        return float(found[0]["value"][1]) if found else 0.0


@asynccontextmanager
async def running_prometheus(
    folder: Path, scrapes: Sequence[Json], rule_files: Sequence[Path] = RULES
) -> AsyncIterator[Prometheus]:
    """Run one that scrapes and evaluates our rules, twice a second."""
    program = tool("prometheus")
    address = f"127.0.0.1:{free_port()}"
    config = folder / "prometheus.yaml"
    times = dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), "500ms")
    config.write_text(
        yaml.safe_dump(
            {"global": times, "rule_files": [str(path) for path in rule_files], "scrape_configs": [*scrapes]}
        )
    )
    process = await asyncio.create_subprocess_exec(
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
    )
    try:
        prometheus = Prometheus(url=f"http://{address}")
        await prometheus.ready()
        yield prometheus
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(60):
            await process.wait()
