"""What to do about a call that failed: the error's own advice, or a better one where the cause is known."""

from collections.abc import Mapping
from typing import Final

import grpc

from asrgateway.connection import Connection
from asrgateway.errors import RecognitionError

# Parts of gRPC's own messages, from grpcio 1.75 to 1.85, and what they mean for the person at the command line.
_WRONG: Final[dict[str, str]] = {
    "WRONG_VERSION_NUMBER": "{target} does not speak TLS: leave out --tls, --ca, --cert and --key.",
    "CERTIFICATE_VERIFY_FAILED": "The certificate of {target} is not trusted: name its authority's file with --ca.",
    "Hostname Verification": "The certificate of {target} is for another host: use the name it was issued for.",
    "http1.x": "{target} speaks HTTP, not gRPC: correct the port; gateways listen on 50051 by default.",
}
_ABSENT: Final[dict[str, str]] = {
    "address lookup failed": "The host of {target} is not known: correct --target.",
    "DNS resolution failed": "The host of {target} is not known: correct --target.",
    "Socket closed": "{target} accepts connections, but not without TLS, or it is stopping: try --tls.",
    "Connection refused": "Nothing listens on {target}: start 'asr-gateway serve', or correct --target.",
}
_PORTS: Final[Mapping[str, str]] = {
    "50052": "50052 is a gateway's port for health checks; calls go to 50051.",
    "9464": "9464 is a gateway's port for metrics; calls go to 50051.",
    "8765": "8765 is the port of the vendor's emulator; calls go to the gateway's, which is 50051.",
    "8080": "8080 is a gateway's port for browsers; calls go to 50051.",
}


def advice_for(error: RecognitionError, connection: Connection) -> str:
    """Return what to do, in a sentence."""
    if error.code is grpc.StatusCode.UNAVAILABLE:
        for part, advice in (_WRONG | _ABSENT).items():
            if part in error.message:
                return _with_port(advice.format(target=connection.target), connection)
    if error.code is grpc.StatusCode.UNIMPLEMENTED and not error.reason:
        return _with_port(
            f"No speech-recognition gateway answers on {connection.target}: correct --target.", connection
        )
    return error.advice


def is_wrong_place(error: RecognitionError) -> bool:
    """Whether something else than the gateway answered, so that waiting does not help."""
    return error.code is grpc.StatusCode.UNAVAILABLE and any(part in error.message for part in _WRONG)


def _with_port(advice: str, connection: Connection) -> str:
    """Say as well what usually listens on the port."""
    port = connection.target.rpartition(":")[2]
    return f"{advice} {_PORTS[port]}" if port in _PORTS else advice
