"""A recognition that goes on in another call when one is lost; for threads."""

import random
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

import grpc

from asrgateway.beginning import spread
from asrgateway.errors import RecognitionError
from asrgateway.requests import AudioItem
from asrgateway.resumption import Resumption, half_deadline_seconds
from asrgateway.retries import Reconnect, Retries
from asrgateway.sync_call import GrpcCall, RecognizeCall
from asrgateway.sync_outgoing import CallItems, Outgoing
from asrgateway.v1.recognition_pb2 import RecognizeRequest, RecognizeResponse, StreamingConfig

OpenCall = Callable[[Iterator[RecognizeRequest], float | None], GrpcCall]
"""Starts a call with its requests and so many seconds to its deadline."""


def recognize_in_calls(
    open_call: OpenCall,
    pauses_seconds: Sequence[float],
    config: StreamingConfig,
    audio: Iterable[AudioItem],
    reconnect: Reconnect,
    timeout_seconds: float | None,
) -> Generator[RecognizeResponse, None, None]:
    """Send audio and receive text in as many calls as it takes.

    Yields:
        The responses of all calls, one after the other.

    Raises:
        RecognitionError: A call ended with a status other than OK, and none could continue it.
        Exception: The error that ``audio`` raised.
    """
    outgoing = Outgoing(Resumption(config, reconnect.read_ahead_seconds))
    recognition = _Recognition(open_call, pauses_seconds, outgoing, reconnect, timeout_seconds)
    # Nothing waits for it at the program's end: it may be inside the audio for ever.
    threading.Thread(target=outgoing.read, args=(audio,), name="read audio", daemon=True).start()
    try:
        while not recognition.is_complete:
            call = recognition.begin_call()
            try:
                while (response := recognition.receive(call)) is not None:
                    yield response
            finally:
                call.close()
    finally:
        outgoing.close()


class _Recognition:
    """Opens one call after the other, and decides whether another one follows.

    Attributes:
        is_complete: A call ended with OK.
    """

    def __init__(
        self,
        open_call: OpenCall,
        pauses_seconds: Sequence[float],
        outgoing: Outgoing,
        reconnect: Reconnect,
        timeout_seconds: float | None,
    ) -> None:
        self.is_complete = False
        self._open_call = open_call
        self._pauses_between_attempts = pauses_seconds
        self._outgoing = outgoing
        self._on_retry = reconnect.on_retry
        self._retries = Retries(reconnect.give_up_seconds)
        self._pause_seconds = 0.0
        self._deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds

    def begin_call(self) -> "_Call":
        """Begin the first or next call, after the pause that is due.

        Raises:
            RecognitionError: The deadline has passed, or the client is closed.
            Exception: The error that the audio raised.
        """
        self._outgoing.pause(self._pause_seconds)
        try:
            config = self._outgoing.begin_call(self._seconds_left())
        except TimeoutError as error:
            raise RecognitionError(grpc.StatusCode.DEADLINE_EXCEEDED, "no audio came in time") from error
        items = CallItems(self._outgoing)
        pauses = spread(self._pauses_between_attempts, self._seconds_left)
        call = RecognizeCall(lambda requests: self._open_call(requests, self._seconds_left()), pauses, config, items)
        return _Call(call, items, self._outgoing, self._retries.give_up_at)

    def receive(self, call: "_Call") -> RecognizeResponse | None:
        """Return the next response of a call; None if it is over, well or so that another one follows.

        Raises:
            RecognitionError: It has failed, and no other one may follow.
            Exception: The error that the audio raised.
        """
        try:
            response = call.receive()
        except RecognitionError as error:
            self._pause_seconds = 0.0 if call.has_left else self._pause_after(call, error)
            return None
        if response is None:
            self.is_complete = True
        else:
            self._retries.answered()
        return response

    def _pause_after(self, call: "_Call", error: RecognitionError) -> float:
        if self._outgoing.error is not None:
            raise self._outgoing.error
        if call.has_given_up:
            raise self._retries.give_up() from error
        if not self._outgoing.can_resume:
            raise error
        pause = self._retries.pause_seconds(error, time.monotonic(), random.random())  # noqa: S311 - no secret
        if self._on_retry is not None:
            self._on_retry(error, pause)
        left = self._seconds_left()
        return pause if left is None else min(pause, left)

    def _seconds_left(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())


class _Call:
    """One call of a recognition.

    Attributes:
        has_left: It was ended because its gateway is going away.
        has_given_up: It was ended because it gave no response in time.
    """

    def __init__(self, call: RecognizeCall, items: CallItems, outgoing: Outgoing, give_up_at: float | None) -> None:
        self.has_left = False
        self.has_given_up = False
        self._call = call
        self._items = items
        self._outgoing = outgoing
        self._leaving: threading.Timer | None = None
        self._giving_up = None if give_up_at is None else _timer(give_up_at - time.monotonic(), self._give_up)

    def receive(self) -> RecognizeResponse | None:
        """Return the next response, as `RecognizeCall.receive` does."""
        response = self._call.receive()
        if response is not None:
            _cancel(self._giving_up)
            self._outgoing.received(response)
            self._follow(response)
        return response

    def close(self) -> None:
        """End the call now, if it has not ended yet."""
        _cancel(self._leaving)
        _cancel(self._giving_up)
        self._outgoing.end_call(self._items)
        self._call.end()

    def _follow(self, response: RecognizeResponse) -> None:
        """Leave a gateway that is going away: after the next final result, or when half of its time has passed."""
        if response.HasField("going_away") and self._leaving is None:
            self._leaving = _timer(half_deadline_seconds(response.going_away), self._leave)
        elif response.result.is_final and self._leaving is not None:
            self._leave()

    def _leave(self) -> None:
        if self._outgoing.can_leave:
            self.has_left = True
            self._call.end()

    def _give_up(self) -> None:
        self.has_given_up = True
        self._call.end()


def _timer(seconds: float, function: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(seconds, function)
    timer.daemon = True
    timer.start()
    return timer


def _cancel(timer: threading.Timer | None) -> None:
    if timer is not None:
        timer.cancel()
