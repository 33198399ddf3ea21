from __future__ import annotations

from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asrgateway_server.backends.circuit_breaker import CircuitBreaker, CircuitLimits, Start

LIMITS: Final = CircuitLimits()


@pytest.fixture
def circuit() -> CircuitBreaker:
    return CircuitBreaker(LIMITS)


def fail(circuit: CircuitBreaker, now: float, *calls: str) -> None:
    for call in calls:
        circuit.failed(circuit.begin(call), now)


def succeed(circuit: CircuitBreaker, now: float, *calls: str) -> None:
    for call in calls:
        circuit.succeeded(circuit.begin(call), now)


def opened(now: float = 0.0) -> CircuitBreaker:
    circuit = CircuitBreaker(LIMITS)
    fail(circuit, now, *"abcde")
    return circuit


# Opening ----------------------------------------------------------------------------------------------------------


def test_a_new_circuit_lets_tasks_start(circuit: CircuitBreaker) -> None:
    assert circuit.may_start(0.0)
    assert circuit.next_start_at(7.0) == 7.0


def test_failures_of_five_calls_in_a_row_open_it(circuit: CircuitBreaker) -> None:
    fail(circuit, 0.0, *"abcd")
    assert circuit.may_start(0.0)
    fail(circuit, 1.0, "e")
    assert not circuit.may_start(1.0)


def test_one_call_that_fails_again_and_again_is_one(circuit: CircuitBreaker) -> None:
    fail(circuit, 0.0, *"aaaaaaaab")
    assert circuit.may_start(0.0)


def test_failures_long_ago_do_not_count(circuit: CircuitBreaker) -> None:
    fail(circuit, 0.0, *"abcd")
    fail(circuit, 30.1, *"efgh")
    assert circuit.may_start(30.1)
    fail(circuit, 30.1, "i")
    assert not circuit.may_start(30.1)


def test_a_success_between_them_ends_the_row(circuit: CircuitBreaker) -> None:
    """A busy model loses five starts of hundreds within the time without being ill."""
    fail(circuit, 0.0, *"abcd")
    succeed(circuit, 1.0, *"ijklmnop")
    fail(circuit, 2.0, *"efgh")
    assert circuit.may_start(2.0)


def test_more_failures_than_successes_open_it(circuit: CircuitBreaker) -> None:
    fail(circuit, 0.0, *"aaaa")
    succeed(circuit, 1.0, *"bcdef")
    fail(circuit, 2.0, "a")
    assert circuit.may_start(2.0)
    fail(circuit, 2.0, "a")
    assert not circuit.may_start(2.0)


def test_nine_starts_are_too_few_for_a_share(circuit: CircuitBreaker) -> None:
    fail(circuit, 0.0, *"aaaaaaaaa")
    assert circuit.may_start(0.0)
    fail(circuit, 0.0, "a")
    assert not circuit.may_start(0.0)


def test_starts_long_ago_have_no_share(circuit: CircuitBreaker) -> None:
    fail(circuit, 0.0, *"aaaaaaaaa")
    fail(circuit, 30.1, *"aaaaaaaaa")
    assert circuit.may_start(30.1)


# Open -------------------------------------------------------------------------------------------------------------


def test_it_stays_open_for_ten_seconds() -> None:
    circuit = opened(now=5.0)
    assert circuit.next_start_at(6.0) == 15.0
    assert not circuit.may_start(14.9)
    assert circuit.may_start(15.0)


def test_then_one_task_may_try() -> None:
    circuit = opened()
    circuit.begin("f")
    assert not circuit.may_start(10.0)
    assert circuit.next_start_at(10.0) == 10.5


def test_a_try_that_succeeds_closes_it() -> None:
    circuit = opened()
    succeed(circuit, 10.0, "f")
    fail(circuit, 10.0, *"abcd")
    assert circuit.may_start(10.0)


@pytest.mark.parametrize(("failures", "seconds"), [(1, 20.0), (2, 40.0), (3, 80.0), (4, 120.0), (9, 120.0)])
def test_each_try_that_fails_doubles_the_time_up_to_two_minutes(failures: int, seconds: float) -> None:
    circuit = opened()
    now = 0.0
    for _ in range(failures):
        now = circuit.next_start_at(now)
        fail(circuit, now, "f")
    assert circuit.next_start_at(now) == now + seconds


def test_after_it_was_closed_the_time_is_short_again() -> None:
    circuit = opened()
    fail(circuit, 10.0, "f")
    succeed(circuit, 30.0, "g")
    fail(circuit, 31.0, *"abcde")
    assert circuit.next_start_at(31.0) == 41.0


def test_a_try_that_is_abandoned_makes_room_for_another_one() -> None:
    circuit = opened()
    start = circuit.begin("f")
    circuit.abandoned(start)
    assert circuit.may_start(10.0)
    other = circuit.begin("g")
    circuit.abandoned(start)
    circuit.failed(start, 10.0)
    assert not circuit.may_start(10.0)
    circuit.succeeded(other, 10.0)
    assert circuit.may_start(10.0)


def test_what_began_before_it_opened_does_not_count_after_it(circuit: CircuitBreaker) -> None:
    late, later, latest = (circuit.begin(call) for call in "xyz")
    fail(circuit, 0.0, *"abcde")
    circuit.succeeded(late, 1.0)
    assert not circuit.may_start(1.0)
    succeed(circuit, 10.0, "f")
    fail(circuit, 10.0, *"abcd")
    circuit.failed(later, 10.0)
    circuit.abandoned(latest)
    assert circuit.may_start(10.0)


# Whatever happens -------------------------------------------------------------------------------------------------


class AnyHistory(RuleBasedStateMachine):
    """Calls start tasks where they may, which end in any order and at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = CircuitBreaker(LIMITS)
        self.now = 0.0
        self.starts: list[Start] = []
        self.probes: set[Start] = set()
        self.failures = 0

    @property
    def is_open(self) -> bool:
        return self.circuit.next_start_at(-1.0) > -1.0

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 5.0, 10.0, 31.0, 120.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.circuit.may_start(self.now))
    @rule(call=st.sampled_from("abcdefgh"))
    def begin(self, call: str) -> None:
        was_open = self.is_open
        self.starts.append(self.circuit.begin(call))
        if was_open:
            self.probes.add(self.starts[-1])

    @precondition(lambda self: self.starts)
    @rule(data=st.data(), how=st.sampled_from(["succeeded", "failed", "abandoned"]))
    def end(self, data: st.DataObject, how: str) -> None:
        start = self.starts.pop(data.draw(st.integers(0, len(self.starts) - 1)))
        was_open, is_probe = self.is_open, start in self.probes
        self.probes.discard(start)
        match how:
            case "succeeded":
                self.circuit.succeeded(start, self.now)
                assert self.is_open == (was_open and not is_probe)
            case "failed":
                self.failures += 1
                self.circuit.failed(start, self.now)
                assert self.is_open or (not was_open and not is_probe)
                assert was_open or not self.is_open or self.failures >= LIMITS.failed_calls
        self.circuit.abandoned(start)

    @invariant()
    def no_two_try_at_once(self) -> None:
        assert len(self.probes) <= 1

    @invariant()
    def nobody_waits_longer_than_two_minutes(self) -> None:
        assert self.now <= self.circuit.next_start_at(self.now) <= self.now + LIMITS.max_open_seconds

    @invariant()
    def a_task_may_start_when_it_is_worth_asking(self) -> None:
        assert self.circuit.may_start(self.now) == (self.circuit.next_start_at(self.now) == self.now)

    @precondition(lambda self: not self.starts)
    @invariant()
    def with_no_task_on_its_way_one_may_start_in_time(self) -> None:
        assert self.circuit.may_start(self.circuit.next_start_at(self.now))


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(deadline=None, max_examples=50, stateful_step_count=40)
