"""A run's figures for people: a table on the terminal, a section of the README; and for programs: JSON."""

from __future__ import annotations

import datetime
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Figures, Row, Subject
from benchmarks.goals import Goal, Verdict, goals

_PACKAGES: Final = ("grpcio", "protobuf", "aiohttp", "uvloop", "dashscope")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where and when a run was made.

    Attributes:
        date: The day.
        cpu: The processor's name.
        cores: How many of its cores there are.
        system: Kernel name and release.
        python: Its version.
        packages: Versions of the libraries that matter.
    """

    date: str
    cpu: str
    cores: int
    system: str
    python: str
    packages: dict[str, str]

    def __str__(self) -> str:
        packages = ", ".join(f"{name} {version}" for name, version in self.packages.items())
        return f"{self.date}, {self.cpu}, {self.cores} cores, {self.system}, Python {self.python}, {packages}"


def this_machine() -> Machine:
    """Describe the machine that this process runs on."""
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return Machine(
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        cpu=found[1] if found else platform.machine(),
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages={name: metadata.version(name) for name in _PACKAGES},
    )


def as_text(figures: Figures) -> str:
    """Return the tables for a terminal."""
    return "\n\n".join(_aligned(table) for table in (_rows(figures), _openings(figures), _goals(figures)))


def as_markdown(figures: Figures, machine: Machine) -> str:
    """Return the tables as a section of a README."""
    parts = [
        "## Benchmark",
        f"`make bench` in one run of {figures.seconds / 60:.0f} minutes: {machine}.",
        *(_as_markdown(table) for table in (_rows(figures), _openings(figures), _goals(figures))),
    ]
    return "\n\n".join(parts) + "\n"


def as_json(figures: Figures, machine: Machine) -> dict[str, Any]:  # Any: JSON values
    """Return everything that was measured."""
    return {
        "machine": asdict(machine),
        "seconds": figures.seconds,
        "rows": [
            {**row.to_json(), "added_p50_ms": figures.added_p50_ms(row), "added_p99_ms": figures.added_p99_ms(row)}
            for row in figures.rows
        ],
        "openings": [opening.to_json() for opening in figures.openings],
        "highest_streams": figures.highest_streams,
        "search_ended": figures.search_ended,
        "goals": [{**asdict(goal), "margin": goal.margin, "verdict": goal.verdict.value} for goal in goals(figures)],
    }


Table = list[list[str]]


def _rows(figures: Figures) -> Table:
    header = [
        "",
        "streams",
        "lag p50 ms",
        "p99 ms",
        "added p50 ms",
        "p99 ms",
        "first package ms",
        "CPU ms per audio s",
        "x floor",
        "kB per stream",
        "lost",
        "load core",
        "others",
    ]
    body = [_row(figures, row) for row in sorted(figures.rows, key=lambda row: (row.streams, _place(row.subject)))]
    return [header, *body]


def _row(figures: Figures, row: Row) -> list[str]:
    outcome = row.outcome
    # The floor speaks dialect A; beside another it tells nothing.
    floor = None if row.subject is Subject.GATEWAY_QWEN3 else figures.row(Subject.FLOOR, row.streams)
    busy = f"{row.load_core_busy:.0%}"
    return [
        row.subject.value,
        str(row.streams),
        _ms(outcome.lag_p50_ms),
        _ms(outcome.lag_p99_ms),
        _ms(figures.added_p50_ms(row)),
        _ms(figures.added_p99_ms(row)),
        "" if outcome.first_package_ms is None else f"{outcome.first_package_ms:.0f}",
        f"{row.cpu_ms:.2f}",
        f"{row.cpu_ms / floor.cpu_ms:.2f}" if floor and floor.cpu_ms else "",
        "" if row.memory_kb is None else f"{row.memory_kb:.0f}",
        _lost(row),
        f"{busy} VOID" if row.is_void else busy,
        f"{row.others_busy:.2f}",
    ]


def _lost(row: Row) -> str:
    outcome = row.outcome
    parts = [f"{outcome.lost} of {outcome.results + outcome.lost}"]
    if outcome.repeated:
        parts.append(f"{outcome.repeated} twice")
    if outcome.extra:
        parts.append(f"{outcome.extra} more")
    if outcome.impossible:
        parts.append(f"{outcome.impossible} before they were sent")
    if outcome.failed:
        parts.append(f"{outcome.failed} streams failed: {''.join(outcome.errors[:1])[:60]}")
    return ", ".join(parts)


def _openings(figures: Figures) -> Table:
    header = ["config to started, TLS", "median ms", "round trips"]
    body = [
        [
            f"{opening.subject.value}, {'warm' if opening.is_warm else 'cold'}",
            f"{opening.median_ms:.0f}",
            f"{opening.median_ms / opening.round_trip_ms:.2f}",
        ]
        for opening in figures.openings
    ]
    return [header, *body]


def _goals(figures: Figures) -> Table:
    highest = "none" if figures.highest_streams is None else str(figures.highest_streams)
    return [
        ["goal", "wanted", "measured", "verdict"],
        *[[goal.name, _wanted(goal), _figure(goal.measured, goal.unit), _verdict(goal)] for goal in goals(figures)],
        ["most streams that hold", "500", highest, figures.search_ended or "not searched"],
    ]


def _wanted(goal: Goal) -> str:
    return f"{'>=' if goal.is_minimum else '<='} {_figure(goal.limit, goal.unit)}"


def _verdict(goal: Goal) -> str:
    if goal.margin is None or goal.verdict not in (Verdict.MET, Verdict.MISSED):
        return goal.verdict.value
    return f"{goal.verdict.value} by {_figure(abs(goal.margin), goal.unit)}"


def _figure(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.3g} {unit}".rstrip()


def _place(subject: Subject) -> int:
    return list(Subject).index(subject)


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _aligned(table: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    )


def _as_markdown(table: Sequence[Sequence[str]]) -> str:
    header, *body = table
    marks = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, marks, *body))
