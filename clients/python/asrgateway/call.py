"""One call of the asyncio client: writing, reading, and its status."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import cast

import grpc

from asrgateway.ending import Ending, GrpcCall
from asrgateway.errors import CLIENT_CLOSED, RecognitionError, decode
from asrgateway.requests import AudioItem, first_request, requests_for
from asrgateway.v1.recognition_pb2 import RecognizeRequest, RecognizeResponse, StreamingConfig


class RecognizeCall:
    """A running call.

    Args:
        call: Started, with nothing written yet.
    """

    def __init__(self, call: GrpcCall) -> None:
        self._call = call
        # Not read(): after a failed write it skips responses that have already arrived.
        self._responses = cast("AsyncGenerator[RecognizeResponse, None]", aiter(call))
        self._ending = Ending(call)
        self._audio_error: BaseException | None = None

    async def send(self, config: StreamingConfig, audio: AsyncIterable[AudioItem] | Iterable[AudioItem]) -> None:
        """Write everything and half-close; return early when the call ends.

        Raises:
            Exception: The error that ``audio`` raised; the call is cancelled, which wakes the reader.
        """
        try:
            await self._write(first_request(config))
            if isinstance(audio, AsyncIterable):
                async for item in audio:
                    await self._write_item(item)
            else:
                for item in audio:
                    await self._write_item(item)
            await self._half_close()
        except _CallEnded:
            pass  # The reader gets the status.
        except BaseException as error:
            self._audio_error = error
            self._call.cancel()
            raise

    async def receive(self) -> RecognizeResponse | None:
        """Return the next response, or None after the last one of a call that ended with OK.

        Raises:
            RecognitionError: The call ended with another status.
            Exception: The error that the audio raised.
        """
        try:
            response = await anext(self._responses, None)
        except grpc.aio.AioRpcError as error:
            ending = await self._ending.instead_of(error)
            if ending.code() is not grpc.StatusCode.OK:
                raise decode(ending) from error
            response = None
        except asyncio.CancelledError:
            if _is_cancelled(asyncio.current_task()):
                raise
            # grpc.aio raises it for every call that this side ended, also in a task that was not cancelled.
            raise self._audio_error or RecognitionError(grpc.StatusCode.CANCELLED, CLIENT_CLOSED) from None
        if response is None and self._audio_error is not None:
            raise self._audio_error
        return response

    def end(self) -> None:
        """End the call now; ``receive`` then raises CANCELLED."""
        self._call.cancel()

    async def cancel(self) -> None:
        """End the call now, if it has not ended yet, and nobody receives."""
        self.end()
        await self._responses.aclose()

    async def _write_item(self, item: AudioItem) -> None:
        for request in requests_for(item):
            await self._write(request)

    async def _write(self, request: RecognizeRequest) -> None:
        try:
            await self._call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            raise _CallEnded from error
        except asyncio.CancelledError as error:
            if _is_cancelled(asyncio.current_task()):
                raise
            raise _CallEnded from error  # ``end`` was called.

    async def _half_close(self) -> None:
        try:
            await self._call.done_writing()
        except grpc.aio.InternalError as error:
            raise _CallEnded from error


class _CallEnded(Exception):
    """The call ended while audio was still being sent."""


def _is_cancelled(task: asyncio.Task[object] | None) -> bool:
    return task is not None and task.cancelling() > 0
