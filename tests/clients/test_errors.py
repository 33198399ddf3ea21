"""What a status and its details become."""

import copy
import pickle

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from asrgateway.errors import DETAILS_KEY, RecognitionError, decode


def packed(*details: Message) -> bytes:
    status = status_pb2.Status()
    for detail in details:
        status.details.add().Pack(detail)
    content: bytes = status.SerializeToString()
    return content


def failed(code: grpc.StatusCode, message: str, details: bytes | None = None) -> grpc.aio.AioRpcError:
    trailing = grpc.aio.Metadata() if details is None else grpc.aio.Metadata((DETAILS_KEY, details))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details=message)


def test_a_status_without_details_is_code_and_message() -> None:
    error = decode(failed(grpc.StatusCode.UNAVAILABLE, "connection refused"))
    assert (error.code, error.message) == (grpc.StatusCode.UNAVAILABLE, "connection refused")
    assert (error.reason, error.field, error.retry_after_seconds, error.metadata) == ("", "", None, {})
    assert str(error) == "UNAVAILABLE: connection refused"


def test_the_wrong_field_is_named() -> None:
    violation = error_details_pb2.BadRequest.FieldViolation(field="decoding_config.encoding", description="?")
    details = packed(error_details_pb2.BadRequest(field_violations=[violation]))
    error = decode(failed(grpc.StatusCode.INVALID_ARGUMENT, "no such encoding", details))
    assert error.field == "decoding_config.encoding"
    assert str(error) == "INVALID_ARGUMENT: no such encoding (field: decoding_config.encoding)"


def test_the_reason_and_the_upstream_code_are_shown() -> None:
    info = error_details_pb2.ErrorInfo(reason="UPSTREAM_REFUSED", metadata={"upstream_code": "Arrearage"})
    error = decode(failed(grpc.StatusCode.FAILED_PRECONDITION, "refused", packed(info)))
    assert (error.reason, error.metadata) == ("UPSTREAM_REFUSED", {"upstream_code": "Arrearage"})
    assert str(error).endswith("(reason: UPSTREAM_REFUSED, upstream_code: Arrearage)")


def test_the_wait_before_a_retry_is_in_seconds() -> None:
    info = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000))
    error = decode(failed(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", packed(info)))
    assert error.retry_after_seconds == 1.5
    assert error.advice == "The gateway is busy: try again later. Wait 1.5 s before the next attempt."


def test_unknown_details_are_ignored() -> None:
    details = packed(error_details_pb2.DebugInfo(detail="x"), error_details_pb2.ErrorInfo(reason="WHY"))
    assert decode(failed(grpc.StatusCode.INTERNAL, "broken", details)).reason == "WHY"


def test_garbled_details_do_not_hide_the_error() -> None:
    error = decode(failed(grpc.StatusCode.INTERNAL, "broken", b"\xff\xff\xff"))
    assert str(error) == "INTERNAL: broken"


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_every_status_comes_with_advice(code: grpc.StatusCode) -> None:
    assert RecognitionError(code, "message").advice.endswith(".")


def test_an_error_survives_copying_and_pickling() -> None:
    error = RecognitionError(grpc.StatusCode.INTERNAL, "broken", reason="WHY", metadata={"a": "b"})
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301 - our own bytes
        assert (str(twin), twin.metadata) == (str(error), {"a": "b"})
