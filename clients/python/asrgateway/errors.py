"""What a caller sees when a call ends with any status but OK."""

from collections.abc import Iterable, Mapping
from typing import Final, cast

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

DETAILS_KEY: Final = "grpc-status-details-bin"
"""Trailing metadata that carries a serialised ``google.rpc.Status``."""

_KINDS: Final = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)

_REPORT: Final = "Report this to the operator of the gateway."

_ADVICE: Final[Mapping[grpc.StatusCode, str]] = {
    grpc.StatusCode.CANCELLED: "Call again; audio that is not final yet has to be sent again.",
    grpc.StatusCode.DEADLINE_EXCEEDED: "Allow more time, or set no timeout.",
    grpc.StatusCode.DATA_LOSS: "Send the audio again, or allow gaps by leaving fail_on_audio_loss unset.",
    grpc.StatusCode.FAILED_PRECONDITION: "Ask the operator of the gateway: its key, account or model is refused.",
    grpc.StatusCode.INTERNAL: _REPORT,
    grpc.StatusCode.INVALID_ARGUMENT: "Correct the request; the same one will fail again.",
    grpc.StatusCode.PERMISSION_DENIED: "Ask the operator of the gateway for access.",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "The gateway is busy: try again later.",
    grpc.StatusCode.UNAUTHENTICATED: "Give a valid key.",
    grpc.StatusCode.UNAVAILABLE: "Check that the gateway runs at this address, with or without TLS; then try again.",
    grpc.StatusCode.UNIMPLEMENTED: "Choose something else, or ask for a newer gateway.",
}


class RecognitionError(Exception):
    """A call ended with another status than OK.

    Attributes:
        code: The gRPC status.
        message: The gateway's sentence, or gRPC's own where the gateway was not reached.
        reason: The gateway's name for the cause, from a closed set; empty where it gave none.
        field: Path of the field to correct; empty where no field is to blame.
        retry_after_seconds: When a new attempt makes sense; None where the gateway does not tell.
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
        """Write code, message, and whatever is known about the cause, in one line."""
        facts = {"field": self.field, "reason": self.reason, **self.metadata}
        known = ", ".join(f"{name}: {value}" for name, value in facts.items() if value)
        return f"{self.code.name}: {self.message}" + (f" ({known})" if known else "")

    @property
    def advice(self) -> str:
        """What the caller can do next, in a sentence."""
        advice = _ADVICE.get(self.code, _REPORT)
        if self.retry_after_seconds is None:
            return advice
        return f"{advice} It asks to wait {self.retry_after_seconds:g} s."


def decode(error: grpc.RpcError) -> RecognitionError:
    """Read a finished call's status and the details in its trailing metadata.

    Details that are missing or garbled cost the details, never the error itself.
    """
    code, message = error.code(), error.details() or ""
    reason = field = ""
    retry_after_seconds = None
    metadata: dict[str, str] = {}
    # Pairs in both clients, whatever the stubs say of the synchronous one.
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
