"""When a call that failed is followed by another one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import grpc

from asrgateway.errors import CANCELLED_HERE, CLIENT_CLOSED, RecognitionError
from asrgateway.kept_items import KEPT_SECONDS

_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0
_DOUBLINGS: Final = 6  # Until the longest pause.
#: In gRPC's words for a call that ended together with its channel.
_ENDED_HERE: Final = (CLIENT_CLOSED, "Channel closed!", CANCELLED_HERE)
#: gRPC's words for a connection that was lost while a message was on its way.
_LOST_CONNECTION: Final = ("rst_stream", "stream removed", "goaway", "connection", "socket", "internal error from core")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnect:
    """How a call is continued by another one.

    Attributes:
        give_up_seconds: The last error is raised after so long without any response.
        read_ahead_seconds: The audio is read so far ahead of what is sent; live audio needs as much as an outage lasts.
        on_retry: Called with each error that another call follows, and the pause before it, in seconds.
    """

    give_up_seconds: float = 60.0
    read_ahead_seconds: float = KEPT_SECONDS
    on_retry: Callable[[RecognitionError, float], None] | None = None


def reconnect_from(given: bool | Reconnect) -> Reconnect | None:
    """Return how a program wants calls to be continued; None: not at all."""
    if isinstance(given, Reconnect):
        return given
    return Reconnect() if given else None


def is_retryable(error: RecognitionError) -> bool:
    """Whether another gateway, or the same one later, may continue the call."""
    match error.code:
        case grpc.StatusCode.UNAVAILABLE:
            return True
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return error.retry_after_seconds is not None
        case grpc.StatusCode.CANCELLED:
            return not any(words in error.message for words in _ENDED_HERE)  # The gateway was killed in that moment.
        case grpc.StatusCode.INTERNAL | grpc.StatusCode.UNKNOWN:
            message = error.message.lower()
            return not error.reason and any(words in message for words in _LOST_CONNECTION)
    return False


class Retries:
    """Counts the failures since the last response.

    Args:
        give_up_seconds: The last error is raised after so long without any response.
    """

    def __init__(self, give_up_seconds: float) -> None:
        self._give_up_seconds = give_up_seconds
        self._failures = 0
        self._give_up_at: float | None = None
        self._last_error: RecognitionError | None = None

    @property
    def give_up_at(self) -> float | None:
        """When the next call must have given a response; None before the first failure."""
        return self._give_up_at

    def answered(self) -> None:
        """Count anew: a response came."""
        self._failures, self._give_up_at = 0, None

    def pause_seconds(self, error: RecognitionError, now: float, random: float) -> float:
        """Return how long to wait before the next call.

        Args:
            error: How the call ended.
            now: The time.
            random: 0 to 1, so that clients do not come back all at once.

        Raises:
            RecognitionError: No call may follow: the error itself.
        """
        if not is_retryable(error):
            raise error
        if self._give_up_at is None:
            self._give_up_at = now + self._give_up_seconds
        self._last_error = error
        pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures, _DOUBLINGS))
        pause = max(pause * (0.5 + random / 2), error.retry_after_seconds or 0.0)
        if now + pause >= self._give_up_at:
            raise error
        self._failures += 1
        return pause

    def give_up(self) -> RecognitionError:
        """Return the error to raise after ``give_up_at``: the last one.

        Raises:
            RuntimeError: There was none.
        """
        if self._last_error is None:
            raise RuntimeError("no call has failed")
        return self._last_error
