"""When a client's audio came. Pure: the clock's readings are passed in."""

from __future__ import annotations

from collections import deque
from typing import Final

# Twenty seconds of messages of 20 ms, as long as an utterance may be: its final result looks up its end.
_MOST_MESSAGES: Final = 1024


class ArrivalTimes:
    """Remembers the latest messages: how much audio had been received with each, and when."""

    def __init__(self) -> None:
        self._messages: deque[tuple[int, float]] = deque(maxlen=_MOST_MESSAGES)

    def add(self, received_ms: int, now: float) -> None:
        """Note a message; ``received_ms`` includes its audio."""
        self._messages.append((received_ms, now))

    def of(self, end_ms: int) -> float | None:
        """Return when the audio before ``end_ms`` was complete; None before the first message.

        Call it with increasing times: earlier messages are forgotten.
        """
        messages = self._messages
        while len(messages) > 1 and messages[0][0] < end_ms:
            messages.popleft()
        return messages[0][1] if messages else None
