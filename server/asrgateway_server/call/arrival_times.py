"""When a client's audio came. Pure: the clock's readings are passed in."""

from __future__ import annotations

from collections import deque
from typing import Final

# Twenty seconds of messages of 20 ms: an utterance is not longer, and its final result asks for its end.
_MOST_MESSAGES: Final = 1024


class ArrivalTimes:
    """Remembers the latest messages: where the audio ended with each, and when that was."""

    def __init__(self) -> None:
        self._messages: deque[tuple[int, float]] = deque(maxlen=_MOST_MESSAGES)

    def add(self, received_ms: int, now: float) -> None:
        """Note a message, after which so much audio had been received."""
        self._messages.append((received_ms, now))

    def of(self, end_ms: int) -> float | None:
        """Return when the audio before ``end_ms`` was complete; None before the first message.

        Later questions are about later audio: what came earlier is forgotten.
        """
        messages = self._messages
        while len(messages) > 1 and messages[0][0] < end_ms:
            messages.popleft()
        return messages[0][1] if messages else None
