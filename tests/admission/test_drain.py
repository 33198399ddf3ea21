"""How the gateway ends calls that their clients did not end, and in what order."""

from __future__ import annotations

import asyncio
import math
import time

import pytest
from prometheus_client import CollectorRegistry

from asrgateway_server.admission.drain import Drain
from asrgateway_server.call.going_away import GoingAwayNotice
from asrgateway_server.errors import Draining, GatewayError, InvalidRequest, StreamExpired
from asrgateway_server.metrics import Metrics
from gateways import eventually


class FakeClient:
    """A client, and a call that reads it until its end.

    Attributes:
        going_away: The call's, once it is open.
        tail_seconds: How long the call takes for its last result.
        error: Raised in the place of the last result.
    """

    def __init__(self, *, tail_seconds: float = 0.0, error: GatewayError | None = None) -> None:
        self.going_away: GoingAwayNotice | None = None
        self.tail_seconds = tail_seconds
        self.error = error
        self.is_over = asyncio.Event()

    def half_close(self) -> None:
        self.is_over.set()

    def stop_reading(self) -> bool:
        was_open = not self.is_over.is_set()
        self.is_over.set()
        return was_open

    async def call(self, drain: Drain) -> None:
        async with drain.open_call(self) as self.going_away:
            await self.is_over.wait()
            await asyncio.sleep(self.tail_seconds)
            if self.error:
                raise self.error


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def drain_of(
    metrics: Metrics, *, seconds: float = 0.01, finalize_seconds: float = 0.05, max_stream_seconds: float = 0.0
) -> Drain:
    return Drain(seconds, finalize_seconds, max_stream_seconds, metrics)


def counted(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"asrgateway_{name}", labels) or 0.0


async def opened(drain: Drain, client: FakeClient) -> asyncio.Task[None]:
    call = asyncio.create_task(client.call(drain))
    await eventually(lambda: client.going_away is not None)
    return call


def left_seconds(client: FakeClient) -> float:
    """The time left that the client got."""
    assert client.going_away is not None
    assert client.going_away.announced.is_set()
    assert client.going_away.deadline is not None
    return client.going_away.deadline - time.monotonic()


# Stopping ---------------------------------------------------------------------------------------------------------


async def test_a_gateway_without_calls_stops_at_once(metrics: Metrics) -> None:
    drain = drain_of(metrics, seconds=120)
    drain.begin()
    async with asyncio.timeout(60):
        await drain.finish()


async def test_a_call_that_arrives_during_the_drain_is_accepted(metrics: Metrics) -> None:
    drain = drain_of(metrics, seconds=120)
    drain.begin()
    drain.refuse_late_calls()
    assert counted(metrics, "streams_rejected_total", reason="draining") == 0


async def test_a_call_after_the_drain_is_refused_and_counted(metrics: Metrics) -> None:
    drain = drain_of(metrics)
    drain.begin()
    await drain.finish()
    with pytest.raises(Draining) as refused:
        drain.refuse_late_calls()
    assert refused.value.retry_after_seconds == 1.0
    assert counted(metrics, "streams_rejected_total", reason="draining") == 1


async def test_metrics_show_when_calls_will_be_cut(metrics: Metrics) -> None:
    drain = drain_of(metrics, seconds=120)
    assert math.isnan(counted(metrics, "drain_deadline_timestamp_seconds"))
    drain.begin()
    assert counted(metrics, "draining") == 1
    assert 60 < counted(metrics, "drain_deadline_timestamp_seconds") - time.time() <= 120


async def test_open_calls_get_the_time_that_is_left(metrics: Metrics) -> None:
    drain, client = drain_of(metrics, seconds=120), FakeClient()
    call = await opened(drain, client)
    drain.begin()
    assert 60 < left_seconds(client) <= 120
    client.half_close()
    await call


async def test_a_call_that_opens_during_the_drain_gets_it_too(metrics: Metrics) -> None:
    drain, client = drain_of(metrics, seconds=120), FakeClient()
    drain.begin()
    call = await opened(drain, client)
    assert 60 < left_seconds(client) <= 120
    client.half_close()
    await call


async def test_the_drain_waits_for_a_call_that_ends_by_itself(metrics: Metrics) -> None:
    drain, client = drain_of(metrics, seconds=120), FakeClient()
    call = await opened(drain, client)
    drain.begin()
    finishing = asyncio.create_task(drain.finish())
    client.half_close()
    await call
    async with asyncio.timeout(60):
        await finishing
    assert counted(metrics, "drain_streams_cut_total") == 0


async def test_a_call_keeps_its_own_error(metrics: Metrics) -> None:
    drain, client = drain_of(metrics, seconds=120), FakeClient(error=InvalidRequest("no"))
    call = await opened(drain, client)
    drain.begin()
    client.half_close()
    with pytest.raises(InvalidRequest):
        await call


async def test_a_cut_call_may_finish_and_then_ends_with_draining(metrics: Metrics) -> None:
    drain, client = drain_of(metrics, finalize_seconds=120), FakeClient(tail_seconds=0.01)
    call = await opened(drain, client)
    drain.begin()
    await drain.finish()
    with pytest.raises(Draining):
        await call
    assert counted(metrics, "drain_streams_cut_total") == 1


async def test_an_error_after_the_cut_is_reported_as_draining(metrics: Metrics) -> None:
    drain, client = drain_of(metrics), FakeClient(error=InvalidRequest("no audio came"))
    call = await opened(drain, client)
    drain.begin()
    await drain.finish()
    with pytest.raises(Draining):
        await call


async def test_a_cut_call_that_cannot_finish_in_time_is_ended(metrics: Metrics) -> None:
    drain, client = drain_of(metrics), FakeClient(tail_seconds=120)
    call = await opened(drain, client)
    drain.begin()
    async with asyncio.timeout(60):
        await drain.finish()
    with pytest.raises(Draining):
        await call


async def test_a_half_closed_call_may_end_with_ok(metrics: Metrics) -> None:
    drain, client = drain_of(metrics, finalize_seconds=120), FakeClient(tail_seconds=0.05)
    call = await opened(drain, client)
    client.half_close()
    drain.begin()
    await drain.finish()
    await call
    assert counted(metrics, "drain_streams_cut_total") == 0


async def test_a_half_closed_call_has_a_time_limit_too(metrics: Metrics) -> None:
    drain, client = drain_of(metrics), FakeClient(tail_seconds=120)
    call = await opened(drain, client)
    client.half_close()
    drain.begin()
    await drain.finish()
    with pytest.raises(Draining):
        await call
    assert counted(metrics, "drain_streams_cut_total") == 1


async def test_a_call_that_its_client_cancels_stays_cancelled(metrics: Metrics) -> None:
    drain, client = drain_of(metrics, finalize_seconds=120), FakeClient(tail_seconds=120)
    call = await opened(drain, client)
    drain.begin()
    finishing = asyncio.create_task(drain.finish())
    await eventually(client.is_over.is_set)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await finishing


async def test_stop_waiting_cuts_open_calls_at_once(metrics: Metrics) -> None:
    drain, client = drain_of(metrics, seconds=120), FakeClient()
    call = await opened(drain, client)
    drain.begin()
    drain.stop_waiting()
    async with asyncio.timeout(60):
        await drain.finish()
    with pytest.raises(Draining):
        await call


# Calls that last too long -----------------------------------------------------------------------------------------


async def test_a_call_that_lasts_too_long_gets_going_away_and_is_cut(metrics: Metrics) -> None:
    drain, client = drain_of(metrics, finalize_seconds=120, max_stream_seconds=0.1), FakeClient()
    call = await opened(drain, client)
    assert client.going_away is not None
    await client.going_away.announced.wait()
    assert 0 < left_seconds(client) <= 0.05
    with pytest.raises(StreamExpired, match=r"^the call has lasted 0\.1 s, the most that this gateway allows"):
        await call
    assert counted(metrics, "drain_streams_cut_total") == 0


async def test_the_error_of_the_first_cut_is_kept(metrics: Metrics) -> None:
    drain, client = drain_of(metrics, finalize_seconds=0.1, max_stream_seconds=0.01), FakeClient(tail_seconds=0.05)
    call = await opened(drain, client)
    await eventually(client.is_over.is_set)
    drain.begin()
    await drain.finish()
    with pytest.raises(StreamExpired):
        await call


async def test_a_short_call_gets_no_going_away(metrics: Metrics) -> None:
    drain, client = drain_of(metrics, max_stream_seconds=120), FakeClient()
    call = await opened(drain, client)
    client.half_close()
    await call
    assert client.going_away is not None
    assert not client.going_away.announced.is_set()
