"""What one run of the bench found out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, Final

from benchmarks.recorder import Outcome

#: The load core is too busy to tell anything about what it drives.
VOID_ABOVE: Final = 0.85


class Subject(Enum):
    """What stands between the emulator and whoever measures."""

    SDK = "official SDK"
    BARE = "bare client"
    FLOOR = "bare relay (floor)"
    GATEWAY = "gateway"
    GATEWAY_TLS = "gateway, TLS upstream"
    GATEWAY_TLS_BOTH = "gateway, TLS on both sides"
    GATEWAY_QWEN3 = "gateway, Qwen3-ASR"
    GATEWAY_OPUS = "gateway, Opus"
    GATEWAY_RIVA = "gateway, Riva facade"
    GATEWAY_SDK = "gateway on the official SDK"

    @property
    def is_gateway(self) -> bool:
        """Whether it is the gateway, whatever is around it."""
        return self not in (Subject.SDK, Subject.BARE, Subject.FLOOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One subject at one stream count.

    Attributes:
        subject: What was measured.
        outcome: What its streams saw.
        cpu_ms: CPU time of the subject's process per second of audio.
        memory_kb: What each active stream adds to its memory; None where that was not asked.
        load_core_busy: Share of the window in which the core of emulator and generator was busy.
        others_busy: CPU that neither of them nor the subject used, in cores: what else the machine did.
    """

    subject: Subject
    outcome: Outcome
    cpu_ms: float
    memory_kb: float | None
    load_core_busy: float
    others_busy: float

    @property
    def streams(self) -> int:
        """How many streams ran."""
        return self.outcome.streams

    @property
    def is_void(self) -> bool:
        """Whether the load was not what it should have been, or the clocks tell what cannot be."""
        return self.load_core_busy > VOID_ABOVE or self.outcome.impossible > 0

    @property
    def is_whole(self) -> bool:
        """Whether every result came, once."""
        return not (self.outcome.lost or self.outcome.repeated or self.outcome.failed)

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return it as a JSON object."""
        return {**asdict(self), "subject": self.subject.value, "is_void": self.is_void}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How long a call takes from its config to `started`.

    Attributes:
        subject: What was measured.
        median_ms: Over a few calls, one after another.
        round_trip_ms: How far away the vendor was.
        is_warm: A connection to the vendor was open already.
    """

    subject: Subject
    median_ms: float
    round_trip_ms: float
    is_warm: bool = False

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return it as a JSON object."""
        return {**asdict(self), "subject": self.subject.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Everything one run found out.

    Attributes:
        rows: In the order in which they were measured.
        openings: With TLS.
        highest_streams: The most streams that held, every smaller count included; None if none did.
        search_ended: Why the search went no higher; empty without a search.
        seconds: How long the run took.
    """

    rows: tuple[Row, ...]
    openings: tuple[Opening, ...]
    highest_streams: int | None
    search_ended: str
    seconds: float

    def row(self, subject: Subject, streams: int) -> Row | None:
        """Return the row of that subject and count."""
        return next((row for row in self.rows if (row.subject, row.streams) == (subject, streams)), None)

    def opening(self, subject: Subject, *, is_warm: bool = False) -> Opening | None:
        """Return how long that subject takes to open."""
        return next((one for one in self.openings if (one.subject, one.is_warm) == (subject, is_warm)), None)

    def added_p50_ms(self, row: Row) -> float | None:
        """Return by how much the median lag is above the bare client's."""
        bare = self._bare_beside(row)
        return _less(row.outcome.lag_p50_ms, bare.outcome.lag_p50_ms if bare else None)

    def added_p99_ms(self, row: Row) -> float | None:
        """Return by how much the 99th percentile is above the bare client's."""
        bare = self._bare_beside(row)
        return _less(row.outcome.lag_p99_ms, bare.outcome.lag_p99_ms if bare else None)

    def _bare_beside(self, row: Row) -> Row | None:
        """The bare client with as many streams, or with the most below that."""
        below = [bare for bare in self.rows if bare.subject is Subject.BARE and bare.streams <= row.streams]
        return max(below, key=lambda bare: bare.streams, default=None)


def holds(figures: Figures, row: Row, added_p99_ms: float) -> bool:
    """Whether the row is whole, valid, and adds no more than that."""
    added = figures.added_p99_ms(row)
    return row.is_whole and not row.is_void and added is not None and added <= added_p99_ms


def _less(value: float | None, base: float | None) -> float | None:
    return None if value is None or base is None else value - base
