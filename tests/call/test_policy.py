"""What follows a task."""

from __future__ import annotations

import pytest

from asrgateway_server.backends.base import Completed, Failed, Lost, TaskEnd
from asrgateway_server.call.policy import Failures, InputEnd, Step, error_after, next_step
from asrgateway_server.errors import (
    GatewayError,
    Overloaded,
    UpstreamLost,
    UpstreamProtocolError,
    UpstreamRefused,
)

COMPLETED = Completed(read_at=0.0)
LOST = Lost(error=UpstreamLost("the connection dropped", upstream_code="E1", upstream_request_id="task-1"))
FAILED = Failed(error=UpstreamRefused("no"))

ROWS: list[tuple[InputEnd, TaskEnd, Step]] = [
    (InputEnd.HALF_CLOSE, COMPLETED, Step.FINISH),
    (InputEnd.HALF_CLOSE, LOST, Step.RECONNECT),
    (InputEnd.HALF_CLOSE, FAILED, Step.FAIL),
    (InputEnd.COMMIT, COMPLETED, Step.ROLL_OVER),
    (InputEnd.COMMIT, LOST, Step.RECONNECT),
    (InputEnd.COMMIT, FAILED, Step.FAIL),
    (InputEnd.QUIET, COMPLETED, Step.HIBERNATE),
    (InputEnd.QUIET, LOST, Step.RECONNECT),
    (InputEnd.QUIET, FAILED, Step.FAIL),
    (InputEnd.IDLE, COMPLETED, Step.HIBERNATE),
    (InputEnd.IDLE, LOST, Step.HIBERNATE),
    (InputEnd.IDLE, FAILED, Step.HIBERNATE),
    (InputEnd.STARVED, LOST, Step.HIBERNATE),
    (InputEnd.STARVED, COMPLETED, Step.HIBERNATE),
    (InputEnd.STARVED, FAILED, Step.FAIL),
    (InputEnd.OPEN, COMPLETED, Step.RECONNECT),
    (InputEnd.OPEN, LOST, Step.RECONNECT),
    (InputEnd.OPEN, FAILED, Step.FAIL),
]


@pytest.mark.parametrize(("input_end", "end", "step"), ROWS)
def test_how_a_task_ended_decides_what_follows(input_end: InputEnd, end: TaskEnd, step: Step) -> None:
    assert next_step(input_end, end, Failures(is_first_task=True)) is step


@pytest.mark.parametrize(("input_end", "end", "step"), ROWS)
def test_a_spent_budget_forbids_only_another_attempt(input_end: InputEnd, end: TaskEnd, step: Step) -> None:
    followed = next_step(input_end, end, Failures(is_budget_spent=True, has_other_model=True, failed_starts=9))
    assert followed is (Step.FAIL if step is Step.RECONNECT else step)


@pytest.mark.parametrize(
    ("upstream_code", "is_first", "step"),
    [("", True, Step.FAIL), ("", False, Step.RECONNECT), ("Throttling", True, Step.RECONNECT)],
)
def test_a_new_call_without_room_in_the_gateway_goes_elsewhere(upstream_code: str, is_first: bool, step: Step) -> None:
    end = Lost(error=Overloaded("no room", upstream_code=upstream_code))
    assert next_step(InputEnd.OPEN, end, Failures(is_first_task=is_first)) is step


def test_every_case_has_a_row_above() -> None:
    assert {(input_end, type(end)) for input_end, end, _ in ROWS} == {
        (input_end, kind) for input_end in InputEnd for kind in (Completed, Lost, Failed)
    }


def test_a_lost_task_makes_the_call_unavailable_for_now() -> None:
    error = error_after(LOST)
    assert (error.reason, error.message) == ("UPSTREAM_UNAVAILABLE", "the connection dropped; try again")
    assert (error.retry_after_seconds, error.upstream_code, error.upstream_request_id) == (1.0, "E1", "task-1")


THROTTLED = Lost(error=Overloaded("too many", upstream_code="Throttling"))
ABOUT_REQUEST = Failed(error=UpstreamRefused("a parameter", is_about_request=True))


@pytest.mark.parametrize(
    ("end", "failed_starts", "in_a_row", "step"),
    [
        (LOST, 0, 1, Step.RECONNECT),
        (LOST, 1, 1, Step.RECONNECT),
        (LOST, 2, 2, Step.FAIL_OVER),
        (LOST, 0, 2, Step.RECONNECT),
        (LOST, 0, 3, Step.FAIL_OVER),
        (THROTTLED, 0, 1, Step.FAIL_OVER),
        (FAILED, 0, 0, Step.FAIL_OVER),
        (ABOUT_REQUEST, 0, 0, Step.FAIL),
    ],
)
def test_another_model_takes_over_after_two_attempts_or_a_refusal(
    end: TaskEnd, failed_starts: int, in_a_row: int, step: Step
) -> None:
    failures = Failures(failed_starts=failed_starts, in_a_row=in_a_row, has_other_model=True)
    assert next_step(InputEnd.OPEN, end, failures) is step


def test_a_vendor_that_never_has_room_exhausts_the_call() -> None:
    throttled = Overloaded("too many", upstream_code="Throttling")
    assert error_after(Lost(error=throttled)) is throttled


@pytest.mark.parametrize(("end", "error"), [(COMPLETED, UpstreamProtocolError), (FAILED, UpstreamRefused)])
def test_other_errors_stay_unchanged(end: TaskEnd, error: type[GatewayError]) -> None:
    assert type(error_after(end)) is error
