from __future__ import annotations

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from asrgateway_server.contract.status import CAUSES, STATUSES, cause_of, code_of, details_of, endings
from asrgateway_server.errors import (
    GatewayError,
    InvalidRequest,
    Overloaded,
    UpstreamEnded,
    UpstreamLost,
    UpstreamUnavailable,
)


def family(root: type[GatewayError]) -> set[type[GatewayError]]:
    return {root}.union(*(family(child) for child in root.__subclasses__()))


#: No client gets these: the call turns them into another error.
SENT_TO_CLIENTS = sorted(
    family(GatewayError) - {GatewayError, UpstreamLost, UpstreamEnded}, key=lambda error: error.__name__
)


def details(error: GatewayError) -> list[Message]:
    ((key, value),) = details_of(error)
    assert key == "grpc-status-details-bin"
    found: list[Message] = []
    for packed in Status.FromString(value).details:
        (message,) = [kind() for kind in (ErrorInfo, BadRequest, RetryInfo) if packed.Is(kind.DESCRIPTOR)]
        packed.Unpack(message)
        found.append(message)
    return found


@pytest.mark.parametrize("error", SENT_TO_CLIENTS)
def test_every_error_that_a_client_can_get_has_a_status(error: type[GatewayError]) -> None:
    assert error in STATUSES


def test_the_table_has_no_other_rows() -> None:
    assert set(STATUSES) == set(SENT_TO_CLIENTS)


def test_every_error_has_a_reason_of_its_own() -> None:
    reasons = [error.reason for error in SENT_TO_CLIENTS]
    assert len(set(reasons)) == len(reasons)
    assert [reason for reason in reasons if not reason.replace("_", "").isupper()] == []


def test_every_error_has_a_cause() -> None:
    assert set(CAUSES) == set(STATUSES)


def test_a_vendors_limit_is_not_our_capacity() -> None:
    assert cause_of(Overloaded("all streams are in use")) == "capacity"
    assert cause_of(Overloaded("too many tasks", upstream_code="Throttling.RateQuota")) == "quota"


def test_every_ending_is_a_status_and_a_known_cause() -> None:
    assert {cause for _, cause in endings()} == {"client", "capacity", "quota", "upstream", "internal", "drain"}
    assert {code for code, _ in endings()} <= {code.name for code in grpc.StatusCode} - {"OK"}


@pytest.mark.parametrize("error", SENT_TO_CLIENTS)
def test_details_repeat_the_status(error: type[GatewayError]) -> None:
    ((_, value),) = details_of(error("this was wrong"))
    status = Status.FromString(value)
    assert (status.code, status.message) == (code_of(error("")).value[0], "this was wrong")


def test_details_have_the_reason() -> None:
    assert details(Overloaded("full")) == [ErrorInfo(reason="OVERLOADED", domain="asrgateway")]


def test_details_name_the_wrong_field() -> None:
    violation = BadRequest.FieldViolation(field="audio", description="no audio")
    assert details(InvalidRequest("no audio", field="audio")) == [
        ErrorInfo(reason="INVALID_REQUEST", domain="asrgateway"),
        BadRequest(field_violations=[violation]),
    ]


@pytest.mark.parametrize("seconds", [0.0, 0.25, 1.0, 3600.0])
def test_details_say_when_to_try_again(seconds: float) -> None:
    _, retry = details(Overloaded("full", retry_after_seconds=seconds))
    assert isinstance(retry, RetryInfo)
    assert retry.retry_delay.ToMilliseconds() == seconds * 1000


def test_details_pass_on_the_vendors_code() -> None:
    error = UpstreamUnavailable("gone", upstream_code="Throttling", upstream_request_id="task-1")
    (info,) = details(error)
    assert isinstance(info, ErrorInfo)
    assert dict(info.metadata) == {"upstream_code": "Throttling", "upstream_request_id": "task-1"}
