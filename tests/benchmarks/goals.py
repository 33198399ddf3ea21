"""The goals, and how far a run is from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from benchmarks.figures import Figures, Row, Subject

#: Beyond it a stream count does not hold.
HIGHEST_ADDED_P99_MS: Final = 20.0


class Verdict(Enum):
    """What became of a goal."""

    MET = "met"
    MISSED = "missed"
    VOID = "void"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One goal and its figure.

    Attributes:
        name: What is wanted.
        limit: The figure that is wanted; the highest that will do unless ``is_minimum``.
        unit: Of both figures.
        measured: None where it was not measured.
        is_void: The load core was too busy, or the clocks were wrong, for the figure to mean anything.
        is_minimum: The limit is the lowest that will do.
    """

    name: str
    limit: float
    unit: str
    measured: float | None
    is_void: bool = False
    is_minimum: bool = False

    @property
    def margin(self) -> float | None:
        """How far the figure is on the right side of the limit; negative on the wrong one."""
        if self.measured is None:
            return None
        return self.measured - self.limit if self.is_minimum else self.limit - self.measured

    @property
    def verdict(self) -> Verdict:
        """What became of it."""
        if self.margin is None:
            return Verdict.NOT_MEASURED
        if self.is_void:
            return Verdict.VOID
        return Verdict.MET if self.margin >= 0 else Verdict.MISSED


def goals(figures: Figures) -> list[Goal]:
    """Return every goal with what the run says about it."""
    parts = (_lag, _first_package, _cpu, _riva, _capacity, _opening)
    return [goal for part in parts for goal in part(figures)]


def _lag(figures: Figures) -> Iterable[Goal]:
    row = figures.row(Subject.GATEWAY, 300)
    yield Goal(
        name="result lag at 300 streams, p50",
        limit=0.6,
        unit="ms",
        measured=row.outcome.lag_p50_ms if row else None,
        is_void=_void(row),
    )
    yield Goal(
        name="result lag at 300 streams, p99",
        limit=4.0,
        unit="ms",
        measured=row.outcome.lag_p99_ms if row else None,
        is_void=_void(row),
    )


def _first_package(figures: Figures) -> Iterable[Goal]:
    gateway, bare, sdk = (figures.row(subject, 100) for subject in (Subject.GATEWAY, Subject.BARE, Subject.SDK))
    yield Goal(
        name="first package after the bare client's, 100 streams",
        limit=10.0,
        unit="ms",
        measured=_difference(gateway, bare),
        is_void=_void(gateway, bare),
    )
    yield Goal(
        name="first package before the SDK's, 100 streams",
        limit=100.0,
        unit="ms",
        measured=_difference(sdk, gateway),
        is_void=_void(gateway, sdk),
        is_minimum=True,
    )


def _cpu(figures: Figures) -> Iterable[Goal]:
    for streams in (300, 500):
        gateway, floor = figures.row(Subject.GATEWAY, streams), figures.row(Subject.FLOOR, streams)
        yield Goal(
            name=f"CPU per audio second at {streams} streams, as a multiple of the floor's",
            limit=1.5,
            unit="x",
            measured=gateway.cpu_ms / floor.cpu_ms if gateway and floor and floor.cpu_ms else None,
            is_void=_void(gateway, floor),
        )
    many, few = figures.row(Subject.GATEWAY, 500), figures.row(Subject.GATEWAY, 100)
    yield Goal(
        name="CPU per audio second at 500 streams above that at 100 (less is no fault)",
        limit=15.0,
        unit="%",
        measured=(many.cpu_ms / few.cpu_ms - 1) * 100 if many and few and few.cpu_ms else None,
        is_void=_void(many, few),
    )


def _riva(figures: Figures) -> Iterable[Goal]:
    facade, own = figures.row(Subject.GATEWAY_RIVA, 300), figures.row(Subject.GATEWAY, 300)
    yield Goal(
        name="Riva facade at 300 streams: CPU per audio second above the gateway's own service",
        limit=10.0,
        unit="%",
        measured=(facade.cpu_ms / own.cpu_ms - 1) * 100 if facade and own and own.cpu_ms else None,
        is_void=_void(facade, own),
    )
    yield Goal(
        name="Riva facade at 300 streams: lag p50 above the gateway's own service",
        limit=10.0,
        unit="%",
        measured=_percent_above(facade, own),
        is_void=_void(facade, own),
    )


def _capacity(figures: Figures) -> Iterable[Goal]:
    row = figures.row(Subject.GATEWAY, 500)
    yield Goal(
        name="500 streams on one core: added lag, p99",
        limit=HIGHEST_ADDED_P99_MS,
        unit="ms",
        measured=figures.added_p99_ms(row) if row else None,
        is_void=_void(row),
    )
    yield Goal(
        name="results lost or delivered twice, streams failed, whatever the count",
        limit=0.0,
        unit="",
        measured=float(
            sum(row.outcome.lost + row.outcome.repeated + row.outcome.failed for row in _gateway_rows(figures))
        ),
    )
    tls = next((row for row in figures.rows if row.subject is Subject.GATEWAY_TLS), None)
    yield Goal(
        name="memory per active stream, TLS upstream",
        limit=200.0,
        unit="kB",
        measured=tls.memory_kb if tls else None,
    )


def _opening(figures: Figures) -> Iterable[Goal]:
    cold = figures.opening(Subject.GATEWAY_TLS)
    yield Goal(
        name="config to started, cold, TLS: 4 round trips of 100 ms + 10 ms",
        limit=410.0,
        unit="ms",
        measured=cold.median_ms if cold else None,
    )
    warm = figures.opening(Subject.GATEWAY_TLS, is_warm=True)
    yield Goal(
        name="config to started, warm, TLS: a round trip of 100 ms + 10 ms",
        limit=110.0,
        unit="ms",
        measured=warm.median_ms if warm else None,
    )


def _gateway_rows(figures: Figures) -> list[Row]:
    """Every valid row of the gateway up to the count that has to hold."""
    return [row for row in figures.rows if row.subject.is_gateway and row.streams <= 500 and not row.is_void]


def _void(*rows: Row | None) -> bool:
    return any(row is not None and row.is_void for row in rows)


def _percent_above(one: Row | None, other: Row | None) -> float | None:
    if one is None or other is None or one.outcome.lag_p50_ms is None or not other.outcome.lag_p50_ms:
        return None
    return (one.outcome.lag_p50_ms / other.outcome.lag_p50_ms - 1) * 100


def _difference(one: Row | None, other: Row | None) -> float | None:
    if one is None or other is None or one.outcome.first_package_ms is None or other.outcome.first_package_ms is None:
        return None
    return one.outcome.first_package_ms - other.outcome.first_package_ms
