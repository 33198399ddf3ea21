"""How a call begins: it is opened again until a gateway takes it, and only then audio is sent.

gRPC's own retries would send audio again as well, and end the process of a client in C++, Python or any other language
on gRPC's core where a message is still on its way (grpc issue 40283).
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import grpc

from asrgateway.channel import ENABLE_RETRIES, ChannelOptions

LATE_HEADER_SECONDS: Final = 5.0
"""A call without a response header for so long is treated as taken."""

LATE_STATUS_SECONDS: Final = 0.25
"""A call whose response header names no call id either ends within this time, or is taken."""

_CALL_ID_KEY: Final = "asr-call-id"
_PAUSES_SECONDS: Final = (0.05, 0.1, 0.2, 0.4)


def pauses_between_attempts(options: ChannelOptions) -> tuple[float, ...]:
    """Return how long to wait before each further attempt, in seconds, as the options of the connection allow it."""
    return () if dict(options).get(ENABLE_RETRIES) == 0 else _PAUSES_SECONDS


def spread(pauses_seconds: Iterable[float], seconds_left: Callable[[], float | None]) -> Iterator[float]:
    """Return pauses that differ, so that clients do not come back all at once, as long as there is time for them."""
    for seconds in pauses_seconds:
        pause, left = seconds * random.uniform(0.8, 1.2), seconds_left()  # noqa: S311 - no secret
        if left is not None and pause >= left:
            return
        yield pause


def may_begin_again(code: grpc.StatusCode) -> bool:
    """Whether another gateway, or the same one in a moment, may take a call that ended before it had begun."""
    # CANCELLED: gRPC's core ends so a call that reaches a gateway at the moment in which it stops.
    return code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def names_call(header: Iterable[tuple[str, object]]) -> bool:
    """Whether a response header has the call's id, with which a gateway takes a call."""
    return any(key == _CALL_ID_KEY for key, _ in header)


def countdown(timeout_seconds: float | None) -> Callable[[], float | None]:
    """Return a function that returns how many seconds are left; None: there is no limit."""
    if timeout_seconds is None:
        return lambda: None
    end = time.monotonic() + timeout_seconds
    return lambda: max(0.0, end - time.monotonic())
