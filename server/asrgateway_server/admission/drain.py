"""Keeps the open Recognize calls, and ends them when the gateway stops or a call has lasted too long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

from asrgateway_server.admission.event_wait import is_set_within
from asrgateway_server.call.going_away import GoingAwayNotice
from asrgateway_server.errors import Draining, GatewayError, StreamExpired
from asrgateway_server.metrics import Metrics

# How long before its limit a call gets `going_away`; half the limit if that is shorter.
_NOTICE_SECONDS: Final = 30.0
# After its time a cut call may need this to close its connection to the vendor.
_UNWIND_SECONDS: Final = 2.0


class Client(Protocol):
    """The client's side of a call."""

    def stop_reading(self) -> bool:
        """End the input as a half-close would; return False if the client had half-closed already."""


class Drain:
    """Keeps the open calls; announces that the gateway stops, waits for them, and cuts those that remain.

    A call that arrives during the drain is accepted and gets the same announcement, because its client could not know.
    New calls are refused only after the remaining ones were cut, or none is left.

    A call that is cut gets the final result of its audio so far, and ends with an error that a new call is possible.

    Args:
        seconds: How long calls may go on once the gateway stops.
        finalize_seconds: How long a call that is cut may take for its last result.
        max_stream_seconds: How long any call may last; 0: no limit.
        metrics: Count refused and cut calls.
    """

    def __init__(self, seconds: float, finalize_seconds: float, max_stream_seconds: float, metrics: Metrics) -> None:
        self._seconds = seconds
        self._finalize_seconds = finalize_seconds
        self._max_stream_seconds = max_stream_seconds
        self._metrics = metrics
        self._calls: set[_OpenCall] = set()
        self._deadline: float | None = None
        self._is_over = False
        self._may_cut = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        #: How many calls were cut because the gateway stops.
        self.cut_calls = 0

    @property
    def grace_seconds(self) -> float:
        """The longest that ``finish`` takes."""
        return self._seconds + self._finalize_seconds + _UNWIND_SECONDS

    def refuse_late_calls(self) -> None:
        """Raise Draining if the drain is over."""
        if self._is_over:
            self._metrics.streams_rejected.labels("draining").inc()
            raise _draining()

    @asynccontextmanager
    async def open_call(self, client: Client) -> AsyncIterator[GoingAwayNotice]:
        """Keep a call until it ends, or cut it.

        Raises:
            Draining: It was cut because the gateway stops.
            StreamExpired: It was cut because it lasted too long.
        """
        call = _OpenCall(client, self._finalize_seconds)
        try:
            async with call.limit:
                try:
                    self._add(call)
                    yield call.going_away
                finally:
                    self._remove(call)
        except (GatewayError, TimeoutError) as error:
            if (cut := call.cut_error) is None:
                raise
            self._count(cut)
            raise cut from error
        if call.cut_error is not None:
            self._count(call.cut_error)
            raise call.cut_error

    def begin(self) -> None:
        """Announce to the open calls, and to each new one, how much time is left."""
        if self._deadline is not None:
            return
        self._deadline = time.monotonic() + self._seconds
        self._metrics.draining.set(1)
        self._metrics.drain_deadline.set(time.time() + self._seconds)
        for call in self._calls:
            call.going_away.announce(self._seconds)

    def stop_waiting(self) -> None:
        """Cut the open calls at once; do not wait for them to end by themselves."""
        self._may_cut.set()

    async def finish(self) -> None:
        """Wait until no call is open; cut those that remain at the deadline."""
        if self._deadline is None:
            raise RuntimeError("the drain has not begun")
        if self._calls:
            await is_set_within(self._may_cut, self._deadline - time.monotonic())
        self._is_over = True
        for call in tuple(self._calls):
            call.cut(_draining())
        # The server ends what still runs after that.
        await is_set_within(self._is_idle, self._finalize_seconds + _UNWIND_SECONDS)

    def _add(self, call: _OpenCall) -> None:
        self._calls.add(call)
        self._is_idle.clear()
        if self._max_stream_seconds:
            call.expire_after(self._max_stream_seconds)
        if self._deadline is not None:
            call.going_away.announce(self._deadline - time.monotonic())

    def _remove(self, call: _OpenCall) -> None:
        call.cancel_timers()
        self._calls.discard(call)
        if not self._calls:
            self._is_idle.set()
            if self._deadline is not None:
                self._may_cut.set()

    def _count(self, cut: GatewayError) -> None:
        if isinstance(cut, Draining):
            self.cut_calls += 1
            self._metrics.drain_streams_cut.inc()


class _OpenCall:
    """One call that may be cut.

    Attributes:
        going_away: Announces how much time is left.
        limit: Ends the call when its last result takes too long.
    """

    def __init__(self, client: Client, finalize_seconds: float) -> None:
        self.going_away = GoingAwayNotice()
        self.limit = asyncio.timeout(None)
        self._client = client
        self._finalize_seconds = finalize_seconds
        self._error: GatewayError | None = None
        self._had_half_closed = False
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def cut_error(self) -> GatewayError | None:
        """The error with which the call was cut; None if it ended by itself."""
        return None if self._had_half_closed and not self.limit.expired() else self._error

    def cut(self, error: GatewayError) -> None:
        """Read no more of the client; the call has ``finalize_seconds`` to end."""
        if self._error is None:
            self._error = error
            self._had_half_closed = not self._client.stop_reading()
            self.limit.reschedule(asyncio.get_running_loop().time() + self._finalize_seconds)

    def expire_after(self, seconds: float) -> None:
        """Cut the call after some seconds, and announce that before."""
        notice = min(_NOTICE_SECONDS, seconds / 2)
        loop = asyncio.get_running_loop()
        expired = StreamExpired(
            f"the call has lasted {seconds:g} s, the most that this gateway allows; go on in a new call",
            retry_after_seconds=0.0,
        )
        self._timers = [
            loop.call_later(seconds - notice, self.going_away.announce, notice),
            loop.call_later(seconds, self.cut, expired),
        ]

    def cancel_timers(self) -> None:
        """Cancel what ``expire_after`` has planned."""
        for timer in self._timers:
            timer.cancel()


def _draining() -> Draining:
    return Draining("this gateway is stopping; open a new call to reach another gateway", retry_after_seconds=1.0)
