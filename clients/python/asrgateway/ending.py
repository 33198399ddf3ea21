"""The status that the gateway ended a call with."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar, cast

import grpc

from asrgateway.v1.recognition_pb2 import RecognizeRequest, RecognizeResponse

GrpcCall = grpc.aio.StreamStreamCall[RecognizeRequest, RecognizeResponse]
T = TypeVar("T")

_LATE_STATUS_SECONDS: Final = 1.0


class Ending:
    """Remembers a call's status as soon as it is there.

    When a write fails because the gateway has ended the call, grpc.aio puts an INTERNAL of its own in the place of the
    gateway's status (grpc issue 36066).

    Args:
        call: One that has not been written to.
    """

    def __init__(self, call: GrpcCall) -> None:
        self._status: asyncio.Future[grpc.aio.AioRpcError] = asyncio.get_running_loop().create_future()
        call.add_done_callback(self._remember)

    async def instead_of(self, error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError:
        """Return what the gateway said where gRPC put its own error in that place, else ``error``."""
        if not _is_stand_in(error):
            return error
        done, _ = await asyncio.wait([self._status], timeout=_LATE_STATUS_SECONDS)
        return self._status.result() if done else error

    def _remember(self, call: GrpcCall) -> None:
        """Keep the status that was just set, unless it is gRPC's stand-in; gRPC calls this for each that is set."""
        error = grpc.aio.AioRpcError(
            _result_of(call.code()),
            trailing_metadata=_result_of(call.trailing_metadata()),
            details=_result_of(call.details()),
        )
        if not self._status.done() and not _is_stand_in(error):
            self._status.set_result(error)


def _is_stand_in(error: grpc.aio.AioRpcError) -> bool:
    return error.code() is grpc.StatusCode.INTERNAL and error.details() == "Internal error from Core"


def _result_of(coroutine: Coroutine[Any, Any, T]) -> T:  # Any: what it would send and receive, if it waited.
    """Run a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    raise RuntimeError("the status of a call that has ended is not there")
