"""One call of the asyncio client: writing, reading, and its status."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator
from contextlib import suppress
from typing import cast

import grpc

from asrgateway.beginning import LATE_HEADER_SECONDS, LATE_STATUS_SECONDS, may_begin_again, names_call
from asrgateway.ending import Ending, GrpcCall
from asrgateway.errors import RecognitionError, client_closed, decode
from asrgateway.requests import AudioItem, first_request, requests_for
from asrgateway.v1.recognition_pb2 import RecognizeRequest, RecognizeResponse, StreamingConfig


class RecognizeCall:
    """A running call, which was opened again until a gateway took it.

    Args:
        open_call: Starts a call.
        pauses: Before each attempt after the first one, in seconds.
    """

    def __init__(self, open_call: Callable[[], GrpcCall], pauses: Iterator[float]) -> None:
        self._open_call = open_call
        self._pauses = pauses
        self._is_over = False
        self._error: RecognitionError | None = None
        self._has_begun = asyncio.Event()
        self._audio_error: BaseException | None = None
        self._attach(open_call())

    def _attach(self, call: GrpcCall) -> None:
        self._call = call
        # Not read(): after a failed write it skips responses that have already arrived.
        self._responses = cast("AsyncGenerator[RecognizeResponse, None]", aiter(call))
        self._ending = Ending(call)
        call.add_done_callback(self._stop_beginning)

    def _stop_beginning(self, _: GrpcCall) -> None:
        """Wake the reader of a call that this side ended; grpc.aio may let its writer wait for ever."""
        if self._ending.is_ours:
            self._has_begun.set()

    async def send(self, config: StreamingConfig, audio: AsyncIterable[AudioItem] | Iterable[AudioItem]) -> None:
        """Write everything and half-close; return early when the call ends.

        Raises:
            Exception: The error that ``audio`` raised; the call is cancelled, which wakes the reader.
        """
        try:
            await self._begin(first_request(config))
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
        finally:
            self._has_begun.set()

    async def receive(self) -> RecognizeResponse | None:
        """Return the next response, or None after the last one of a call that ended with OK.

        Raises:
            RecognitionError: The call ended with another status.
            Exception: The error that the audio raised.
        """
        await self._has_begun.wait()
        if self._error is not None:
            raise self._error
        try:
            response = await anext(self._responses, None)
        except grpc.aio.AioRpcError as error:
            ending = await self._ending.instead_of(error)
            if ending.code() is not grpc.StatusCode.OK:
                raise decode(ending) from error
            response = None
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            # grpc.aio raises it for every call that this side ended, also in a task that was not cancelled.
            raise self._audio_error or client_closed() from None
        if response is None and self._audio_error is not None:
            raise self._audio_error
        return response

    def end(self) -> None:
        """End the call now; ``receive`` then raises its status, which is CANCELLED if there was none yet."""
        self._is_over = True
        self._call.cancel()
        self._has_begun.set()

    async def cancel(self) -> None:
        """End the call now, if it has not ended yet, and nobody receives."""
        self.end()
        await self._responses.aclose()

    async def _begin(self, first: RecognizeRequest) -> None:
        """Send the first request until a gateway has taken the call.

        Raises:
            _CallEnded: None has.
        """
        while not await self._is_taken(first):
            pause = next(self._pauses, None)
            if pause is None or not may_begin_again(await self._ending.code()):
                raise _CallEnded
            await asyncio.sleep(pause)
            if self._is_over:
                raise _CallEnded
            try:
                self._attach(self._open_call())
            except RecognitionError as error:
                self._error = error
                raise _CallEnded from error
        self._has_begun.set()

    async def _is_taken(self, first: RecognizeRequest) -> bool:
        """Send the first request and wait for the response header; return False if the call ends instead."""
        with suppress(_CallEnded):
            await self._write(first)
        with suppress(TimeoutError):
            async with asyncio.timeout(LATE_HEADER_SECONDS):
                header = await self._call.initial_metadata()
            if names_call(header):
                return True
            async with asyncio.timeout(LATE_STATUS_SECONDS):
                await self._call.code()
        return not self._call.done()

    async def _write_item(self, item: AudioItem) -> None:
        for request in requests_for(item):
            await self._write(request)

    async def _write(self, request: RecognizeRequest) -> None:
        try:
            await self._call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            raise _CallEnded from error
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise
            raise _CallEnded from error  # ``end`` was called.

    async def _half_close(self) -> None:
        try:
            await self._call.done_writing()
        except grpc.aio.InternalError as error:
            raise _CallEnded from error


class _CallEnded(Exception):
    """The call ended while audio was still being sent."""


def is_cancelled() -> bool:
    """Whether the present task is being cancelled; grpc.aio raises CancelledError for other reasons too."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
