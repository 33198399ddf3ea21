"""The client for programs without asyncio."""

import time
from collections.abc import Generator, Iterable, Iterator
from types import TracebackType
from typing import Self

import grpc

from asrgateway.beginning import countdown, may_begin_again, pauses_between_attempts, spread
from asrgateway.channel import ChannelOptions, Metadata, with_api_key, with_defaults
from asrgateway.errors import client_closed, decode
from asrgateway.requests import AudioItem
from asrgateway.retries import Reconnect, reconnect_from
from asrgateway.sync_call import GrpcCall, RecognizeCall
from asrgateway.sync_reconnecting import recognize_in_calls
from asrgateway.v1.recognition_pb2 import (
    ListModelsRequest,
    ListModelsResponse,
    RecognizeRequest,
    RecognizeResponse,
    StreamingConfig,
)
from asrgateway.v1.recognition_pb2_grpc import SpeechRecognitionServiceStub


class RecognitionClient:
    """A connection to one gateway, for any number of calls from any threads.

    Args:
        target: ``host:port``, or any other name that gRPC resolves; calls take turns among its addresses.
        credentials: TLS, as `asrgateway.tls_credentials` makes it; None: plain text.
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
            grpc.insecure_channel(target, options=options)
            if credentials is None
            else grpc.secure_channel(target, credentials, options=options)
        )
        self._stub = SpeechRecognitionServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; open calls end with CANCELLED."""
        self._channel.close()

    def recognize(
        self,
        config: StreamingConfig,
        audio: Iterable[AudioItem],
        *,
        timeout: float | None = None,
        reconnect: bool | Reconnect = False,
    ) -> Generator[RecognizeResponse, None, None]:
        """Send audio and receive text; the call begins with the first iteration.

        As `asrgateway.RecognitionClient.recognize`, except that ``audio`` is iterated in a thread of its own, where it
        may block. After an early end that thread waits for one more item and then stops.

        Args:
            config: How to recognise.
            audio: Bytes in the declared encoding, in pieces of any size, and between them commits and updates.
            timeout: Seconds after which the call has ended, with DEADLINE_EXCEEDED if it was open; None: no limit.
            reconnect: Whether another call may continue this one, or how; ``timeout`` then spans all of them.

        Yields:
            Responses in the order in which the gateway sent them.

        Raises:
            RecognitionError: The call ended with a status other than OK.
            Exception: The error that ``audio`` raised; the call is cancelled.
        """
        if (policy := reconnect_from(reconnect)) is not None:
            yield from recognize_in_calls(self._open_call, self._pauses, config, audio, policy, timeout)
            return
        seconds_left = countdown(timeout)
        pauses = spread(self._pauses, seconds_left)
        call = RecognizeCall(lambda requests: self._open_call(requests, seconds_left()), pauses, config, audio)
        try:
            while (response := call.receive()) is not None:
                yield response
        finally:
            call.end()

    def _open_call(self, requests: Iterator[RecognizeRequest], timeout: float | None) -> GrpcCall:
        try:
            return self._stub.Recognize(requests, timeout=timeout, metadata=self._metadata)
        except ValueError as error:
            if not _is_closed(error):
                raise
            raise client_closed() from error

    def list_models(self, *, timeout: float | None = None) -> ListModelsResponse:
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
                return self._stub.ListModels(ListModelsRequest(), timeout=seconds_left(), metadata=self._metadata)
            except grpc.RpcError as error:
                pause = next(pauses, None)
                if pause is None or not may_begin_again(error.code()):
                    raise decode(error) from error
            except ValueError as error:
                if not _is_closed(error):
                    raise
                raise client_closed() from error
            time.sleep(pause)


def _is_closed(error: ValueError) -> bool:
    """Whether gRPC refuses to make a call because its channel is closed."""
    return "closed" in str(error)
