"""Which faults are due: for each connection, task and phase, and how often they have been applied. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from dashscope_emulator.faults import Action, Fault, Phase


class FaultSchedule:
    """All faults of an emulator, and how often each has been applied."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._faults = faults
        self._applied: Counter[int] = Counter()
        self._starts: deque[float] = deque(maxlen=10_000)

    def select(self, phase: Phase, *, connection: int, task: int = 0, model: str = "") -> PendingFaults:
        """Return the faults that this connection or task may meet in this phase."""
        return PendingFaults(
            self,
            [
                (number, fault)
                for number, fault in enumerate(self._faults)
                if fault.phase is phase
                and (not fault.connections or connection in fault.connections)
                and (not fault.tasks or task in fault.tasks)
                and (not fault.model or model == fault.model)
            ],
        )

    def count(self, number: int) -> bool:
        """Count one more use of a fault; False if it has been applied as often as it may."""
        times = self._faults[number].times
        if times and self._applied[number] >= times:
            return False
        self._applied[number] += 1
        return True

    def is_too_fast(self, per_second: int, now_seconds: float) -> bool:
        """Count a start, unless it is one too many for the last second; say which."""
        while self._starts and self._starts[0] <= now_seconds - 1:
            self._starts.popleft()
        if len(self._starts) >= per_second:
            return True
        self._starts.append(now_seconds)
        return False


class PendingFaults:
    """The faults that one task has still to meet in one phase, once each."""

    def __init__(self, schedule: FaultSchedule, pending: Sequence[tuple[int, Fault]]) -> None:
        self._schedule = schedule
        self._pending = pending

    def due(self, *, audio_ms: int = 0, packets: int = 0) -> list[Action]:
        """Return what happens now that so much has come."""
        if not self._pending:
            return []
        due = [(n, fault) for n, fault in self._pending if audio_ms >= fault.audio_ms and packets >= fault.packets]
        self._pending = [pair for pair in self._pending if pair not in due]
        return [fault.action for n, fault in due if self._schedule.count(n)]
