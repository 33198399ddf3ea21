from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from asrgateway_server.backends.start_limiter import StartLimiter, TokenBucket
from asrgateway_server.errors import Overloaded
from asrgateway_server.metrics import Metrics
from example_vendors.echo.remote import EchoRemote
from example_vendors.echo.settings import EchoSettings


def turns(bucket: TokenBucket, *times: float) -> list[float]:
    """When those may start that ask at these times."""
    taken = []
    for now in times:
        taken.append(bucket.next_turn(now))
        bucket.take(taken[-1])
    return taken


def test_a_seconds_count_may_start_at_once_and_the_next_waits_until_the_second_is_over() -> None:
    assert turns(TokenBucket(3), *[100.0] * 7) == [100.0] * 3 + [101.0] * 3 + [102.0]


def test_300_at_once_take_their_turns_in_order_and_no_second_has_more_than_20() -> None:
    taken = turns(TokenBucket(20), *(number / 1024 for number in range(300)))
    assert taken == sorted(taken)
    assert [later - earlier >= 1.0 for earlier, later in zip(taken, taken[20:], strict=False)] == [True] * 280
    assert taken[-1] == 14 + 19 / 1024


def test_a_token_that_was_not_used_is_there_later_and_no_more_than_all_of_them() -> None:
    assert turns(TokenBucket(2), 0.0, 50.0, 50.0, 50.0) == [0.0, 50.0, 50.0, 51.0]


def test_a_token_comes_back_a_second_after_its_use() -> None:
    assert turns(TokenBucket(2), 0.0, 0.7, 0.8, 0.9, 2.0) == [0.0, 0.7, 1.0, 1.7, 2.0]


@pytest.mark.parametrize(("per_second", "third"), [(0.5, 4.0), (1.5, 1 + 1 / 3), (6.5, 0.0)])
def test_a_rate_need_not_be_a_whole_number(per_second: float, third: float) -> None:
    assert turns(TokenBucket(per_second), 0.0, 0.0, 0.0)[-1] == pytest.approx(third)


def test_a_turn_that_is_given_back_is_there_for_those_who_ask_later() -> None:
    bucket = TokenBucket(1)
    assert turns(bucket, 0.0, 0.0, 0.0) == [0.0, 1.0, 2.0]
    bucket.give_back(2.0)
    assert turns(bucket, 0.5) == [2.0]


def test_nobody_overtakes_where_a_turn_was_given_back() -> None:
    bucket = TokenBucket(2)
    assert turns(bucket, *[0.0] * 5) == [0.0, 0.0, 1.0, 1.0, 2.0]
    bucket.give_back(1.0)
    bucket.give_back(1.0)
    assert turns(bucket, 0.5, 0.5) == [2.0, 3.0]


def test_a_turn_may_be_given_back_when_it_is_over() -> None:
    bucket = TokenBucket(1)
    assert turns(bucket, 0.0, 5.0) == [0.0, 5.0]
    bucket.give_back(0.0)
    assert turns(bucket, 5.0) == [6.0]


class Gateways(EchoRemote):
    """Access with the gateway's key."""

    account = "gateway's"


class Callers(EchoRemote):
    """Access with a caller's key."""

    account = "caller's"
    is_callers = True


SETTINGS = EchoSettings(max_task_starts_per_second=2, max_task_start_wait_seconds=1.5)
GATEWAYS, CALLERS = Gateways(SETTINGS), Callers(SETTINGS)


def limiter(settings: EchoSettings = SETTINGS) -> tuple[StartLimiter, Metrics]:
    metrics = Metrics(CollectorRegistry())
    return StartLimiter(settings, metrics), metrics


def value(metrics: Metrics, name: str, scope: str) -> float | None:
    return metrics.registry.get_sample_value(f"asrgateway_ratelimit_{name}", {"scope": scope})


async def test_tasks_start_in_the_order_in_which_they_ask() -> None:
    starts, metrics = limiter()
    started: list[int] = []

    async def start(number: int) -> None:
        await starts.wait_for_turn(GATEWAYS, "one")
        started.append(number)

    # A fourth one would start within a microsecond of the third, and the loop's timers are coarser.
    await asyncio.gather(*map(start, range(3)))
    assert started == [0, 1, 2]
    assert value(metrics, "wait_seconds_count", "gateways_key") == 3
    waited = value(metrics, "wait_seconds_sum", "gateways_key")
    assert waited is not None
    assert 0 < waited <= 2


async def test_a_task_that_would_wait_too_long_is_refused_at_once_and_told_when_to_come_back() -> None:
    starts, metrics = limiter(EchoSettings(max_task_starts_per_second=0.1, max_task_start_wait_seconds=5))
    await starts.wait_for_turn(GATEWAYS, "one")
    with pytest.raises(Overloaded) as refused:
        await starts.wait_for_turn(GATEWAYS, "one")
    assert refused.value.retry_after_seconds == pytest.approx(10.0, abs=1.0)
    assert value(metrics, "rejections_total", "gateways_key") == 1
    assert value(metrics, "rejections_total", "callers_key") == 0


async def test_each_account_and_each_model_has_its_own_turns() -> None:
    starts, metrics = limiter(EchoSettings(max_task_starts_per_second=0.001))
    await starts.wait_for_turn(GATEWAYS, "one")
    await starts.wait_for_turn(GATEWAYS, "two")
    await starts.wait_for_turn(CALLERS, "one")
    with pytest.raises(Overloaded):
        await starts.wait_for_turn(CALLERS, "one")
    assert value(metrics, "rejections_total", "callers_key") == 1


async def test_a_wait_that_is_cancelled_takes_no_turn() -> None:
    starts, _ = limiter(EchoSettings(max_task_starts_per_second=0.01, max_task_start_wait_seconds=150))
    await starts.wait_for_turn(GATEWAYS, "one")
    waiting = asyncio.create_task(starts.wait_for_turn(GATEWAYS, "one"))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await starts.wait_for_turn(GATEWAYS, "one")
    waiting.cancel()
    await asyncio.wait((waiting,))
    in_its_place = asyncio.create_task(starts.wait_for_turn(GATEWAYS, "one"))
    await asyncio.sleep(0)
    assert not in_its_place.done()
    in_its_place.cancel()
    await asyncio.wait((in_its_place,))


async def test_without_a_limit_nobody_waits() -> None:
    starts, _ = limiter(EchoSettings(max_task_starts_per_second=0))
    for _ in range(1000):
        await starts.wait_for_turn(GATEWAYS, "one")


async def test_accounts_are_forgotten_that_have_not_started_anything_for_the_longest() -> None:
    starts, _ = limiter(EchoSettings(max_task_starts_per_second=0.001))

    class Other(Callers):
        def __init__(self, number: int) -> None:
            super().__init__(SETTINGS)
            self.account = f"caller {number}"

    for number in range(1001):
        await starts.wait_for_turn(Other(number), "one")
    with pytest.raises(Overloaded):
        await starts.wait_for_turn(Other(1), "one")
    await starts.wait_for_turn(Other(0), "one")
