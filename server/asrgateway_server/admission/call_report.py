"""What the log, the metrics and the trace say of one call."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

import grpc

from asrgateway_server import logs
from asrgateway_server.contract.status import CAUSES_WITHOUT_ERROR, cause_of, code_of
from asrgateway_server.errors import GatewayError
from asrgateway_server.metrics import RIVA_SERVICE, Metrics
from asrgateway_server.tracing import Tracer, call_trace

log = logging.getLogger(__name__)

#: What a client reads of an error of ours that has no sentence of its own.
INTERNAL_MESSAGE: Final = "the gateway had an internal error; its log has the details under this call's id"
# The methods that recognise speech.
_RECOGNITIONS: Final = {"Recognize", f"{RIVA_SERVICE}/StreamingRecognize", f"{RIVA_SERVICE}/Recognize"}


class CallReport:
    """Begins with the call; ``finish`` ends it.

    Args:
        method: Which of the service's methods it is; another service's name stands before it, with a slash.
        metadata: What the client sent beside its messages.
        peer: The client's address.
        client: Its name; empty if it has none.

    Attributes:
        code: Its status.
        reason: The reason of its error; empty if there was none.
        cause: Who caused the error, if its status is not OK.
    """

    def __init__(
        self, method: str, metadata: Mapping[str, str], peer: str, client: str, *, metrics: Metrics, tracer: Tracer
    ) -> None:
        self.code = grpc.StatusCode.OK
        self.reason = ""
        self.cause = ""
        self._method = method
        self._metrics = metrics
        self._trace = tracer.begin(method, metadata)
        call_trace.set(self._trace)
        fields: dict[str, Any] = {  # Any: JSON values
            "method": method,
            "peer": peer,
            "client": client,
            "trace_id": self._trace.trace_id,
        }
        logs.call_fields.set(fields)
        self._began = time.monotonic()
        log.info("call started")

    @property
    def seconds(self) -> float:
        """How long the call has lasted."""
        return time.monotonic() - self._began

    def failed(self, error: GatewayError) -> None:
        """Note the error that ended the call."""
        self.code, self.reason, self.cause = code_of(error), error.reason, cause_of(error)

    def cancelled(self, *, is_late: bool) -> None:
        """Note that the client has left, or that the call's deadline has passed."""
        self._ended_without_error(grpc.StatusCode.DEADLINE_EXCEEDED if is_late else grpc.StatusCode.CANCELLED)

    def crashed(self, error: Exception) -> None:
        """Note an error of our own."""
        self.reason = "INTERNAL"
        self._ended_without_error(grpc.StatusCode.INTERNAL)
        log.error("call failed", exc_info=error)

    def finish(self) -> None:
        """Say how the call has ended."""
        if self._method in _RECOGNITIONS and self.code is not grpc.StatusCode.OK:
            self._metrics.stream_errors.labels(self.code.name, self.cause).inc()
        self._trace.end(self.code.value[0], self.reason or self.code.name)
        log.info(
            "call finished",
            extra={"grpc_code": self.code.name, "seconds": round(self.seconds, 3), "reason": self.reason},
        )

    def _ended_without_error(self, code: grpc.StatusCode) -> None:
        self.code, self.cause = code, CAUSES_WITHOUT_ERROR[code]
