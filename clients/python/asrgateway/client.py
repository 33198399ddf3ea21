"""The client for asyncio."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from types import TracebackType
from typing import Self

import grpc

from asrgateway.beginning import countdown, may_begin_again, pauses_between_attempts, spread
from asrgateway.call import RecognizeCall, is_cancelled
from asrgateway.channel import ChannelOptions, Metadata, with_api_key, with_defaults
from asrgateway.ending import GrpcCall
from asrgateway.errors import client_closed, decode
from asrgateway.reconnecting import recognize_in_calls
from asrgateway.requests import AudioItem
from asrgateway.retries import Reconnect, reconnect_from
from asrgateway.v1.recognition_pb2 import (
    ListModelsRequest,
    ListModelsResponse,
    RecognizeResponse,
    StreamingConfig,
)
from asrgateway.v1.recognition_pb2_grpc import SpeechRecognitionServiceStub


class RecognitionClient:
    """A connection to one gateway, for any number of calls at the same time.

    Create it while an event loop runs, and close it, best with ``async with``.

    Args:
        target: ``host:port``, or any other name that gRPC resolves; calls take turns among its addresses.
        credentials: TLS, as `tls_credentials` makes it; None: plain text.
        metadata: Sent with every call.
        api_key: The client's key for the gateway, sent with every call. Without TLS others may read it on the way.
        channel_options: gRPC's own options; each replaces the default of that name, see the README.
    """

    def __init__(
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Metadata = (),
        api_key: str | None = None,
        channel_options: ChannelOptions = (),
    ) -> None:
        self._metadata = with_api_key(metadata, api_key)
        self._pauses = pauses_between_attempts(channel_options)
        options = with_defaults(channel_options)
        self._channel = (
            grpc.aio.insecure_channel(target, options=options)
            if credentials is None
            else grpc.aio.secure_channel(target, credentials, options=options)
        )
        self._stub = SpeechRecognitionServiceStub(self._channel)

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
        """Close the connection; open calls end with CANCELLED."""
        await self._channel.close()

    async def recognize(
        self,
        config: StreamingConfig,
        audio: AsyncIterable[AudioItem] | Iterable[AudioItem],
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - sent with the call, so that the gateway knows it too
        reconnect: bool | Reconnect = False,
    ) -> AsyncGenerator[RecognizeResponse, None]:
        """Send audio and receive text; the call begins with the first iteration.

        After the end of ``audio`` the last results arrive, then ``finished``, then the iteration ends. Leaving the
        iteration earlier cancels the call: at once inside ``contextlib.aclosing``, otherwise as soon as Python drops
        the iterator. ``audio`` itself is never closed, so another call can continue with it.

        With ``reconnect`` the recognition goes on in another call when one is lost or its gateway is going away: audio
        without a final result, a minute of it at most, is sent again. A second ``started`` arrives, offsets and
        indexes go on, and no final result is lost or doubled; ``revision`` of the open utterance begins at 1 again.
        Only LINEAR16 and WAV can be continued. ``audio`` is then read up to a minute ahead of what is sent.

        Args:
            config: How to recognise.
            audio: Bytes in the declared encoding, in pieces of any size, and between them commits and updates. A
                plain iterable must not block.
            timeout: Seconds after which the call has ended, with DEADLINE_EXCEEDED if it was open; None: no limit.
            reconnect: Whether another call may continue this one, or how; ``timeout`` then spans all of them.

        Yields:
            Responses in the order in which the gateway sent them.

        Raises:
            RecognitionError: The call ended with a status other than OK.
            Exception: The error that ``audio`` raised; the call is cancelled.
        """
        if (policy := reconnect_from(reconnect)) is not None:
            async with aclosing(
                recognize_in_calls(self._open_call, self._pauses, config, audio, policy, timeout)
            ) as continued:
                async for one in continued:
                    yield one
            return
        seconds_left = countdown(timeout)
        call = RecognizeCall(lambda: self._open_call(seconds_left()), spread(self._pauses, seconds_left))
        # No task group: a generator must not yield inside one (PEP 789).
        sender = asyncio.create_task(call.send(config, audio), name="send audio")
        try:
            while (response := await call.receive()) is not None:
                yield response
        finally:
            sender.cancel()
            await call.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    def _open_call(self, timeout: float | None) -> GrpcCall:
        try:
            return self._stub.Recognize(timeout=timeout, metadata=self._metadata)
        except grpc.aio.UsageError as error:
            raise client_closed() from error

    async def list_models(self, *, timeout: float | None = None) -> ListModelsResponse:  # noqa: ASYNC109 - as above
        """Return the models and their aliases.

        Args:
            timeout: Seconds to wait for the answer; None: no limit.

        Raises:
            RecognitionError: The call ended with a status other than OK.
        """
        seconds_left = countdown(timeout)
        pauses = spread(self._pauses, seconds_left)
        while True:
            try:
                return await self._stub.ListModels(ListModelsRequest(), timeout=seconds_left(), metadata=self._metadata)
            except grpc.aio.AioRpcError as error:
                pause = next(pauses, None)
                if pause is None or not may_begin_again(error.code()):
                    raise decode(error) from error
            except grpc.aio.UsageError as error:
                raise client_closed() from error
            except asyncio.CancelledError as error:
                if is_cancelled():
                    raise
                raise client_closed() from error
            await asyncio.sleep(pause)
