"""Maps errors to gRPC statuses and details, by one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from asrgateway_server.errors import (
    AudioLost,
    ClientLimitReached,
    ClientStalled,
    Draining,
    GatewayError,
    InvalidRequest,
    NotBuiltYet,
    Overloaded,
    StreamExpired,
    Unauthenticated,
    UndecodableAudio,
    UnknownModel,
    UnsupportedOption,
    UpstreamProtocolError,
    UpstreamRefused,
    UpstreamUnavailable,
)

DOMAIN: Final = "asrgateway"
DETAILS_KEY: Final = "grpc-status-details-bin"

STATUSES: Final[Mapping[type[GatewayError], grpc.StatusCode]] = {
    InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    UndecodableAudio: grpc.StatusCode.INVALID_ARGUMENT,
    UnknownModel: grpc.StatusCode.INVALID_ARGUMENT,
    UnsupportedOption: grpc.StatusCode.INVALID_ARGUMENT,
    NotBuiltYet: grpc.StatusCode.UNIMPLEMENTED,
    ClientStalled: grpc.StatusCode.DEADLINE_EXCEEDED,
    Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ClientLimitReached: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    Draining: grpc.StatusCode.UNAVAILABLE,
    StreamExpired: grpc.StatusCode.UNAVAILABLE,
    UpstreamUnavailable: grpc.StatusCode.UNAVAILABLE,
    UpstreamRefused: grpc.StatusCode.FAILED_PRECONDITION,
    UpstreamProtocolError: grpc.StatusCode.INTERNAL,
    AudioLost: grpc.StatusCode.DATA_LOSS,
}

#: Who causes each error: the `reason` of asrgateway_stream_errors_total.
CAUSES: Final[Mapping[type[GatewayError], str]] = {
    InvalidRequest: "client",
    UndecodableAudio: "client",
    UnknownModel: "client",
    UnsupportedOption: "client",
    NotBuiltYet: "client",
    ClientStalled: "client",
    Overloaded: "capacity",
    ClientLimitReached: "client",
    Unauthenticated: "client",
    Draining: "drain",
    StreamExpired: "quota",
    UpstreamUnavailable: "upstream",
    UpstreamRefused: "upstream",
    UpstreamProtocolError: "upstream",
    AudioLost: "upstream",
}
#: The same for calls that end without one of our errors.
CAUSES_WITHOUT_ERROR: Final[Mapping[grpc.StatusCode, str]] = {
    grpc.StatusCode.DEADLINE_EXCEEDED: "client",
    grpc.StatusCode.CANCELLED: "client",
    grpc.StatusCode.INTERNAL: "internal",
}
_VENDOR_LIMIT: Final = "quota"


def code_of(error: GatewayError) -> grpc.StatusCode:
    """Return the status that the client gets."""
    return STATUSES[type(error)]


def cause_of(error: GatewayError) -> str:
    """Return who caused an error; one with a vendor's code does not mean that our own capacity is exhausted."""
    return _VENDOR_LIMIT if isinstance(error, Overloaded) and error.upstream_code else CAUSES[type(error)]


def endings() -> set[tuple[str, str]]:
    """Return every pair of a status, other than OK, and a cause that a call can end with."""
    return {
        *((STATUSES[error].name, cause) for error, cause in CAUSES.items()),
        *((code.name, cause) for code, cause in CAUSES_WITHOUT_ERROR.items()),
        (STATUSES[Overloaded].name, _VENDOR_LIMIT),
    }


def status_of(error: GatewayError) -> Status:
    """Return the status with ErrorInfo and, where they apply, BadRequest and RetryInfo."""
    upstream = {"upstream_code": error.upstream_code, "upstream_request_id": error.upstream_request_id}
    details: list[ErrorInfo | BadRequest | RetryInfo] = [
        ErrorInfo(reason=error.reason, domain=DOMAIN, metadata={key: value for key, value in upstream.items() if value})
    ]
    if error.field:
        violation = BadRequest.FieldViolation(field=error.field, description=error.message)
        details.append(BadRequest(field_violations=[violation]))
    if error.retry_after_seconds is not None:
        delay = Duration()
        delay.FromMilliseconds(round(error.retry_after_seconds * 1000))
        details.append(RetryInfo(retry_delay=delay))
    status = Status(code=code_of(error).value[0], message=error.message)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def details_of(error: GatewayError) -> tuple[tuple[str, bytes], ...]:
    """Return the trailing metadata that holds ``status_of``."""
    return ((DETAILS_KEY, status_of(error).SerializeToString()),)
