"""A client's messages on gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, Generic, TypeAlias, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError, Message

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.errors import ClientLimitReached, ClientStalled, InvalidRequest
from asrgateway_server.metrics import MethodMetrics

# How long gRPC takes to cancel a handler: of 900 calls that were cancelled on two busy cores 30 were not within one
# turn of the event loop, and all within 2 ms.
_CANCEL_IS_DUE_SECONDS: Final = 0.005
# The same once its deadline has passed.
_DEADLINE_IS_DUE_SECONDS: Final = 1.0
# Messages are counted a second or two of them at a time: counting costs a microsecond each.
_COUNTED_AT_ONCE: Final = 16

#: Key of the response header that shows clients at once that a gateway has taken their call.
_CALL_ID_KEY: Final = "asr-call-id"

RecognizeContext: TypeAlias = "grpc.aio.ServicerContext[pb.RecognizeRequest, pb.RecognizeResponse]"

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)


class GrpcStream(Generic[RequestT, ResponseT]):
    """See ``call_client.Stream``, which it is where its messages are the contract's.

    A read is not timed out while anything may still come: after a cancelled read every later one reports the end, and
    the rest of the audio would be lost without an error.

    Args:
        context: gRPC's side of the call.
        request_type: The message that clients send.
        metrics: Count the messages.
    """

    def __init__(
        self,
        context: grpc.aio.ServicerContext[RequestT, ResponseT],
        request_type: type[RequestT],
        metrics: MethodMetrics,
    ) -> None:
        self._context = context
        self._request_type = request_type
        self._metrics = metrics
        self._received = 0
        self._sent = 0

    def count_messages(self) -> None:
        """Bring the numbers of messages up to date."""
        self._metrics.received.inc(self._received)
        self._metrics.sent.inc(self._sent)
        self._received = self._sent = 0

    def metadata(self) -> Iterable[tuple[str, str | bytes]]:
        """See ``Stream``."""
        return self._context.invocation_metadata() or ()

    async def admit(self, call_id: str) -> None:
        """See ``Stream``."""
        # By itself the first response would carry it; an error while that is on its way could not be sent.
        await self._context.send_initial_metadata(((_CALL_ID_KEY, call_id),))

    async def read(self) -> RequestT | None:
        """See ``Stream``."""
        try:
            # Typed without the marker for the end of the stream that it also returns.
            request: object = await self._context.read()
        except DecodeError:
            name = self._request_type.DESCRIPTOR.name
            raise InvalidRequest(f"the request is garbled: its bytes are no {name}", field="request") from None
        if not isinstance(request, self._request_type):
            return None
        self._received += 1
        if self._received >= _COUNTED_AT_ONCE:
            self.count_messages()
        return request

    async def verify_half_close(self) -> None:
        """Wait for what may make the end of the stream another one.

        Cancel, deadline and disconnect look like a half-close at first; their CancelledError follows, in the call's own
        task. An abandoned call must not be finished, and billed, as one that has sent everything.
        """
        await asyncio.sleep(_CANCEL_IS_DUE_SECONDS)
        remaining = cast("float | None", self._context.time_remaining())  # None without a deadline, unlike its type
        if remaining is not None and remaining <= 0:
            # Too late for a half-close.
            await asyncio.sleep(_DEADLINE_IS_DUE_SECONDS)

    def refuse_commit(self, error: ClientLimitReached) -> None:
        """See ``Stream``."""
        raise error

    async def write(self, message: ResponseT) -> None:
        """See ``Stream``."""
        try:
            await self._context.write(message)
        except grpc.aio.InternalError as error:
            # The client has left, and its CancelledError is on the way.
            await asyncio.sleep(_DEADLINE_IS_DUE_SECONDS)
            raise ClientStalled("the client is gone") from error
        self._sent += 1
