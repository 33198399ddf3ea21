"""Which failures are followed by another call, and when."""

import grpc
import pytest

from asrgateway import RecognitionError
from asrgateway.errors import CLIENT_CLOSED
from asrgateway.retries import Retries, is_retryable

CODE = grpc.StatusCode
LOST = RecognitionError(CODE.UNAVAILABLE, "lost")


def busy(retry_after_seconds: float | None) -> RecognitionError:
    return RecognitionError(CODE.RESOURCE_EXHAUSTED, "busy", retry_after_seconds=retry_after_seconds)


@pytest.mark.parametrize(
    "error",
    [
        LOST,
        busy(1.0),
        RecognitionError(CODE.CANCELLED, "CANCELLED"),
        RecognitionError(CODE.INTERNAL, "Received RST_STREAM with error code 2"),
        RecognitionError(CODE.UNKNOWN, "Stream removed"),
    ],
)
def test_another_call_follows_what_passes_by_itself(error: RecognitionError) -> None:
    assert is_retryable(error)


@pytest.mark.parametrize(
    "error",
    [
        busy(None),
        RecognitionError(CODE.CANCELLED, CLIENT_CLOSED),
        RecognitionError(CODE.CANCELLED, "Stream removed (Channel closed!)"),
        RecognitionError(CODE.CANCELLED, "Locally cancelled by application!"),
        RecognitionError(CODE.INTERNAL, "the connection is fine, the vendor is not", reason="UPSTREAM_PROTOCOL_ERROR"),
        RecognitionError(CODE.INTERNAL, "internal error"),
        *(
            RecognitionError(code, "no")
            for code in (CODE.INVALID_ARGUMENT, CODE.UNAUTHENTICATED, CODE.DEADLINE_EXCEEDED, CODE.FAILED_PRECONDITION)
        ),
    ],
)
def test_no_call_follows_what_would_fail_again(error: RecognitionError) -> None:
    assert not is_retryable(error)
    with pytest.raises(RecognitionError) as caught:
        Retries(60).pause_seconds(error, 0, 0)
    assert caught.value is error


def test_pauses_double_up_to_five_seconds() -> None:
    retries = Retries(60)
    pauses = [retries.pause_seconds(LOST, 0, 1) for _ in range(8)]
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])


def test_a_pause_is_shortened_by_chance() -> None:
    assert Retries(60).pause_seconds(LOST, 0, 0) == pytest.approx(0.05)


def test_the_gateway_may_ask_for_a_longer_pause() -> None:
    assert Retries(60).pause_seconds(busy(7.0), 0, 1) == 7.0


def test_a_response_begins_the_count_anew() -> None:
    retries = Retries(60)
    retries.pause_seconds(LOST, 0, 1)
    retries.answered()
    assert retries.give_up_at is None
    assert retries.pause_seconds(LOST, 100, 1) == pytest.approx(0.1)
    assert retries.give_up_at == 160


def test_the_last_error_is_raised_after_the_time_is_up() -> None:
    retries = Retries(60)
    retries.pause_seconds(LOST, 0, 1)
    with pytest.raises(RecognitionError, match="busy"):
        retries.pause_seconds(busy(0.0), 59.95, 1)
    assert retries.give_up().message == "busy"


def test_a_pause_that_ends_too_late_is_not_begun() -> None:
    with pytest.raises(RecognitionError, match="busy"):
        Retries(60).pause_seconds(busy(61.0), 0, 1)
