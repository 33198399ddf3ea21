"""Keeps calls away from a model that answers none of them. Pure: the time is passed in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

# Of a model that is called more often, the last ones count.
_MAX_STARTS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitLimits:
    """When a circuit opens, and for how long.

    Attributes:
        failed_calls: It opens after failures of so many different calls in a row.
        min_starts: It opens too when more than half of so many starts, or of more, have failed.
        window_seconds: How long a start counts for both.
        open_seconds: How long no task starts then, before one may try.
        max_open_seconds: That time doubles with each try that fails, up to this.
        probe_seconds: How often it is worth asking again while one tries.
    """

    failed_calls: int = 5
    min_starts: int = 10
    window_seconds: float = 30.0
    open_seconds: float = 10.0
    max_open_seconds: float = 120.0
    probe_seconds: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Start:
    """The start of one task, until it is known how it went.

    Attributes:
        call: The call whose task it is.
        period: Between two changes of the circuit; a start counts only in its own.
    """

    call: str
    period: int


class CircuitBreaker:
    """Says whether tasks may start at a model; all calls of the process share it.

    It is *closed*, and every task may start, until too many starts have failed. Then it is *open*, and none may. After
    a while one task may try: if it succeeds, the circuit is closed again. A start fails if its task is lost before the
    first message of the upstream; what becomes of a task later says nothing about the next one.

    Each start is followed by one of ``succeeded``, ``failed`` and ``abandoned``; the last one is harmless after the
    others.
    """

    def __init__(self, limits: CircuitLimits) -> None:
        self._limits = limits
        self._period = 0
        # When each start ended, and whether it failed.
        self._ends: deque[tuple[float, bool]] = deque(maxlen=_MAX_STARTS)
        # When each call failed that has failed since the last success.
        self._failed: dict[str, float] = {}
        self._open_seconds = limits.open_seconds
        self._open_until: float | None = None
        self._probe: Start | None = None

    def may_start(self, now: float) -> bool:
        """Whether a task may start."""
        return self._open_until is None or (self._probe is None and now >= self._open_until)

    def next_start_at(self, now: float) -> float:
        """Return when it is worth asking again whether a task may start."""
        if self._open_until is None:
            return now
        return now + self._limits.probe_seconds if self._probe else max(now, self._open_until)

    def begin(self, call: str) -> Start:
        """Count the start of a task; only where ``may_start`` allows it, and before anything else asks."""
        start = Start(call=call, period=self._period)
        if self._open_until is not None:
            self._probe = start
        return start

    def succeeded(self, start: Start, now: float) -> None:
        """The upstream has sent its first message to the task."""
        if start is self._probe:
            self._close()
        elif start.period == self._period and self._open_until is None:
            self._failed.clear()
            self._count(now, has_failed=False)

    def failed(self, start: Start, now: float) -> None:
        """The task was lost before that."""
        if start is self._probe:
            self._open(now, min(self._open_seconds * 2, self._limits.max_open_seconds))
        elif start.period == self._period and self._open_until is None:
            self._failed[start.call] = now
            self._count(now, has_failed=True)
            if self._is_too_much():
                self._open(now, self._limits.open_seconds)

    def abandoned(self, start: Start) -> None:
        """The task ended by itself before that, or was cancelled: another one may try in its place."""
        if start is self._probe:
            self._probe = None

    def _count(self, now: float, *, has_failed: bool) -> None:
        self._ends.append((now, has_failed))
        oldest = now - self._limits.window_seconds
        while self._ends[0][0] < oldest:
            self._ends.popleft()
        self._failed = {call: at for call, at in self._failed.items() if at >= oldest}

    def _is_too_much(self) -> bool:
        if len(self._failed) >= self._limits.failed_calls:
            return True
        failures = sum(has_failed for _, has_failed in self._ends)
        return len(self._ends) >= self._limits.min_starts and failures * 2 > len(self._ends)

    def _open(self, now: float, seconds: float) -> None:
        self._begin_period()
        self._open_seconds = seconds
        self._open_until = now + seconds

    def _close(self) -> None:
        self._begin_period()
        self._open_until = None

    def _begin_period(self) -> None:
        self._period += 1
        self._probe = None
        self._ends.clear()
        self._failed.clear()
