"""The status with which the gateway ended a call."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, Final, TypeVar, cast

import grpc

from asrgateway.errors import CANCELLED_HERE
from asrgateway.v1.recognition_pb2 import RecognizeRequest, RecognizeResponse

GrpcCall = grpc.aio.StreamStreamCall[RecognizeRequest, RecognizeResponse]
T = TypeVar("T")

_LATE_STATUS_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.01


class Ending:
    """Finds the status with which the gateway ended a call.

    When a write fails because the gateway has ended the call, grpc.aio replaces the gateway's status by an INTERNAL of
    its own, or shows that first and the gateway's a moment later (grpc issue 36066).

    Args:
        call: Started, with nothing written yet.
    """

    def __init__(self, call: GrpcCall) -> None:
        self._call = call
        self._status: grpc.aio.AioRpcError | None = None
        call.add_done_callback(self._look)

    async def instead_of(self, error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError:
        """Return the gateway's status if gRPC has replaced it by an error of its own, else ``error``."""
        if not _is_grpcs_own(error):
            return error
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LATE_STATUS_SECONDS):
                while self._status is None:
                    # gRPC reports the first status only.
                    await asyncio.sleep(_PAUSE_SECONDS)
                    self._look(self._call)
        return self._status or error

    @property
    def is_ours(self) -> bool:
        """Whether this side ended a call that is over."""
        return _result_of(self._call.details()) == CANCELLED_HERE

    async def code(self) -> grpc.StatusCode:
        """Return the status with which the gateway ended a call that is over."""
        return (await self.instead_of(_present_status(self._call))).code()

    def _look(self, call: GrpcCall) -> None:
        """Keep the call's present status, unless it is gRPC's own."""
        status = _present_status(call)
        if self._status is None and not _is_grpcs_own(status):
            self._status = status


def _present_status(call: GrpcCall) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        _result_of(call.code()),
        initial_metadata=grpc.aio.Metadata(),  # grpcio requires it up to 1.81.
        trailing_metadata=_result_of(call.trailing_metadata()),
        details=_result_of(call.details()),
    )


def _is_grpcs_own(error: grpc.aio.AioRpcError) -> bool:
    return error.code() is grpc.StatusCode.INTERNAL and error.details() == "Internal error from Core"


def _result_of(coroutine: Coroutine[Any, Any, T]) -> T:  # Any: the coroutine never waits.
    """Run a coroutine that does not wait."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    raise RuntimeError("a call that has ended has no status")
