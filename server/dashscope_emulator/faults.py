"""Faults on command: what goes wrong, and where. ``docs/emulator.md`` describes the file of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import NonNegativeInt

from dashscope_emulator.documents import as_record, read_document


class Phase(Enum):
    """When in the life of a connection a fault is applied."""

    HANDSHAKE = "handshake"
    START = "start"
    SPEECH = "speech"
    FINISH = "finish"


class Garbage(Enum):
    """What a garbled message looks like; ``huge`` has 10 MB."""

    BROKEN_JSON = "broken_json"
    BINARY = "binary"
    HUGE = "huge"
    UNKNOWN_EVENT = "unknown_event"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The handshake gets this HTTP status; an empty body becomes the vendor's JSON for it."""

    status: int = 503
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """Nothing is sent for so many seconds, 0 = for ever; the client is still read."""

    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """The TCP connection is reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """The connection is closed with a close frame."""

    code: int = 1011
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """The task fails: `task-failed` in dialect A, `error` in dialect B."""

    code: str = "InternalError"
    message: str = "Internal server error!"


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """Starts beyond so many per second fail with the vendor's rate limit; 0 = every start fails."""

    starts_per_second: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """Each of the next results is sent twice."""

    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Garble:
    """A message is sent that is no event: broken_json, binary, huge (10 MB) or unknown_event."""

    kind: Garbage = Garbage.BROKEN_JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Results are sent so much later, plus or minus the jitter, in order; at the handshake, the answer is."""

    delay_ms: int = 0
    jitter_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowRead:
    """Nothing is read from the connection for so many seconds."""

    seconds: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FailItem:
    """The next item of a session fails; dialect A has no items."""

    code: str = "audio_unintelligible"
    message: str = "The audio could not be transcribed."


Action = Refuse | Stall | Drop | Close | Fail | Throttle | Duplicate | Garble | Delay | SlowRead | FailItem

#: By their names in a file.
ACTIONS: Final[Mapping[str, type[Action]]] = MappingProxyType(
    {
        "refuse": Refuse,
        "stall": Stall,
        "drop": Drop,
        "close": Close,
        "task_failed": Fail,
        "throttle": Throttle,
        "duplicate": Duplicate,
        "garble": Garble,
        "delay": Delay,
        "slow_read": SlowRead,
        "fail_item": FailItem,
    }
)
_LISTS: Final = ("connections", "tasks")
_PHASES: Final[Mapping[str, Phase]] = MappingProxyType(
    {"refuse": Phase.HANDSHAKE, "throttle": Phase.START, "delay": Phase.START}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The connections and tasks to which a fault is applied, once each.

    Attributes:
        phase: When.
        connections: Numbers of connections, from 1, refused handshakes included; empty = all.
        tasks: Numbers of tasks, from 1; empty = all. Has no meaning at the handshake.
        model: Only this model; empty = any. Dialect A does not know it at the handshake.
        audio_ms: In ``speech``: once so much audio of the task has come.
        packets: In ``speech``: once so many audio messages of the task have come.
        times: How often at most in the life of the emulator; 0 = always.
    """

    phase: Phase = Phase.SPEECH
    connections: tuple[int, ...] = ()
    tasks: tuple[int, ...] = ()
    model: str = ""
    audio_ms: NonNegativeInt = 0
    packets: NonNegativeInt = 0
    times: NonNegativeInt = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(Selection):
    """One fault: what happens, and where."""

    action: Action


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    faults: tuple[dict[str, Any], ...]  # any JSON: the keys depend on the action


def load_faults(path: Path) -> tuple[Fault, ...]:
    """Read a fault file.

    Raises:
        ValueError: A key or a value is wrong; the message says where.
    """
    items = read_document(path, _File).faults
    return tuple(_fault(item, f"{path}: fault {number}") for number, item in enumerate(items, 1))


def _fault(given: Mapping[str, Any], where: str) -> Fault:
    name = str(given.get("action"))
    if name not in ACTIONS:
        raise ValueError(f"{where}: action must be one of {', '.join(ACTIONS)}, not {name}")
    keys = {field.name for field in fields(Selection)}
    action = {key: value for key, value in given.items() if key not in {*keys, "action"}}
    selection = {
        key: [value] if key in _LISTS and type(value) is int else value for key, value in given.items() if key in keys
    }
    selection.setdefault("phase", usual_phase(given).value)
    return Fault(
        action=as_record(action, ACTIONS[name], where=where),
        **asdict(as_record(selection, Selection, where=where)),
    )


def usual_phase(given: Mapping[str, Any]) -> Phase:
    """Return the phase of a fault whose file names none: an action that counts audio is applied in speech."""
    is_counted = "audio_ms" in given or "packets" in given
    return Phase.SPEECH if is_counted else _PHASES.get(given["action"], Phase.SPEECH)
