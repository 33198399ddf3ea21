"""Counts, times and logs every call of the service, and turns errors into statuses."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc

from asrgateway_server import logs
from asrgateway_server.errors import GatewayError
from asrgateway_server.metrics import METHODS, SERVICE, Metrics
from asrgateway_server.rpc.status import BLAME, code_of, details_of

log = logging.getLogger(__name__)

_SORRY: Final = "an error inside the gateway; its log tells more under this call's id"

# The caller's clock may reach the deadline first: its cancel then overtakes our own end of time.
_DEADLINE_TOLERANCE_SECONDS: Final = 0.1

# Any: handlers and contexts of whatever messages the method has; gRPC gives them no narrower common type.
Handler = Callable[[Any, Any], Awaitable[Any]]


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the methods of the service; lets those of health and reflection pass."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the method's handler, wrapped."""
        handler = await continuation(handler_call_details)
        service, _, method = handler_call_details.method.lstrip("/").partition("/")
        if handler is None or service != SERVICE:
            return handler
        if handler.stream_stream:
            return grpc.stream_stream_rpc_method_handler(
                self._wrap(handler.stream_stream, method),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            self._wrap(handler.unary_unary, method),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _wrap(self, handler: Any, method: str) -> Handler:
        labels = (METHODS[method], SERVICE, method)
        started = self._metrics.grpc_started.labels(*labels)
        handling = self._metrics.grpc_handling.labels(*labels)

        async def wrapped(request: Any, context: Any) -> Any:
            fields: dict[str, Any] = {"method": method, "peer": context.peer()}
            logs.call_fields.set(fields)
            started.inc()
            began = time.monotonic()
            outcome = _Outcome()
            log.info("call started")
            try:
                return await outcome.of(handler(request, context), context)
            finally:
                seconds = time.monotonic() - began
                handling.observe(seconds)
                self._metrics.grpc_handled.labels(*labels, outcome.code.name).inc()
                if method == "Recognize" and outcome.code is not grpc.StatusCode.OK:
                    self._metrics.stream_errors.labels(outcome.code.name, BLAME[outcome.code]).inc()
                log.info(
                    "call finished",
                    extra={"grpc_code": outcome.code.name, "seconds": round(seconds, 3), "reason": outcome.reason},
                )

        return wrapped


class _Outcome:
    """How a call ended.

    Attributes:
        code: Its status.
        reason: The reason of its error; empty if there was none.
    """

    def __init__(self) -> None:
        self.code = grpc.StatusCode.OK
        self.reason = ""

    async def of(self, call: Awaitable[Any], context: Any) -> Any:
        """Run the call; abort it with the status of its error."""
        try:
            return await call
        except GatewayError as error:
            self.code, self.reason = code_of(error), error.reason
            await context.abort(self.code, error.message, details_of(error))
        except asyncio.CancelledError:
            remaining = context.time_remaining()
            is_late = remaining is not None and remaining <= _DEADLINE_TOLERANCE_SECONDS
            self.code = grpc.StatusCode.DEADLINE_EXCEEDED if is_late else grpc.StatusCode.CANCELLED
            raise
        except Exception:
            self.code, self.reason = grpc.StatusCode.INTERNAL, "INTERNAL"
            log.exception("call failed")
            await context.abort(self.code, _SORRY)
