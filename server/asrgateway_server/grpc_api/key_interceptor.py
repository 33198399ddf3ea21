"""The interceptor that requires a key for every call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import grpc

from asrgateway_server.admission.client_identity import ClientIdentity, key_holder
from asrgateway_server.admission.keys import BLANKS, ClientKeys
from asrgateway_server.contract.status import code_of, details_of
from asrgateway_server.errors import Unauthenticated
from asrgateway_server.metrics import METHODS_OF, Metrics

_BEARER: Final = "bearer "


class KeyInterceptor(grpc.aio.ServerInterceptor):
    """Admits only calls with a key: ``authorization: Bearer KEY`` or ``x-api-key: KEY``."""

    def __init__(self, keys: ClientKeys, metrics: Metrics) -> None:
        self._keys = keys
        self._rejected = metrics.streams_rejected.labels("auth")

    async def intercept_service(
        self,
        # Any: handlers of methods with any messages; gRPC gives them no narrower common type.
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the method's handler, or one that refuses the call."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        is_ours = handler_call_details.method.split("/")[1] in METHODS_OF
        key = _key_of(handler_call_details.invocation_metadata or ())
        holder = self._keys.holder_of(key) if key else None
        if holder is not None:
            key_holder.set(holder)
            return self._held(handler, holder) if is_ours else handler
        self._rejected.inc()
        return _refusing(handler, is_ours=is_ours, is_key_shown=bool(key))

    def _held(
        self, handler: grpc.RpcMethodHandler[Any, Any], holder: ClientIdentity
    ) -> grpc.RpcMethodHandler[Any, Any]:
        method: Any = handler.stream_stream or handler.unary_unary
        make = grpc.stream_stream_rpc_method_handler if handler.stream_stream else grpc.unary_unary_rpc_method_handler

        async def held(request: Any, context: Any) -> Any:
            async with self._keys.open_call(holder):
                return await method(request, context)

        return make(held, handler.request_deserializer, handler.response_serializer)


def _refusing(
    handler: grpc.RpcMethodHandler[Any, Any], *, is_ours: bool, is_key_shown: bool
) -> grpc.RpcMethodHandler[Any, Any]:
    error = Unauthenticated(
        "this gateway does not know the key; send a valid one"
        if is_key_shown
        else "this gateway requires a key: send the metadata `authorization: Bearer KEY`"
    )

    async def refuse(_request: Any, context: Any) -> None:
        if is_ours:
            raise error  # Our own calls are counted and logged by `CallInterceptor`, which ends them.
        await context.abort(code_of(error), error.message, details_of(error))

    # As a stream of requests, so that it does not wait for one.
    make = grpc.stream_stream_rpc_method_handler if handler.stream_stream else grpc.stream_unary_rpc_method_handler
    return make(refuse, handler.request_deserializer, handler.response_serializer)


def _key_of(metadata: Sequence[tuple[str, str | bytes]]) -> str:
    values = {name: value for name, value in metadata if isinstance(value, str)}
    authorization = values.get("authorization", "")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip(BLANKS)
    return values.get("x-api-key", "").strip(BLANKS)
