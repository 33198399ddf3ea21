"""Counts, times and logs every call of a service, and turns errors into statuses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from asrgateway_server.admission.call_report import INTERNAL_MESSAGE, CallReport
from asrgateway_server.admission.client_identity import identity_of
from asrgateway_server.admission.peer_calls import PeerCalls
from asrgateway_server.contract.requests import request_from
from asrgateway_server.contract.status import details_of, endings
from asrgateway_server.errors import ClientLimitReached, ClientStalled, GatewayError, InvalidRequest
from asrgateway_server.metrics import METHODS_OF, SERVICE, Metrics
from asrgateway_server.tracing import Tracer

# The client's clock may reach the deadline first; its cancel then arrives before our own timeout.
_DEADLINE_TOLERANCE_SECONDS: Final = 0.1

# Any: handlers and contexts of all methods; gRPC gives them no narrower common type.
Handler = Callable[[Any, Any], Awaitable[Any]]


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the methods of our services, not those of health and reflection.

    Args:
        metrics: Count every call.
        tracer: Traces it.
        request_timeout_seconds: How long the one request of a unary method may take to arrive.
        status_timeout_seconds: How long a client may leave an error's status unread, behind responses that it does not
            read either; then its stream is reset.
        peer_calls: Limits the open calls of one address.
        shortest_failure_seconds: By service: no call of it ends with an error sooner than this after its begin, but for
            one that its address may not have. For clients that call again at once.
    """

    def __init__(
        self,
        metrics: Metrics,
        tracer: Tracer,
        request_timeout_seconds: float,
        status_timeout_seconds: float,
        peer_calls: PeerCalls,
        shortest_failure_seconds: Mapping[str, float] | None = None,
    ) -> None:
        self._metrics = metrics
        self._tracer = tracer
        self._request_timeout_seconds = request_timeout_seconds
        self._status_timeout_seconds = status_timeout_seconds
        self._peer_calls = peer_calls
        self._shortest_failure_seconds = shortest_failure_seconds or {}
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
        if handler is None or service not in METHODS_OF:
            return handler
        if handler.stream_stream:
            return grpc.stream_stream_rpc_method_handler(
                self._wrap(handler.stream_stream, service, method),
                request_from if service == SERVICE else handler.request_deserializer,
                handler.response_serializer,
            )
        # As a stream of one request: for a unary method gRPC would wait for the request without a limit, before it
        # calls any handler. Handlers that refuse a call are such streams already.
        return grpc.stream_unary_rpc_method_handler(
            self._wrap(handler.stream_unary or self._with_one_request(handler.unary_unary), service, method),
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

    def _wrap(self, handler: Any, service: str, method: str) -> Handler:
        metrics = self._metrics.of_method(method, service)

        async def wrapped(request: Any, context: Any) -> Any:
            metrics.started.inc()
            report = CallReport(
                method if service == SERVICE else f"{service}/{method}",
                dict(context.invocation_metadata() or ()),
                context.peer(),
                identity_of(context).name,
                metrics=self._metrics,
                tracer=self._tracer,
            )
            shortest = self._shortest_failure_seconds.get(service, 0.0)
            outcome = _Outcome(report, self._status_timeout_seconds, shortest)
            try:
                # Until its client has its status: a failed call waits for that.
                with self._peer_calls.counted(context.peer()):
                    return await outcome.of(handler(request, context), context)
            except ClientLimitReached as error:
                # It waits for nothing, because it is not counted.
                await outcome.refuse(error, context)
            finally:
                metrics.handling.observe(report.seconds)
                metrics.handled[report.code].inc()
                report.finish()

        return wrapped


class _Outcome:
    """How a call ends for its client."""

    def __init__(self, report: CallReport, status_timeout_seconds: float, shortest_failure_seconds: float) -> None:
        self._report = report
        self._status_timeout_seconds = status_timeout_seconds
        self._shortest_failure_seconds = shortest_failure_seconds

    async def of(self, call: Awaitable[Any], context: Any) -> Any:
        """Run the call; abort it with the status of its error."""
        try:
            return await call
        except GatewayError as error:
            self._report.failed(error)
            message, details = error.message, details_of(error)
        except asyncio.CancelledError:
            remaining = context.time_remaining()
            self._report.cancelled(is_late=remaining is not None and remaining <= _DEADLINE_TOLERANCE_SECONDS)
            raise
        except Exception as error:  # noqa: BLE001 the report logs it
            self._report.crashed(error)
            message, details = INTERNAL_MESSAGE, ()
        # Here the error is gone, and with its traceback all that the call held, such as a whole recording.
        await self._wait(context)
        await self._abort(context, message, details)
        return None  # The abort has raised.

    async def refuse(self, error: GatewayError, context: Any) -> None:
        """Abort a call that was not run."""
        self._report.failed(error)
        await self._abort(context, error.message, details_of(error))

    async def _wait(self, context: Any) -> None:
        """Wait until the call may fail."""
        if (wait := self._shortest_failure_seconds - self._report.seconds) > 0:
            # The client learns why its call failed, and not only that its deadline has passed.
            remaining = context.time_remaining()
            await asyncio.sleep(wait if remaining is None else min(wait, max(remaining / 2, 0.0)))

    async def _abort(self, context: Any, message: str, details: Any) -> None:
        """End the call with its status, beside the trailing metadata that its handler has set.

        Raises:
            CancelledError: The client does not read it. gRPC then resets the stream; the status would otherwise wait
                behind the responses until the client closes the stream.
        """
        try:
            async with asyncio.timeout(self._status_timeout_seconds):
                await context.abort(self._report.code, message, (*context.trailing_metadata(), *details))
        except TimeoutError:
            raise asyncio.CancelledError from None
