"""How calls end that their callers did not end, and in what order."""

from __future__ import annotations

import asyncio
import math
import time

import pytest
from prometheus_client import CollectorRegistry

from asrgateway_server.call.going_away import GoingAwayNotice
from asrgateway_server.errors import Draining, GatewayError, InvalidRequest, StreamExpired
from asrgateway_server.grpc_api.drain import Drain
from asrgateway_server.metrics import Metrics
from gateways import eventually


class Caller:
    """A client, and the call that hears it until there is no more to hear.

    Attributes:
        going_away: The call's, once it is open.
        tail_seconds: What the call takes for its last result.
        error: Raised in the place of the last result.
    """

    def __init__(self, *, tail_seconds: float = 0.0, error: GatewayError | None = None) -> None:
        self.going_away: GoingAwayNotice | None = None
        self.tail_seconds = tail_seconds
        self.error = error
        self._is_over = asyncio.Event()

    def half_close(self) -> None:
        self._is_over.set()

    def stop_reading(self) -> bool:
        was_open = not self._is_over.is_set()
        self._is_over.set()
        return was_open

    async def call(self, drain: Drain) -> None:
        async with drain.open_call(self) as self.going_away:
            await self._is_over.wait()
            await asyncio.sleep(self.tail_seconds)
            if self.error:
                raise self.error


def drain_of(*, seconds: float = 0.01, finalize_seconds: float = 0.05, max_stream_seconds: float = 0.0) -> Drain:
    return Drain(seconds, finalize_seconds, max_stream_seconds, Metrics(CollectorRegistry()))


def counted(drain: Drain, name: str, **labels: str) -> float:
    return drain._metrics.registry.get_sample_value(f"asrgateway_{name}", labels) or 0.0


async def opened(drain: Drain, caller: Caller) -> asyncio.Task[None]:
    call = asyncio.create_task(caller.call(drain))
    await eventually(lambda: caller.going_away is not None)
    return call


def left_seconds(caller: Caller) -> float:
    """What the caller was told."""
    assert caller.going_away is not None
    assert caller.going_away.announced.is_set()
    assert caller.going_away.deadline is not None
    return caller.going_away.deadline - time.monotonic()


# Stopping ---------------------------------------------------------------------------------------------------------


async def test_a_gateway_without_calls_stops_at_once() -> None:
    drain = drain_of(seconds=120)
    drain.begin()
    async with asyncio.timeout(60):
        await drain.finish()


async def test_calls_that_were_on_their_way_are_taken() -> None:
    drain = drain_of(seconds=120)
    drain.begin()
    drain.refuse_late_calls()
    assert counted(drain, "streams_rejected_total", reason="draining") == 0


async def test_once_no_call_is_waited_for_another_is_refused_and_counted() -> None:
    drain = drain_of()
    drain.begin()
    await drain.finish()
    with pytest.raises(Draining) as refused:
        drain.refuse_late_calls()
    assert refused.value.retry_after_seconds == 1.0
    assert counted(drain, "streams_rejected_total", reason="draining") == 1


async def test_metrics_tell_when_calls_will_be_cut() -> None:
    drain = drain_of(seconds=120)
    assert math.isnan(counted(drain, "drain_deadline_timestamp_seconds"))
    drain.begin()
    assert counted(drain, "draining") == 1
    assert 60 < counted(drain, "drain_deadline_timestamp_seconds") - time.time() <= 120


async def test_open_calls_are_told_how_much_time_is_left() -> None:
    drain, caller = drain_of(seconds=120), Caller()
    call = await opened(drain, caller)
    drain.begin()
    assert 60 < left_seconds(caller) <= 120
    caller.half_close()
    await call


async def test_a_call_that_is_opening_meanwhile_is_told_too() -> None:
    drain, caller = drain_of(seconds=120), Caller()
    drain.begin()
    call = await opened(drain, caller)
    assert 60 < left_seconds(caller) <= 120
    caller.half_close()
    await call


async def test_a_call_that_ends_by_itself_is_waited_for_and_untouched() -> None:
    drain, caller = drain_of(seconds=120), Caller()
    call = await opened(drain, caller)
    drain.begin()
    finishing = asyncio.create_task(drain.finish())
    caller.half_close()
    await call
    async with asyncio.timeout(60):
        await finishing
    assert counted(drain, "drain_streams_cut_total") == 0


async def test_a_call_with_an_error_of_its_own_keeps_it() -> None:
    drain, caller = drain_of(seconds=120), Caller(error=InvalidRequest("no"))
    call = await opened(drain, caller)
    drain.begin()
    caller.half_close()
    with pytest.raises(InvalidRequest):
        await call


async def test_a_call_that_remains_may_finish_and_is_then_sent_elsewhere() -> None:
    drain, caller = drain_of(finalize_seconds=120), Caller(tail_seconds=0.01)
    call = await opened(drain, caller)
    drain.begin()
    await drain.finish()
    with pytest.raises(Draining):
        await call
    assert counted(drain, "drain_streams_cut_total") == 1


async def test_what_goes_wrong_after_the_cut_is_not_the_callers_affair() -> None:
    drain, caller = drain_of(), Caller(error=InvalidRequest("no audio came"))
    call = await opened(drain, caller)
    drain.begin()
    await drain.finish()
    with pytest.raises(Draining):
        await call


async def test_a_call_that_cannot_finish_in_time_is_ended() -> None:
    drain, caller = drain_of(), Caller(tail_seconds=120)
    call = await opened(drain, caller)
    drain.begin()
    async with asyncio.timeout(60):
        await drain.finish()
    with pytest.raises(Draining):
        await call


async def test_a_call_whose_client_has_half_closed_may_end_well() -> None:
    drain, caller = drain_of(finalize_seconds=120), Caller(tail_seconds=0.05)
    call = await opened(drain, caller)
    caller.half_close()
    drain.begin()
    await drain.finish()
    await call
    assert counted(drain, "drain_streams_cut_total") == 0


async def test_a_call_whose_client_has_half_closed_is_not_waited_for_for_ever() -> None:
    drain, caller = drain_of(), Caller(tail_seconds=120)
    call = await opened(drain, caller)
    caller.half_close()
    drain.begin()
    await drain.finish()
    with pytest.raises(Draining):
        await call
    assert counted(drain, "drain_streams_cut_total") == 1


async def test_a_call_that_its_client_cancels_stays_cancelled() -> None:
    drain, caller = drain_of(finalize_seconds=120), Caller(tail_seconds=120)
    call = await opened(drain, caller)
    drain.begin()
    finishing = asyncio.create_task(drain.finish())
    await eventually(caller._is_over.is_set)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await finishing


async def test_who_hurries_waits_for_no_call() -> None:
    drain, caller = drain_of(seconds=120), Caller()
    call = await opened(drain, caller)
    drain.begin()
    drain.stop_waiting()
    async with asyncio.timeout(60):
        await drain.finish()
    with pytest.raises(Draining):
        await call


# Calls that last too long -----------------------------------------------------------------------------------------


async def test_a_call_that_lasts_too_long_is_told_ahead_and_cut() -> None:
    drain, caller = drain_of(finalize_seconds=120, max_stream_seconds=0.1), Caller()
    call = await opened(drain, caller)
    assert caller.going_away is not None
    await caller.going_away.announced.wait()
    assert 0 < left_seconds(caller) <= 0.05
    with pytest.raises(StreamExpired, match=r"^the call has lasted 0\.1 s, the most that this gateway allows"):
        await call
    assert counted(drain, "drain_streams_cut_total") == 0


async def test_the_reason_of_the_first_cut_stands() -> None:
    drain, caller = drain_of(finalize_seconds=0.1, max_stream_seconds=0.01), Caller(tail_seconds=0.05)
    call = await opened(drain, caller)
    await eventually(caller._is_over.is_set)
    drain.begin()
    await drain.finish()
    with pytest.raises(StreamExpired):
        await call


async def test_a_short_call_never_hears_of_the_limit() -> None:
    drain, caller = drain_of(max_stream_seconds=120), Caller()
    call = await opened(drain, caller)
    caller.half_close()
    await call
    assert caller.going_away is not None
    assert not caller.going_away.announced.is_set()
