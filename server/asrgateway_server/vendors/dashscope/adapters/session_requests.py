"""What the server of a session was asked, and which request an answer is about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from asrgateway_server.vendors.dashscope.adapters.session_messages import ErrorDetails


class Asked(Enum):
    """What for."""

    #: Settings that the session begins with.
    START = auto()
    #: Settings that change it.
    UPDATE = auto()
    #: The same settings once more: their answer shows that the server has read all audio before them.
    PROBE = auto()
    FINISH = auto()


_SETTINGS: Final = (Asked.START, Asked.UPDATE, Asked.PROBE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request that has no answer yet."""

    event_id: str
    asked: Asked


class Requests:
    """The requests of a session, all with names of their own; commits are counted elsewhere.

    Args:
        task_id: A name that no other session has.
    """

    def __init__(self, task_id: str) -> None:
        self._prefix = f"event_{task_id}_"
        self._count = 0
        self._open: dict[str, Request] = {}

    def new_event_id(self) -> str:
        """Return a name for a message."""
        self._count += 1
        return f"{self._prefix}{self._count}"

    def add(self, asked: Asked) -> str:
        """Note a request; return its name."""
        event_id = self.new_event_id()
        self._open[event_id] = Request(event_id=event_id, asked=asked)
        return event_id

    def has(self, asked: Asked) -> bool:
        """Whether such a request has no answer yet."""
        return any(request.asked is asked for request in self._open.values())

    def acknowledged(self) -> Request | None:
        """Return the settings that the server acknowledges: the oldest; None if nobody sent any."""
        return self._take_first(request for request in self._open.values() if request.asked in _SETTINGS)

    def refused(self, error: ErrorDetails) -> Request | None:
        """Return the request that an error names; where it names none, the oldest that it may be about."""
        if error.event_id:
            return self._open.pop(error.event_id, None)
        of_settings = is_of_settings(error)
        return self._take_first(
            sorted(self._open.values(), key=lambda request: (request.asked in _SETTINGS) is not of_settings)
        )

    def _take_first(self, requests: Iterable[Request]) -> Request | None:
        request = next(iter(requests), None)
        return self._open.pop(request.event_id) if request else None


def is_of_settings(error: ErrorDetails) -> bool:
    """Whether the field at fault is one of the settings."""
    return (error.param or "").startswith("session")
