from __future__ import annotations

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from asrgateway_server.errors import GatewayError, InvalidRequest, Overloaded, UpstreamLost, UpstreamUnavailable
from asrgateway_server.grpc_api.status import CAUSES, STATUSES, cause_of, code_of, details_of, endings


def family(root: type[GatewayError]) -> set[type[GatewayError]]:
    return {root}.union(*(family(child) for child in root.__subclasses__()))


#: No caller ever sees a lost connection: the recognizer makes something else of it.
MET_BY_CALLERS = sorted(family(GatewayError) - {GatewayError, UpstreamLost}, key=lambda error: error.__name__)


def details(error: GatewayError) -> list[Message]:
    ((key, value),) = details_of(error)
    assert key == "grpc-status-details-bin"
    found: list[Message] = []
    for packed in Status.FromString(value).details:
        (message,) = [kind() for kind in (ErrorInfo, BadRequest, RetryInfo) if packed.Is(kind.DESCRIPTOR)]
        packed.Unpack(message)
        found.append(message)
    return found


@pytest.mark.parametrize("error", MET_BY_CALLERS)
def test_every_error_a_caller_can_meet_has_a_status(error: type[GatewayError]) -> None:
    assert error in STATUSES


def test_the_table_holds_nothing_else() -> None:
    assert set(STATUSES) == set(MET_BY_CALLERS)


def test_every_error_has_a_reason_of_its_own() -> None:
    reasons = [error.reason for error in MET_BY_CALLERS]
    assert len(set(reasons)) == len(reasons)
    assert [reason for reason in reasons if not reason.replace("_", "").isupper()] == []


def test_every_error_has_a_cause() -> None:
    assert set(CAUSES) == set(STATUSES)


def test_the_vendors_limits_are_not_our_want_of_room() -> None:
    assert cause_of(Overloaded("all streams are in use")) == "capacity"
    assert cause_of(Overloaded("too many tasks", upstream_code="Throttling.RateQuota")) == "quota"


def test_every_ending_is_a_status_and_a_known_cause() -> None:
    assert {cause for _, cause in endings()} == {"client", "capacity", "quota", "upstream", "internal", "drain"}
    assert {code for code, _ in endings()} <= {code.name for code in grpc.StatusCode} - {"OK"}


@pytest.mark.parametrize("error", MET_BY_CALLERS)
def test_details_repeat_the_status(error: type[GatewayError]) -> None:
    ((_, value),) = details_of(error("this was wrong"))
    status = Status.FromString(value)
    assert (status.code, status.message) == (code_of(error("")).value[0], "this was wrong")


def test_details_say_why() -> None:
    assert details(Overloaded("full")) == [ErrorInfo(reason="OVERLOADED", domain="asrgateway")]


def test_details_name_the_field_at_fault() -> None:
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


def test_details_pass_on_what_the_vendor_called_it() -> None:
    error = UpstreamUnavailable("gone", upstream_code="Throttling", upstream_request_id="task-1")
    (info,) = details(error)
    assert isinstance(info, ErrorInfo)
    assert dict(info.metadata) == {"upstream_code": "Throttling", "upstream_request_id": "task-1"}
