"""Counts, times and logs every call of the service, and turns errors into statuses."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from asrgateway_server import logs
from asrgateway_server.admission.client_identity import identity_of
from asrgateway_server.admission.peer_calls import PeerCalls
from asrgateway_server.contract.requests import request_from
from asrgateway_server.contract.status import CAUSES_WITHOUT_ERROR, cause_of, code_of, details_of, endings
from asrgateway_server.errors import ClientStalled, GatewayError, InvalidRequest
from asrgateway_server.metrics import SERVICE, Metrics
from asrgateway_server.tracing import Tracer, call_trace

log = logging.getLogger(__name__)

_INTERNAL_MESSAGE: Final = "the gateway had an internal error; its log has the details under this call's id"

# The client's clock may reach the deadline first; its cancel then arrives before our own timeout.
_DEADLINE_TOLERANCE_SECONDS: Final = 0.1

# Any: handlers and contexts of all methods; gRPC gives them no narrower common type.
Handler = Callable[[Any, Any], Awaitable[Any]]


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the methods of the service, not those of health and reflection.

    Args:
        metrics: Count every call.
        tracer: Traces it.
        request_timeout_seconds: How long the one request of a unary method may take to arrive.
        status_timeout_seconds: How long a client may leave an error's status unread, behind responses that it does not
            read either; then its stream is reset.
        max_calls_per_address: How many calls one address may have open; 0: no limit.
    """

    def __init__(
        self,
        metrics: Metrics,
        tracer: Tracer,
        request_timeout_seconds: float,
        status_timeout_seconds: float,
        max_calls_per_address: int = 0,
    ) -> None:
        self._metrics = metrics
        self._tracer = tracer
        self._request_timeout_seconds = request_timeout_seconds
        self._status_timeout_seconds = status_timeout_seconds
        self._peer_calls = PeerCalls(max_calls_per_address, metrics)
        # Series that begin at zero make a rate over their first error correct.
        for code, cause in endings():
            metrics.stream_errors.labels(code, cause)

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
                request_from,
                handler.response_serializer,
            )
        # As a stream of one request: for a unary method gRPC would wait for the request without a limit, before it
        # calls any handler. Handlers that refuse a call are such streams already.
        return grpc.stream_unary_rpc_method_handler(
            self._wrap(handler.stream_unary or self._with_one_request(handler.unary_unary), method),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _with_one_request(self, handler: Any) -> Handler:
        async def with_one_request(requests: Any, context: Any) -> Any:
            seconds = self._request_timeout_seconds
            try:
                async with asyncio.timeout(seconds):
                    request = await anext(aiter(requests))
            except TimeoutError:
                raise ClientStalled(f"no request arrived within {seconds:g} s") from None
            except StopAsyncIteration:
                raise InvalidRequest("the call ended before its request arrived; send one request") from None
            except DecodeError:
                raise InvalidRequest("the request cannot be parsed: its bytes are not the method's message") from None
            return await handler(request, context)

        return with_one_request

    async def _limited(self, handler: Any, request: Any, context: Any) -> Any:
        with self._peer_calls.counted(context.peer()):
            return await handler(request, context)

    def _wrap(self, handler: Any, method: str) -> Handler:
        metrics = self._metrics.of_method(method)

        async def wrapped(request: Any, context: Any) -> Any:
            trace = self._tracer.begin(method, dict(context.invocation_metadata() or ()))
            call_trace.set(trace)
            fields: dict[str, Any] = {
                "method": method,
                "peer": context.peer(),
                "client": identity_of(context).name,
                "trace_id": trace.trace_id,
            }
            logs.call_fields.set(fields)
            metrics.started.inc()
            began = time.monotonic()
            outcome = _Outcome(self._status_timeout_seconds)
            log.info("call started")
            try:
                return await outcome.of(self._limited(handler, request, context), context)
            finally:
                seconds = time.monotonic() - began
                metrics.handling.observe(seconds)
                metrics.handled[outcome.code].inc()
                if method == "Recognize" and outcome.code is not grpc.StatusCode.OK:
                    self._metrics.stream_errors.labels(outcome.code.name, outcome.cause).inc()
                trace.end(outcome.code.value[0], outcome.reason or outcome.code.name)
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
        cause: Who caused the error, if its status is not OK.
    """

    def __init__(self, status_timeout_seconds: float) -> None:
        self._status_timeout_seconds = status_timeout_seconds
        self.code = grpc.StatusCode.OK
        self.reason = ""
        self.cause = ""

    async def of(self, call: Awaitable[Any], context: Any) -> Any:
        """Run the call; abort it with the status of its error."""
        try:
            return await call
        except GatewayError as error:
            self.code, self.reason, self.cause = code_of(error), error.reason, cause_of(error)
            await self._abort(context, error.message, details_of(error))
        except asyncio.CancelledError:
            remaining = context.time_remaining()
            is_late = remaining is not None and remaining <= _DEADLINE_TOLERANCE_SECONDS
            self.code = grpc.StatusCode.DEADLINE_EXCEEDED if is_late else grpc.StatusCode.CANCELLED
            self.cause = CAUSES_WITHOUT_ERROR[self.code]
            raise
        except Exception:
            self.code, self.reason = grpc.StatusCode.INTERNAL, "INTERNAL"
            self.cause = CAUSES_WITHOUT_ERROR[self.code]
            log.exception("call failed")
            await self._abort(context, _INTERNAL_MESSAGE)

    async def _abort(self, context: Any, message: str, details: Any = ()) -> None:
        """End the call with its status.

        Raises:
            CancelledError: The client does not read it. gRPC then resets the stream; the status would otherwise wait
                behind the responses until the client closes the stream.
        """
        try:
            async with asyncio.timeout(self._status_timeout_seconds):
                await context.abort(self.code, message, details)
        except TimeoutError:
            raise asyncio.CancelledError from None
