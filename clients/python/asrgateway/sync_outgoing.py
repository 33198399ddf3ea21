"""The audio of one recognition on its way into its calls; for threads."""

import threading
from collections.abc import Iterable, Iterator

from asrgateway.requests import AudioItem
from asrgateway.resumption import Resumption
from asrgateway.v1.recognition_pb2 import RecognizeResponse, StreamingConfig


class CallItems:
    """What one call sends, iterated in gRPC's own thread.

    Attributes:
        is_over: Nothing more is sent.
    """

    def __init__(self, outgoing: "Outgoing") -> None:
        self.is_over = False
        self._outgoing = outgoing

    def __iter__(self) -> Iterator[AudioItem]:
        while (item := self._outgoing.next_item(self)) is not None:
            yield item
        if self._outgoing.error is not None:
            raise self._outgoing.error


class Outgoing:
    """Reads the program's audio once, in a thread of its own, and gives each call what it has to send.

    Args:
        resumption: Of this recognition.

    Attributes:
        error: The error that the audio raised.
    """

    def __init__(self, resumption: Resumption) -> None:
        self.error: Exception | None = None
        self._resumption = resumption
        self._has_ended = False
        self._is_closed = False
        self._changed = threading.Condition()

    def read(self, audio: Iterable[AudioItem]) -> None:
        """Read the program's audio to its end, only so far ahead of what is sent; keep the error it raises."""
        try:
            for item in audio:
                with self._changed:
                    self._resumption.add(item)
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._is_closed or not self._resumption.is_full)
                    if self._is_closed:
                        return
        except Exception as error:  # noqa: BLE001 - any error of the program's own audio is raised again
            self.error = error
        with self._changed:
            self._resumption.end()
            self._has_ended = True
            self._changed.notify_all()

    def begin_call(self, timeout_seconds: float | None) -> StreamingConfig:
        """Return the config of the next call, as soon as it is known.

        Raises:
            TimeoutError: It was not known in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._resumption.is_ready, timeout_seconds):
                raise TimeoutError
            return self._resumption.begin_call()

    def next_item(self, items: CallItems) -> AudioItem | None:
        """Return the next item of a call; None if the call is over, or has everything."""
        with self._changed:
            while not items.is_over:
                if (item := self._resumption.take()) is not None:
                    self._changed.notify_all()
                    return item
                if self._has_ended:
                    return None
                self._changed.wait()
        return None

    def end_call(self, items: CallItems) -> None:
        """Give a call nothing more."""
        with self._changed:
            items.is_over = True
            self._changed.notify_all()

    def received(self, response: RecognizeResponse) -> None:
        """Let go of what a response makes final."""
        with self._changed:
            self._resumption.received(response)

    def pause(self, seconds: float) -> None:
        """Wait between two calls, or until the audio has failed."""
        with self._changed:
            self._changed.wait_for(lambda: self.error is not None, seconds)

    def close(self) -> None:
        """Read nothing more, once the program has given its next item."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    @property
    def can_resume(self) -> bool:
        """Whether another call can continue the present one."""
        return self._resumption.can_resume

    @property
    def can_leave(self) -> bool:
        """Whether the present call may be left for another one: one that has everything ends by itself in time."""
        with self._changed:
            return self._resumption.can_leave
