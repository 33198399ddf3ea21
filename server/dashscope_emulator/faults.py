"""Misfortunes on command: which one strikes where, declared in a file or in code. Pure.

A fault file is YAML or JSON; every key but ``action`` is optional, and one that is missing selects everything::

    faults:
      - {action: refuse, status: 503, connections: [1, 2]}     # phase handshake; body: text instead of the usual JSON
      - {action: stall, phase: handshake}                      # the upgrade is never answered
      - {action: stall, phase: start, model: fun-asr-realtime} # accepted, but run-task is never answered
      - {action: throttle, starts_per_second: 20}              # more starts fail as the vendor's rate limit; 0 = all
      - {action: drop, audio_ms: 7000}                         # the TCP connection is gone after 7 s of audio
      - {action: close, code: 1011, reason: oops, packets: 30} # a close frame after 30 audio messages
      - {action: task_failed, code: InternalError, message: Internal server error!, tasks: 3, audio_ms: 500}
      - {action: stall, phase: speech, seconds: 2}             # nothing is sent for 2 s; 0 or missing = ever again
      - {action: duplicate, audio_ms: 1000, count: 1}          # the next result comes twice
      - {action: garble, kind: broken_json, audio_ms: 1000}    # or binary, huge (10 MB), unknown_event
      - {action: delay, delay_ms: 80, jitter_ms: 40}           # results of the connection come late, in order
      - {action: slow_read, seconds: 3, audio_ms: 1000}        # nothing is read from the socket for 3 s
      - {action: fail_item, code: audio_unintelligible}        # the next item of a session fails (dialect B)
      - {action: stall, phase: finish}                         # the end is never confirmed

``phase`` is ``handshake`` (before the upgrade is answered), ``start`` (before ``task-started`` or ``session.created``),
``speech`` (from ``audio_ms`` or ``packets`` on, else from the first audio message) or ``finish`` (after the last
result, before ``task-finished`` or ``session.finished``); by default ``speech`` with ``audio_ms`` or ``packets``,
``handshake`` for ``refuse``, ``start`` for ``throttle`` and ``delay``, else ``speech``. ``connections`` and ``tasks``
count from 1 over the life of the emulator, refused connections included; ``times`` ends a fault after so many strikes.
Seconds are real ones: ``time_scale`` does not change them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from dashscope_emulator.documents import Fields, read_document


class Phase(Enum):
    """Where in a connection's life a fault strikes."""

    HANDSHAKE = "handshake"
    START = "start"
    SPEECH = "speech"
    FINISH = "finish"


class Garbage(Enum):
    """What a garbled message looks like."""

    BROKEN_JSON = "broken_json"
    BINARY = "binary"
    HUGE = "huge"
    UNKNOWN_EVENT = "unknown_event"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The handshake is answered with this status; an empty body becomes the vendor's JSON for it."""

    status: int = 503
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """Nothing is sent for so many seconds, 0 = ever again; what the client sends is still read."""

    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """The TCP connection is reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """The connection is closed in order, but too early."""

    code: int = 1011
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """``task-failed`` in dialect A, ``error`` in dialect B."""

    code: str = "InternalError"
    message: str = "Internal server error!"


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """Starts beyond so many per second fail with the vendor's rate limit; 0 = every one."""

    starts_per_second: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """The next results come once more each."""

    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Garble:
    """A message that is none."""

    kind: Garbage = Garbage.BROKEN_JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Results come so much later, give or take the jitter; their order stays. At the handshake, the answer does."""

    delay_ms: int = 0
    jitter_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowRead:
    """Nothing is read from the socket for so many seconds."""

    seconds: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FailItem:
    """The next item of a session fails; dialect A has no items."""

    code: str = "audio_unintelligible"
    message: str = "The audio could not be transcribed."


Action = Refuse | Stall | Drop | Close | Fail | Throttle | Duplicate | Garble | Delay | SlowRead | FailItem


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One misfortune and whom it strikes.

    Attributes:
        action: What happens.
        phase: When.
        connections: Numbers of the connections, from 1; empty = all.
        tasks: Numbers of the tasks, from 1; empty = all. Has no meaning at the handshake.
        model: Only this model. Dialect A does not know it at the handshake.
        audio_ms: In ``speech``: once so much audio of the task has come.
        packets: In ``speech``: once so many audio messages of the task have come.
        times: How often at most in the life of the emulator; 0 = always.
    """

    action: Action
    phase: Phase = Phase.SPEECH
    connections: tuple[int, ...] = ()
    tasks: tuple[int, ...] = ()
    model: str = ""
    audio_ms: int = 0
    packets: int = 0
    times: int = 0


def load_faults(path: Path) -> tuple[Fault, ...]:
    """Read a fault file.

    Raises:
        ValueError: It is none; the message says where.
    """
    fields = Fields(read_document(path), where=str(path))
    faults = tuple(_fault(item) for item in fields.records("faults"))
    fields.done()
    return faults


_ACTIONS: Final[Mapping[str, Callable[[Fields], Action]]] = MappingProxyType(
    {
        "refuse": lambda f: Refuse(status=f.integer("status", 503), body=f.text("body", "")),
        "stall": lambda f: Stall(seconds=f.number("seconds", 0.0)),
        "drop": lambda _: Drop(),
        "close": lambda f: Close(code=f.integer("code", 1011), reason=f.text("reason", "")),
        "task_failed": lambda f: Fail(
            code=f.text("code", "InternalError"), message=f.text("message", "Internal server error!")
        ),
        "throttle": lambda f: Throttle(starts_per_second=f.integer("starts_per_second", 0)),
        "duplicate": lambda f: Duplicate(count=f.integer("count", 1)),
        "garble": lambda f: Garble(kind=Garbage(f.text("kind", "broken_json"))),
        "delay": lambda f: Delay(delay_ms=f.integer("delay_ms", 0), jitter_ms=f.integer("jitter_ms", 0)),
        "fail_item": lambda f: FailItem(
            code=f.text("code", "audio_unintelligible"),
            message=f.text("message", "The audio could not be transcribed."),
        ),
        "slow_read": lambda f: SlowRead(seconds=f.number("seconds", 5.0)),
    }
)
_PHASES: Final[Mapping[str, str]] = MappingProxyType({"refuse": "handshake", "throttle": "start", "delay": "start"})


def _fault(fields: Fields) -> Fault:
    name = fields.text("action")
    if name not in _ACTIONS:
        raise ValueError(f"unknown action {name!r}; known are {', '.join(_ACTIONS)}")
    is_counted = fields.has("audio_ms") or fields.has("packets")
    phase = fields.text("phase", "speech" if is_counted else _PHASES.get(name, "speech"))
    fault = Fault(
        action=_ACTIONS[name](fields),
        phase=Phase(phase),
        connections=fields.integers("connections"),
        tasks=fields.integers("tasks"),
        model=fields.text("model", ""),
        audio_ms=fields.integer("audio_ms", 0),
        packets=fields.integer("packets", 0),
        times=fields.integer("times", 0),
    )
    fields.done()
    return fault


class FaultBook:
    """All faults of an emulator, and how often each has struck."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._faults = faults
        self._strikes: Counter[int] = Counter()
        self._starts: deque[float] = deque(maxlen=10_000)

    def select(self, phase: Phase, *, connection: int, task: int = 0, model: str = "") -> FaultPlan:
        """The faults that may strike this connection or task in this phase."""
        numbers = tuple(
            number
            for number, fault in enumerate(self._faults)
            if fault.phase is phase
            and (not fault.connections or connection in fault.connections)
            and (not fault.tasks or task in fault.tasks)
            and (not fault.model or model == fault.model)
        )
        return FaultPlan(self, numbers)

    def fault(self, number: int) -> Fault:
        """The fault of that number."""
        return self._faults[number]

    def strike(self, number: int) -> bool:
        """Count a strike; False if the fault has had all of its strikes."""
        times = self._faults[number].times
        if times and self._strikes[number] >= times:
            return False
        self._strikes[number] += 1
        return True

    def is_too_fast(self, per_second: int, now_seconds: float) -> bool:
        """Count a start; say whether it is one too many for the last second."""
        while self._starts and self._starts[0] <= now_seconds - 1:
            self._starts.popleft()
        if len(self._starts) >= per_second:
            return True
        self._starts.append(now_seconds)
        return False


class FaultPlan:
    """The faults still ahead of one task in one phase; each strikes it once."""

    def __init__(self, book: FaultBook, numbers: tuple[int, ...]) -> None:
        self._book = book
        self._numbers = numbers

    def due(self, *, audio_ms: int = 0, packets: int = 0) -> list[Action]:
        """What strikes now that so much has come."""
        if not self._numbers:
            return []
        due = [n for n in self._numbers if _is_due(self._book.fault(n), audio_ms, packets)]
        self._numbers = tuple(n for n in self._numbers if n not in due)
        return [self._book.fault(n).action for n in due if self._book.strike(n)]


def _is_due(fault: Fault, audio_ms: int, packets: int) -> bool:
    return audio_ms >= fault.audio_ms and packets >= fault.packets
