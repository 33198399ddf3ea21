"""One run: who is started on which core, and what is read when."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks.distance import distance_to
from benchmarks.driver import DONE, WINDOW_CLOSED, WINDOW_OPEN
from benchmarks.figures import Figures, Opening, Row, Subject, holds
from benchmarks.goals import HIGHEST_ADDED_P99_MS
from benchmarks.processes import Child, Reading, child, memory_kb, read_cpu
from benchmarks.recorder import Outcome
from benchmarks.schedule import Schedule
from benchmarks.workload import QWEN3_MODEL, Plan
from certificates import Certificate, make_certificate

Tell = Callable[[str], None]

_START_SECONDS: Final = 30.0
_END_SECONDS: Final = 60.0
# A cold opening takes four.
_ROUND_TRIPS_TO_WARM: Final = 12
_LIMIT_OF_STREAMS: Final = "100000"
_VARIANTS: Final = (
    Subject.GATEWAY_TLS,
    Subject.GATEWAY_TLS_BOTH,
    Subject.GATEWAY_QWEN3,
    Subject.GATEWAY_OPUS,
    Subject.GATEWAY_RIVA,
)
_TLS_UPSTREAM: Final = (Subject.GATEWAY_TLS, Subject.GATEWAY_TLS_BOTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """Two cores: one for what is measured, one for all that is around it. The same one where there is only one."""

    subject: int
    load: int


def choose_cores() -> Cores:
    """Return two of the cores that this process may use."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(subject=allowed[-1], load=allowed[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """A running emulator.

    Attributes:
        pid: Its process.
        url: Scheme, host and port.
        certificate: What vouches for it; None without TLS.
    """

    pid: int
    url: str
    certificate: Certificate | None


async def measure(schedule: Schedule, folder: Path, tell: Tell) -> Figures:
    """Run everything; the folder takes what has to be a file."""
    began = time.monotonic()
    cores = choose_cores()
    certificate = make_certificate(folder)
    with _staying_on(cores.load):
        async with _vendor(cores, None) as plain, _vendor(cores, certificate) as secure:
            run = _Run(schedule, cores, plain, secure, tell)
            await run.side_by_side()
            await run.official_sdk()
            await run.gateway_on_sdk()
            openings = await run.openings()
            highest, why = await run.search()
    return Figures(
        rows=tuple(run.rows),
        openings=tuple(openings),
        highest_streams=highest,
        search_ended=why,
        seconds=time.monotonic() - began,
    )


@contextmanager
def _staying_on(core: int) -> Iterator[None]:
    """Keep this process on one core."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@asynccontextmanager
async def _vendor(cores: Cores, certificate: Certificate | None) -> AsyncIterator[Vendor]:
    tls = ["--tls-cert", str(certificate.chain), "--tls-key", str(certificate.key)] if certificate else []
    emulator = "dashscope_emulator"
    async with child(emulator, "--recognizer", "script", "--port", "0", *tls, core=cores.load) as process:
        found = await process.line(r"listens on (\S+)", _START_SECONDS)
        yield Vendor(pid=process.pid, url=found[1], certificate=certificate)


@asynccontextmanager
async def _gateway(
    cores: Cores, vendor: Vendor, url: str | None = None, more: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Child, str]]:
    """Run a gateway before the vendor, reached by another URL if one is given; yield it and its address.

    ``more`` are further settings.
    """
    settings = {
        "DASHSCOPE_API_KEY": "benchmark",
        "ASRGATEWAY_DASHSCOPE_URL": url or vendor.url,
        "ASRGATEWAY_MAX_STREAMS": _LIMIT_OF_STREAMS,
        "ASRGATEWAY_MAX_TASK_STARTS_PER_SECOND": "0",
        **{f"ASRGATEWAY_{name}LISTEN": "127.0.0.1:0" for name in ("", "HEALTH_", "HTTP_")},
        **(more or {}),
    }
    if vendor.certificate:
        settings["ASRGATEWAY_UPSTREAM_CA_FILE"] = str(vendor.certificate.chain)
    async with child("asrgateway_server", "serve", core=cores.subject, environ=settings) as process:
        line = await process.line(r'^\{.*"listening".*', _START_SECONDS)
        yield process, json.loads(line[0])["grpc"]


@asynccontextmanager
async def _floor(cores: Cores, vendor: Vendor) -> AsyncIterator[tuple[Child, str]]:
    async with child("benchmarks.floor", "--target", vendor.url, core=cores.subject) as process:
        found = await process.line(r"relay listens on (\S+)", _START_SECONDS)
        yield process, found[1]


class _Run:
    def __init__(self, schedule: Schedule, cores: Cores, plain: Vendor, secure: Vendor, tell: Tell) -> None:
        self._schedule = schedule
        self._cores = cores
        self._plain = plain
        self._secure = secure
        self._tell = tell
        self.rows: list[Row] = []

    async def side_by_side(self) -> None:
        """Measure bare client, floor and gateway one after another at each stream count."""
        for streams in self._schedule.streams:
            plan = self._plan(streams)
            for subject in (Subject.BARE, Subject.FLOOR, Subject.GATEWAY):
                await self._measure(subject, plan)
            if streams == self._schedule.variant_streams:
                for subject in _VARIANTS:
                    await self._measure(subject, plan)

    async def official_sdk(self) -> None:
        """Measure the SDK in a process of its own."""
        for streams in self._schedule.sdk_streams:
            await self._measure(Subject.SDK, self._short_plan(streams))

    async def gateway_on_sdk(self) -> None:
        """Measure the gateway where the SDK carries its tasks."""
        await self._measure(Subject.GATEWAY_SDK, self._short_plan(self._schedule.gateway_sdk_streams))

    async def search(self) -> tuple[int | None, str]:
        """Find the highest stream count that holds; return it and why no higher one does."""
        highest = self._highest_so_far()
        step = self._schedule.search_step
        if not step:
            return highest, ""
        if highest is None or highest != self._schedule.streams[-1]:
            is_void = any(row.is_void for row in self.rows if row.subject is Subject.GATEWAY)
            return (
                highest,
                "void: the load core was too busy, or the clocks were wrong" if is_void else "more did not hold",
            )
        for streams in range(highest + step, self._schedule.search_limit + 1, step):
            row = await self._measure(Subject.GATEWAY, self._short_plan(streams))
            if row.is_void:
                return highest, f"at {streams} the row was void"
            if not self._holds(row):
                return highest, f"{streams} did not hold"
            highest = streams
        return highest, f"the search ends at {self._schedule.search_limit}"

    async def openings(self) -> list[Opening]:
        """Time how long a call takes to open when the vendor is far away."""
        self._tell("opening calls from afar")
        address = urlsplit(self._secure.url)
        assert address.hostname is not None
        assert address.port is not None
        assert self._secure.certificate is not None
        trusted = str(self._secure.certificate.chain)
        async with distance_to(address.hostname, address.port, self._schedule.round_trip_seconds) as port:
            url = f"wss://127.0.0.1:{port}"
            cold_only = {"ASRGATEWAY_WARM_CONNECTIONS": "0"}
            async with _gateway(self._cores, self._secure, url, cold_only) as (_, target):
                cold = await self._opening(Subject.GATEWAY_TLS, "gateway", target, trusted)
            async with _gateway(self._cores, self._secure, url) as (_, target):
                warm = await self._opening(Subject.GATEWAY_TLS, "gateway", target, trusted, is_warm=True)
            return [
                await self._opening(Subject.BARE, "bare", url, trusted),
                cold,
                warm,
                await self._opening(Subject.SDK, "sdk", url, trusted),
            ]

    async def _opening(
        self, subject: Subject, kind: str, target: str, trusted: str, *, is_warm: bool = False
    ) -> Opening:
        # A warm gateway has had one call before, and has opened connections since.
        count = self._schedule.openings + is_warm
        arguments = ["--kind", kind, "--target", target, "--count", str(count), "--ca-file", trusted]
        if is_warm:
            arguments += ["--pause-seconds", str(_ROUND_TRIPS_TO_WARM * self._schedule.round_trip_seconds)]
        # The SDK trusts what OpenSSL trusts.
        environ = {"SSL_CERT_FILE": trusted}
        async with child("benchmarks.opening", *arguments, core=self._cores.load, environ=environ) as process:
            durations = json.loads((await process.line(f'"{DONE}".*', _END_SECONDS)).string)["seconds"]
        return Opening(
            subject=subject,
            median_ms=statistics.median(durations[is_warm:]) * 1000,
            round_trip_ms=self._schedule.round_trip_seconds * 1000,
            is_warm=is_warm,
        )

    def _plan(self, streams: int) -> Plan:
        return Plan(
            streams=streams,
            window_seconds=self._schedule.window_seconds,
            settle_seconds=self._schedule.settle_seconds,
        )

    def _short_plan(self, streams: int) -> Plan:
        return replace(self._plan(streams), window_seconds=self._schedule.short_window_seconds)

    def _highest_so_far(self) -> int | None:
        """The highest count of the side-by-side runs that holds, every smaller one included."""
        highest = None
        for row in self.rows:
            if row.subject is Subject.GATEWAY:
                if not self._holds(row):
                    break
                highest = row.streams
        return highest

    def _holds(self, row: Row) -> bool:
        so_far = Figures(rows=tuple(self.rows), openings=(), highest_streams=None, search_ended="", seconds=0)
        return holds(so_far, row, HIGHEST_ADDED_P99_MS)

    async def _measure(self, subject: Subject, plan: Plan) -> Row:
        self._tell(f"{subject.value}, {plan.streams} streams, {plan.window_seconds:g} s")
        vendor = self._secure if subject in _TLS_UPSTREAM else self._plain
        async with AsyncExitStack() as stack:
            measured: Child | None = None
            more: list[str] = []
            match subject:
                case _ if subject.is_gateway:
                    settings, more = _variant(subject, vendor)
                    measured, target = await stack.enter_async_context(_gateway(self._cores, vendor, more=settings))
                    module = "benchmarks.load"
                case Subject.FLOOR:
                    measured, target = await stack.enter_async_context(_floor(self._cores, vendor))
                    module = "benchmarks.load"
                case Subject.BARE:
                    module, target = "benchmarks.bare_client", vendor.url
                case _:
                    module, target = "benchmarks.sdk", vendor.url
            core = self._cores.subject if subject is Subject.SDK else self._cores.load
            idle_kb = memory_kb(measured.pid) if measured and vendor.certificate else None
            process = await stack.enter_async_context(child(module, *_arguments(target, plan), *more, core=core))
            row = await self._observe(subject, plan, process, measured or process, vendor, idle_kb)
        self.rows.append(row)
        return row

    async def _observe(
        self, subject: Subject, plan: Plan, process: Child, measured: Child, vendor: Vendor, idle_kb: int | None
    ) -> Row:
        pids = sorted({vendor.pid, process.pid, measured.pid, os.getpid()})
        await process.line(WINDOW_OPEN, plan.ramp_seconds + plan.settle_seconds + _START_SECONDS)
        before = read_cpu(pids)
        await process.line(WINDOW_CLOSED, plan.window_seconds + _START_SECONDS)
        after = read_cpu(pids)
        memory = None if idle_kb is None else (memory_kb(measured.pid) - idle_kb) / plan.streams
        done = await process.line(f'"{DONE}".*', _END_SECONDS)
        record = json.loads(done.string)
        record.pop("at")
        outcome = Outcome.from_json(record)
        cpu = after.processes[measured.pid] - before.processes[measured.pid]
        return Row(
            subject=subject,
            outcome=outcome,
            cpu_ms=cpu / outcome.window_audio_seconds * 1000 if outcome.window_audio_seconds else 0.0,
            memory_kb=memory,
            load_core_busy=_busy_share(before, after, self._cores.load),
            others_busy=_others_busy(before, after),
        )


def _variant(subject: Subject, vendor: Vendor) -> tuple[dict[str, str], list[str]]:
    """Return what makes a gateway this subject: its settings, and arguments of the load generator."""
    match subject:
        case Subject.GATEWAY_TLS_BOTH:
            assert vendor.certificate is not None
            chain, key = str(vendor.certificate.chain), str(vendor.certificate.key)
            return {"ASRGATEWAY_TLS_CERT_FILE": chain, "ASRGATEWAY_TLS_KEY_FILE": key}, ["--ca-file", chain]
        case Subject.GATEWAY_QWEN3:
            return {}, ["--model", QWEN3_MODEL]
        case Subject.GATEWAY_OPUS:
            return {}, ["--encoding", "opus"]
        case Subject.GATEWAY_RIVA:
            return {"ASRGATEWAY_RIVA_FACADE": "true"}, ["--service", "riva"]
        case Subject.GATEWAY_SDK:
            return {"ASRGATEWAY_TRANSPORTS": "paraformer=official_sdk"}, []
    return {}, []


def _arguments(target: str, plan: Plan) -> list[str]:
    return [
        "--target",
        target,
        "--streams",
        str(plan.streams),
        "--window-seconds",
        str(plan.window_seconds),
        "--settle-seconds",
        str(plan.settle_seconds),
    ]


def _busy_share(before: Reading, after: Reading, core: int) -> float:
    total = after.total[core] - before.total[core]
    return (after.busy[core] - before.busy[core]) / total if total else 0.0


def _others_busy(before: Reading, after: Reading) -> float:
    """Return the CPU used by processes that are not the bench's, in cores."""
    own = sum(after.processes[pid] - before.processes[pid] for pid in before.processes)
    busy = sum(after.busy[core] - before.busy[core] for core in before.busy)
    seconds = sum(after.total[core] - before.total[core] for core in before.busy) / len(before.busy)
    return max(0.0, busy - own) / seconds if seconds else 0.0
