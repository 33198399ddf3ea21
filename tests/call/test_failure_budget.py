"""How many failures a call takes, and how long it waits after each."""

from __future__ import annotations

import pytest

from asrgateway_server.call.failure_budget import FailureBudget


def budget(failures: int = 0, *, most: int = 3, first_pause_seconds: float = 0.2) -> FailureBudget:
    made = FailureBudget(most, first_pause_seconds)
    for _ in range(failures):
        made.failed()
    return made


@pytest.mark.parametrize(("failures", "is_spent"), [(0, False), (1, False), (3, False), (4, True), (5, True)])
def test_one_failure_more_than_it_takes_is_too_many(failures: int, is_spent: bool) -> None:
    assert budget(failures).is_spent is is_spent


@pytest.mark.parametrize(("failures", "is_spent"), [(0, False), (1, True)])
def test_a_budget_of_none_is_spent_by_the_first_failure(failures: int, is_spent: bool) -> None:
    assert budget(failures, most=0).is_spent is is_spent


def test_progress_renews_it() -> None:
    made = budget(3)
    made.renew()
    made.failed()
    assert not made.is_spent


@pytest.mark.parametrize(("seconds", "is_healthy"), [(0.0, False), (29.9, False), (30.0, True), (3600.0, True)])
def test_half_a_minute_of_one_task_renews_it(seconds: float, is_healthy: bool) -> None:
    made = budget(4)
    assert made.task_ran(seconds) is is_healthy
    assert made.is_spent is not is_healthy


def test_short_tasks_do_not_renew_it_however_many() -> None:
    """An open connection is no progress: a vendor that takes every task and ends it soon spends the budget."""
    made = budget()
    for _ in range(4):
        made.task_ran(10.0)
        made.failed()
    assert made.is_spent


def test_failures_of_more_than_a_connected_minute_ago_count_no_more() -> None:
    made = budget()
    for _ in range(20):
        made.task_ran(25.0)
        made.failed()
    assert not made.is_spent


def test_time_without_a_connection_does_not_make_failures_old() -> None:
    made = budget(3)
    made.task_ran(0.0)
    made.failed()
    assert made.is_spent


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0.2), (1, 0.2), (2, 0.6), (3, 1.8), (4, 5.4), (5, 10.0), (50, 10.0)]
)
def test_each_pause_is_three_times_as_long_up_to_ten_seconds(failures: int, seconds: float) -> None:
    assert budget(failures).pause_seconds(1.0) == pytest.approx(seconds)


def test_at_least_half_of_a_pause_is_waited() -> None:
    made = budget(2)
    assert [made.pause_seconds(chance) for chance in (0.0, 0.5, 1.0)] == pytest.approx([0.3, 0.45, 0.6])


def test_pauses_begin_anew_with_the_budget() -> None:
    made = budget(4)
    made.renew()
    made.failed()
    assert made.pause_seconds(1.0) == pytest.approx(0.2)
