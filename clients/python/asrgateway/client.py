"""The client for asyncio."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from types import TracebackType
from typing import Self

import grpc

from asrgateway.channel import CHANNEL_OPTIONS, Metadata
from asrgateway.errors import RecognitionError, decode
from asrgateway.requests import AudioItem, first_request, requests_for
from asrgateway.v1.recognition_pb2 import (
    ListModelsRequest,
    ListModelsResponse,
    RecognizeRequest,
    RecognizeResponse,
    StreamingConfig,
)
from asrgateway.v1.recognition_pb2_grpc import SpeechRecognitionServiceStub

Call = grpc.aio.StreamStreamCall[RecognizeRequest, RecognizeResponse]


class RecognitionClient:
    """A connection to one gateway, for any number of calls at the same time.

    Create it where an event loop runs, and close it, best with ``async with``.

    Args:
        target: ``host:port``, or any other name that gRPC resolves.
        credentials: TLS, as `tls_credentials` makes it; None: plain text.
        metadata: Sent with every call.
    """

    def __init__(
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Metadata = (),
    ) -> None:
        self._channel = (
            grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
            if credentials is None
            else grpc.aio.secure_channel(target, credentials, options=CHANNEL_OPTIONS)
        )
        self._stub = SpeechRecognitionServiceStub(self._channel)
        self._metadata = tuple(metadata)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls still open end with CANCELLED."""
        await self._channel.close()

    async def recognize(
        self,
        config: StreamingConfig,
        audio: AsyncIterable[AudioItem] | Iterable[AudioItem],
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - travels with the call, so that the gateway knows it too
    ) -> AsyncGenerator[RecognizeResponse, None]:
        """Send audio and hear what was said; the call begins with the first iteration.

        The end of ``audio`` asks for the last words: they arrive, then ``finished``, then the iteration ends. Leaving
        the iteration earlier cancels the call: at once inside ``contextlib.aclosing``, otherwise as soon as the
        iterator is garbage. ``audio`` itself is never closed, so that a next call can go on with it.

        Args:
            config: How to recognise.
            audio: Bytes in the declared encoding, in pieces of any size, and between them commits and updates. A
                plain iterable must not block.
            timeout: Seconds until the call ends with DEADLINE_EXCEEDED, counted from its beginning; None: no limit.

        Yields:
            Responses in the order in which the gateway sent them.

        Raises:
            RecognitionError: The call ended with another status than OK.
            Exception: Whatever ``audio`` raised; the call is cancelled.
        """
        call = self._stub.Recognize(timeout=timeout, metadata=self._metadata)
        # No task group: a generator must not yield inside one (PEP 789).
        sender = asyncio.create_task(_send(call, config, audio), name="send audio")
        try:
            while (response := await _read(call, sender)) is not None:
                yield response
        finally:
            sender.cancel()
            call.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    async def list_models(self, *, timeout: float | None = None) -> ListModelsResponse:  # noqa: ASYNC109 - as above
        """Ask for the models and their aliases.

        Args:
            timeout: Seconds to wait for the answer; None: no limit.

        Raises:
            RecognitionError: The call ended with another status than OK.
        """
        try:
            return await self._stub.ListModels(ListModelsRequest(), timeout=timeout, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise decode(error) from error


async def _send(call: Call, config: StreamingConfig, audio: AsyncIterable[AudioItem] | Iterable[AudioItem]) -> None:
    """Write the whole call and half-close it; whatever ``audio`` raises cancels the call, which wakes the reader."""
    try:
        await _write(call, first_request(config))
        if isinstance(audio, AsyncIterable):
            async for item in audio:
                await _write_item(call, item)
        else:
            for item in audio:
                await _write_item(call, item)
        await call.done_writing()
    except _CallIsOver:
        pass  # The reader learns the status.
    except BaseException:
        call.cancel()
        raise


async def _write_item(call: Call, item: AudioItem) -> None:
    for request in requests_for(item):
        await _write(call, request)


async def _write(call: Call, request: RecognizeRequest) -> None:
    try:
        await call.write(request)
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
        raise _CallIsOver from error


class _CallIsOver(Exception):
    """The gateway ended the call while audio was still being sent."""


async def _read(call: Call, sender: asyncio.Task[None]) -> RecognizeResponse | None:
    """Return the next response, or None after the last one of a call that ended well."""
    try:
        response = await call.read()
    except grpc.aio.AioRpcError as error:
        raise decode(error) from error
    except asyncio.CancelledError:
        # grpc.aio raises it for every call that this side ended, also in a task that nobody cancelled.
        if _is_cancelled(asyncio.current_task()):
            raise
        _raise_audio_error(sender)
        raise RecognitionError(grpc.StatusCode.CANCELLED, "the client was closed during the call") from None
    if isinstance(response, RecognizeResponse):
        return response
    _raise_audio_error(sender)
    return None


def _is_cancelled(task: asyncio.Task[object] | None) -> bool:
    return task is not None and task.cancelling() > 0


def _raise_audio_error(sender: asyncio.Task[None]) -> None:
    if sender.done() and not sender.cancelled() and (error := sender.exception()) is not None:
        raise error from None
