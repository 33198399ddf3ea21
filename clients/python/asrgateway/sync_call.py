"""One call of the client for threads: writing, reading, and its status."""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import grpc

from asrgateway.beginning import LATE_HEADER_SECONDS, LATE_STATUS_SECONDS, may_begin_again, names_call
from asrgateway.channel import Metadata
from asrgateway.errors import decode
from asrgateway.requests import AudioItem, first_request, requests_for
from asrgateway.v1.recognition_pb2 import RecognizeRequest, RecognizeResponse, StreamingConfig


class GrpcCall(Protocol):
    """A call that gRPC has started, iterated for its responses; gRPC has no public name for it."""

    def __iter__(self) -> Iterator[RecognizeResponse]: ...
    def __next__(self) -> RecognizeResponse: ...
    def initial_metadata(self) -> Metadata:
        """Wait for the response header, or for the end of the call."""

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Call this when the call ends; return False if it has ended."""

    def code(self) -> grpc.StatusCode:
        """Wait for the status."""

    def cancel(self) -> bool:
        """End it now."""


class RecognizeCall:
    """A running call, which is opened again until a gateway takes it.

    Args:
        open_call: Starts a call with its requests.
        pauses: Before each attempt after the first one, in seconds.
        config: How to recognise.
        audio: Iterated once, in gRPC's own thread, after a gateway has taken the call.
    """

    def __init__(
        self,
        open_call: Callable[[Iterator[RecognizeRequest]], GrpcCall],
        pauses: Iterator[float],
        config: StreamingConfig,
        audio: Iterable[AudioItem],
    ) -> None:
        self._open_call = open_call
        self._pauses = pauses
        self._config = config
        self._audio = audio
        self._audio_error: Exception | None = None
        self._has_begun = False
        self._is_over = threading.Event()
        self._attach()

    def receive(self) -> RecognizeResponse | None:
        """Return the next response, or None after the last one of a call that ended with OK.

        Raises:
            RecognitionError: The call ended with another status.
            Exception: The error that the audio raised.
        """
        if not self._has_begun:
            self._begin()
        try:
            response = next(self._call, None)
        except grpc.RpcError as error:
            raise self._audio_error or decode(error) from error
        if response is None and self._audio_error is not None:
            raise self._audio_error
        return response

    def end(self) -> None:
        """End the call now, from any thread."""
        self._is_over.set()
        self._requests.drop()
        self._call.cancel()

    def _attach(self) -> None:
        self._requests = _Requests(self._config, self._items())
        self._call = self._open_call(iter(self._requests))

    def _items(self) -> Iterator[RecognizeRequest]:
        try:
            for item in self._audio:
                yield from requests_for(item)
        except Exception as error:  # noqa: BLE001 - any error of the program's own audio is raised again
            self._audio_error = error
            self._call.cancel()

    def _begin(self) -> None:
        self._has_begun = True
        while not self._is_taken():
            if not self._requests.drop():
                return
            pause = next(self._pauses, None)
            if pause is None or not may_begin_again(self._call.code()):
                return
            if self._is_over.wait(pause):
                return
            self._attach()
            if self._is_over.is_set():
                self.end()
        self._requests.release()

    def _is_taken(self) -> bool:
        """Wait for the response header; return False if the call ends instead."""
        if names_call(self._call.initial_metadata()):
            return True
        has_ended = threading.Event()
        return self._call.add_callback(has_ended.set) and not has_ended.wait(LATE_STATUS_SECONDS)


class _Requests:
    """The requests of one attempt: the config at once, the others when they are released.

    Args:
        config: How to recognise.
        others: What follows.
    """

    def __init__(self, config: StreamingConfig, others: Iterator[RecognizeRequest]) -> None:
        self._config = config
        self._others = others
        self._decided = threading.Condition()
        self._is_released: bool | None = None

    def __iter__(self) -> Iterator[RecognizeRequest]:
        yield first_request(self._config)
        with self._decided:
            self._decided.wait_for(lambda: self._is_released is not None, LATE_HEADER_SECONDS)
            if self._is_released is False:
                return
            self._is_released = True
        yield from self._others

    def release(self) -> None:
        """Let the others follow."""
        self._decide(is_released=True)

    def drop(self) -> bool:
        """Let nothing follow; return whether nothing has."""
        return self._decide(is_released=False)

    def _decide(self, *, is_released: bool) -> bool:
        with self._decided:
            if self._is_released is None:
                self._is_released = is_released
                self._decided.notify_all()
            return self._is_released is is_released
