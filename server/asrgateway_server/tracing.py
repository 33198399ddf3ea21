"""The trace of a call: its id for log lines and exemplars, and spans if they are collected.

Nothing here needs a library; ``grpc_api/otlp.py`` makes the spans.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Protocol

# Source: W3C Trace Context, "traceparent header field values".
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?"
)
_SAMPLED: Final = 1


class CallTrace:
    """One call, and the upstream tasks in it; this class makes no spans.

    Attributes:
        trace_id: 32 hexadecimal digits; empty if the call is part of no trace.
    """

    def __init__(self, trace_id: str = "", *, is_sampled: bool = False) -> None:
        self.trace_id = trace_id
        #: The exemplar of a histogram's observation, which links to the trace; None without a sampled trace.
        self.exemplar = {"trace_id": trace_id} if trace_id and is_sampled else None

    def set_attributes(self, **attributes: str) -> None:
        """Add attributes of the call; never a transcript, hot words or keys."""

    def end(self, code: int, reason: str) -> None:
        """End the call, with the number of its status, and the status's name or the reason of its error."""

    @contextmanager
    def task(self, model: str) -> Iterator[None]:  # noqa: ARG002 this class makes no spans
        """Follow an upstream task."""
        yield

    def task_ready(self, model: str, request_id: str) -> None:
        """Add the upstream's name for the task that runs, and the model that turned out to run it."""

    def task_failed(self, kind: str) -> None:
        """Note the class of the error that ended the task that runs."""


class Tracer(Protocol):
    """Finds the trace that a call is part of."""

    def begin(self, method: str, metadata: Mapping[str, str]) -> CallTrace:
        """Begin a call of a method, with its metadata; the name of another service stands before it, with a slash."""


class IdOnlyTracer:
    """A tracer that only reads the trace ids that clients send; see ``Tracer``."""

    def begin(self, method: str, metadata: Mapping[str, str]) -> CallTrace:  # noqa: ARG002 it makes no spans
        """See ``Tracer``."""
        found = _TRACEPARENT.fullmatch(metadata.get("traceparent", ""))
        if not found:
            return CallTrace()
        return CallTrace(found[1], is_sampled=bool(int(found[2], 16) & _SAMPLED))


#: The running call's trace; its interceptor sets it.
call_trace: ContextVar[CallTrace] = ContextVar("call_trace", default=CallTrace())  # noqa: B039 it never changes
