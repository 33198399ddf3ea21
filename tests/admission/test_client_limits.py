from __future__ import annotations

from contextlib import ExitStack

import pytest

from asrgateway_server.admission.client_limits import MAX_REMEMBERED, ClientLimits
from asrgateway_server.errors import ClientLimitReached


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def start(limits: ClientLimits, client: str) -> None:
    """A call that is over at once."""
    with limits.admitted(client):
        pass


def test_without_limits_no_call_is_refused_and_no_client_is_remembered() -> None:
    limits = ClientLimits(0, 0)
    with ExitStack() as calls:
        for _ in range(1000):
            calls.enter_context(limits.admitted("a"))
    assert limits.remembered == 0


def test_each_client_has_its_own_limit_of_open_calls() -> None:
    limits = ClientLimits(2, 0)
    with limits.admitted("a"), limits.admitted("a"), limits.admitted("b"):
        with pytest.raises(ClientLimitReached, match=r"^this client has reached its limit of 2 open calls") as caught:
            start(limits, "a")
        start(limits, "b")
    assert caught.value.retry_after_seconds == 1.0
    start(limits, "a")
    assert limits.remembered == 0


def test_each_client_has_its_own_limit_of_starts_in_a_minute() -> None:
    clock = Clock()
    limits = ClientLimits(0, 2, clock)
    for client in "aab":
        start(limits, client)
    with pytest.raises(
        ClientLimitReached, match=r"^this client has reached its limit of 2 new calls in a minute"
    ) as caught:
        start(limits, "a")
    start(limits, "b")
    assert caught.value.retry_after_seconds == 30.0
    clock.now += 30.0
    start(limits, "a")
    with pytest.raises(ClientLimitReached):
        start(limits, "a")


def test_a_refused_call_counts_for_no_limit() -> None:
    limits = ClientLimits(1, 2, Clock())
    with limits.admitted("a"):
        for _ in range(5):
            with pytest.raises(ClientLimitReached, match="open calls"):
                start(limits, "a")
    start(limits, "a")


def test_the_number_of_remembered_clients_is_bounded() -> None:
    limits = ClientLimits(5, 2, Clock())
    for number in range(3 * MAX_REMEMBERED):
        start(limits, f"address:{number}")
    assert limits.remembered == MAX_REMEMBERED


def test_a_client_that_has_not_started_any_for_a_minute_is_forgotten() -> None:
    clock = Clock()
    limits = ClientLimits(5, 2, clock)
    for number in range(1000):
        start(limits, f"address:{number}")
    clock.now += 60.0
    start(limits, "a")
    assert limits.remembered == 1


def test_a_client_with_open_calls_is_never_forgotten() -> None:
    limits = ClientLimits(1, 2, Clock())
    with limits.admitted("a"):
        for number in range(MAX_REMEMBERED + 1):
            start(limits, f"address:{number}")
        with pytest.raises(ClientLimitReached, match="open calls"):
            start(limits, "a")


def test_the_channels_of_a_call_count_as_open_calls_while_it_is_open() -> None:
    limits = ClientLimits(3, 0)
    with limits.admitted("a"):
        with limits.more_streams("a", 2), pytest.raises(ClientLimitReached):
            start(limits, "a")
        start(limits, "a")
        with pytest.raises(ClientLimitReached), limits.more_streams("a", 3):
            pass
    assert limits.remembered == 0
