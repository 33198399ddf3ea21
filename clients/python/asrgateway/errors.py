"""The error of a call that ends with a status other than OK."""

from collections.abc import Iterable, Mapping
from typing import Final, cast

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

DETAILS_KEY: Final = "grpc-status-details-bin"
"""Trailing metadata that carries a serialised ``google.rpc.Status``."""

CLIENT_CLOSED: Final = "the client was closed during the call"

CANCELLED_HERE: Final = "Locally cancelled by application!"
"""gRPC's words for a call that this side ended."""

_KINDS: Final = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)

_REPORT: Final = "Report this to the gateway's operator."

_ADVICE: Final[Mapping[grpc.StatusCode, str]] = {
    grpc.StatusCode.CANCELLED: "Call again; audio that is not final yet has to be sent again.",
    grpc.StatusCode.DEADLINE_EXCEEDED: "Allow more time, or set no timeout.",
    grpc.StatusCode.DATA_LOSS: "Send the audio again, or allow gaps by leaving fail_on_audio_loss unset.",
    grpc.StatusCode.FAILED_PRECONDITION: "Ask the gateway's operator: the vendor refuses its key, account or model.",
    grpc.StatusCode.INTERNAL: _REPORT,
    grpc.StatusCode.INVALID_ARGUMENT: "Correct the request; the same one will fail again.",
    grpc.StatusCode.PERMISSION_DENIED: "Ask the gateway's operator for access.",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "The gateway is busy: try again later.",
    grpc.StatusCode.UNAUTHENTICATED: "Send a valid key.",
    grpc.StatusCode.UNAVAILABLE: "Check that the gateway runs at this address, with or without TLS; then try again.",
    grpc.StatusCode.UNIMPLEMENTED: "Choose another option, or ask the gateway's operator for a newer version.",
}


class RecognitionError(Exception):
    """A call ended with a status other than OK.

    Attributes:
        code: The gRPC status.
        message: The gateway's sentence, or gRPC's own if the gateway was not reached.
        reason: The gateway's name for the cause, from a closed set; empty if there is none.
        field: Path of the field to correct; empty if no field is wrong.
        retry_after_seconds: When to try again; None if the gateway does not say.
        metadata: More about the cause, such as ``upstream_code`` and ``upstream_request_id``.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        field: str = "",
        retry_after_seconds: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.reason = reason
        self.field = field
        self.retry_after_seconds = retry_after_seconds
        self.metadata: Mapping[str, str] = dict(metadata or {})

    def __str__(self) -> str:
        """Return code, message, and the known facts about the cause, in one line."""
        facts = {"field": self.field, "reason": self.reason, **self.metadata}
        known = ", ".join(f"{name}: {value}" for name, value in facts.items() if value)
        return f"{self.code.name}: {self.message}" + (f" ({known})" if known else "")

    @property
    def advice(self) -> str:
        """What to do next, in a sentence."""
        advice = _ADVICE.get(self.code, _REPORT)
        if self.retry_after_seconds is None:
            return advice
        return f"{advice} Wait {self.retry_after_seconds:g} s before the next attempt."


def client_closed() -> RecognitionError:
    """Return the error of a call that was open, or about to be, when the program closed its client."""
    return RecognitionError(grpc.StatusCode.CANCELLED, CLIENT_CLOSED)


def decode(error: grpc.RpcError) -> RecognitionError:
    """Read a finished call's status and the details in its trailing metadata.

    Missing or garbled details are left out; the error itself is always complete.
    """
    code, message = error.code(), error.details() or ""
    reason = field = ""
    retry_after_seconds = None
    metadata: dict[str, str] = {}
    # Pairs in both clients, although the stubs of the synchronous one have another type.
    trailing_metadata = cast("Iterable[tuple[str, bytes]]", error.trailing_metadata() or ())
    for detail in _details(trailing_metadata):
        match detail:
            case error_details_pb2.ErrorInfo():
                reason, metadata = detail.reason, dict(detail.metadata)
            case error_details_pb2.BadRequest() if detail.field_violations:
                field = detail.field_violations[0].field
            case error_details_pb2.RetryInfo():
                retry_after_seconds = detail.retry_delay.ToNanoseconds() / 1e9
    return RecognitionError(
        code,
        message,
        reason=reason,
        field=field,
        retry_after_seconds=retry_after_seconds,
        metadata=metadata,
    )


def _details(trailing_metadata: Iterable[tuple[str, bytes]]) -> list[object]:
    try:
        statuses = [status_pb2.Status.FromString(value) for key, value in trailing_metadata if key == DETAILS_KEY]
        return [_unpacked(packed) for status in statuses for packed in status.details]
    except DecodeError:
        return []


def _unpacked(packed: any_pb2.Any) -> object:
    return next((kind.FromString(packed.value) for kind in _KINDS if packed.Is(kind.DESCRIPTOR)), None)
