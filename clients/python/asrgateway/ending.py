"""The status with which the gateway ended a call."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar, cast

import grpc

from asrgateway.v1.recognition_pb2 import RecognizeRequest, RecognizeResponse

GrpcCall = grpc.aio.StreamStreamCall[RecognizeRequest, RecognizeResponse]
T = TypeVar("T")

_LATE_STATUS_SECONDS: Final = 1.0


class Ending:
    """Keeps a call's status as soon as it arrives.

    When a write fails because the gateway has ended the call, grpc.aio replaces the gateway's status by an INTERNAL of
    its own (grpc issue 36066).

    Args:
        call: Started, with nothing written yet.
    """

    def __init__(self, call: GrpcCall) -> None:
        self._status: asyncio.Future[grpc.aio.AioRpcError] = asyncio.get_running_loop().create_future()
        call.add_done_callback(self._remember)

    async def instead_of(self, error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError:
        """Return the gateway's status if gRPC has replaced it by an error of its own, else ``error``."""
        if not _is_grpcs_own(error):
            return error
        done, _ = await asyncio.wait([self._status], timeout=_LATE_STATUS_SECONDS)
        return self._status.result() if done else error

    def _remember(self, call: GrpcCall) -> None:
        """Keep the status that was just set, unless it is gRPC's own; gRPC calls this for every status."""
        error = grpc.aio.AioRpcError(
            _result_of(call.code()),
            trailing_metadata=_result_of(call.trailing_metadata()),
            details=_result_of(call.details()),
        )
        if not self._status.done() and not _is_grpcs_own(error):
            self._status.set_result(error)


def _is_grpcs_own(error: grpc.aio.AioRpcError) -> bool:
    return error.code() is grpc.StatusCode.INTERNAL and error.details() == "Internal error from Core"


def _result_of(coroutine: Coroutine[Any, Any, T]) -> T:  # Any: the coroutine never waits.
    """Run a coroutine that does not wait."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    raise RuntimeError("a call that has ended has no status")
