from __future__ import annotations

import math

import pytest

from asrgateway_server.admission.rate_limit import PerMinute

FULL = -math.inf


def taken(rate: PerMinute, *times: float) -> list[float]:
    """How long each would have to wait; those that need not are taken."""
    full_at, waits = FULL, []
    for now in times:
        waits.append(rate.wait_seconds(full_at, now))
        if not waits[-1]:
            full_at = rate.full_again(full_at, now)
    return waits


@pytest.mark.parametrize("count", [1, 3, 7, 120, 10_000])
def test_a_whole_minutes_count_may_come_at_once_and_the_next_has_to_wait(count: int) -> None:
    *first, last = taken(PerMinute(count), *[100.0] * (count + 1))
    assert first == [0.0] * count
    assert last == pytest.approx(60 / count, abs=1e-6)


def test_one_more_is_allowed_after_its_share_of_the_minute() -> None:
    assert taken(PerMinute(6), *[0.0] * 6, 9.0, 10.0, 10.0) == [0.0] * 6 + [1.0, 0.0, 10.0]


def test_a_minute_later_the_full_count_is_allowed_and_no_more() -> None:
    assert taken(PerMinute(2), 0.0, 0.0, 3600.0, 3600.0, 3600.0) == [0.0, 0.0, 0.0, 0.0, 30.0]
