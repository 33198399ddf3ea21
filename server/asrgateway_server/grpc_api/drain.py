"""The open Recognize calls, and how the gateway brings them to an end that their callers did not choose."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

from asrgateway_server.call.going_away import GoingAwayNotice
from asrgateway_server.errors import Draining, GatewayError, StreamExpired
from asrgateway_server.grpc_api.event_wait import is_set_within
from asrgateway_server.metrics import Metrics

# How long before its end a caller is told that a call has lasted for too long; half the limit if that is shorter.
_NOTICE_SECONDS: Final = 30.0
# A cut call whose time is over may need this to close its connection to the vendor.
_UNWIND_SECONDS: Final = 2.0


class Client(Protocol):
    """Whoever is heard in a call."""

    def stop_reading(self) -> bool:
        """Let ``read`` report the end as a half-close would; return False if the client had half-closed already."""


class Drain:
    """Keeps the open calls; tells them that the gateway stops, waits for them, and cuts those that remain.

    A call that arrives meanwhile was sent before its client knew: it is taken, and told too. Only once calls are cut,
    or none is left, is another one refused.

    A call that is cut gets the final result of what was heard so far, and ends with an error that tells its caller to
    call again.

    Args:
        seconds: How long calls may go on once the gateway stops.
        finalize_seconds: How long a call that is cut may take for its last result.
        max_stream_seconds: How long any call may last; 0: for ever.
        metrics: Count what is refused and cut.
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
        """Raise Draining once no call is waited for any more."""
        if self._is_over:
            self._metrics.streams_rejected.labels("draining").inc()
            raise _draining()

    @asynccontextmanager
    async def open_call(self, client: Client) -> AsyncIterator[GoingAwayNotice]:
        """Keep a call until it ends; cut it when its time has come.

        Raises:
            Draining: It was cut because the gateway stops.
            StreamExpired: It was cut because it lasted for too long.
        """
        call = _OpenCall(client, self._finalize_seconds)
        try:
            async with call.limit:
                try:
                    self._welcome(call)
                    yield call.going_away
                finally:
                    self._forget(call)
        except (GatewayError, TimeoutError) as error:
            if (reason := call.why_cut) is None:
                raise
            self._count(reason)
            raise reason from error
        if call.why_cut is not None:
            self._count(call.why_cut)
            raise call.why_cut

    def begin(self) -> None:
        """Tell the open calls, and each new one, how much time is left."""
        if self._deadline is not None:
            return
        self._deadline = time.monotonic() + self._seconds
        self._metrics.draining.set(1)
        self._metrics.drain_deadline.set(time.time() + self._seconds)
        for call in self._calls:
            call.going_away.announce(self._seconds)

    def hurry(self) -> None:
        """Wait no longer for calls to end by themselves."""
        self._may_cut.set()

    async def finish(self) -> None:
        """Wait until no call is open; cut those that outlast their time."""
        if self._deadline is None:
            raise RuntimeError("it has not begun")
        if self._calls:
            await is_set_within(self._may_cut, self._deadline - time.monotonic())
        self._is_over = True
        for call in tuple(self._calls):
            call.cut(_draining())
        # What still runs after it is ended with the server.
        await is_set_within(self._is_idle, self._finalize_seconds + _UNWIND_SECONDS)

    def _welcome(self, call: _OpenCall) -> None:
        self._calls.add(call)
        self._is_idle.clear()
        if self._max_stream_seconds:
            call.expire_after(self._max_stream_seconds)
        if self._deadline is not None:
            call.going_away.announce(self._deadline - time.monotonic())

    def _forget(self, call: _OpenCall) -> None:
        call.cancel_timers()
        self._calls.discard(call)
        if not self._calls:
            self._is_idle.set()
            if self._deadline is not None:
                self._may_cut.set()

    def _count(self, reason: GatewayError) -> None:
        if isinstance(reason, Draining):
            self.cut_calls += 1
            self._metrics.drain_streams_cut.inc()


class _OpenCall:
    """One call that may be cut.

    Attributes:
        going_away: Tells it how much time is left.
        limit: Ends it when even its last result has taken too long.
    """

    def __init__(self, client: Client, finalize_seconds: float) -> None:
        self.going_away = GoingAwayNotice()
        self.limit = asyncio.timeout(None)
        self._client = client
        self._finalize_seconds = finalize_seconds
        self._reason: GatewayError | None = None
        self._is_on_its_way = False
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def why_cut(self) -> GatewayError | None:
        """What its caller is told; None if the call came to an end of its own."""
        return None if self._is_on_its_way and not self.limit.expired() else self._reason

    def cut(self, reason: GatewayError) -> None:
        """Hear no more of the client; the call has ``finalize_seconds`` to end."""
        if self._reason is None:
            self._reason = reason
            self._is_on_its_way = not self._client.stop_reading()
            self.limit.reschedule(asyncio.get_running_loop().time() + self._finalize_seconds)

    def expire_after(self, seconds: float) -> None:
        """Cut it after so long, and tell it ahead."""
        notice = min(_NOTICE_SECONDS, seconds / 2)
        loop = asyncio.get_running_loop()
        expired = StreamExpired(
            f"the call has lasted {seconds:g} s, the longest here; go on in a new one", retry_after_seconds=0.0
        )
        self._timers = [
            loop.call_later(seconds - notice, self.going_away.announce, notice),
            loop.call_later(seconds, self.cut, expired),
        ]

    def cancel_timers(self) -> None:
        """Forget what ``expire_after`` has planned."""
        for timer in self._timers:
            timer.cancel()


def _draining() -> Draining:
    return Draining("this gateway is stopping; call again to reach another one", retry_after_seconds=1.0)
