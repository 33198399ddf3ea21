"""What a load test measures: when audio was sent, when its results came, and what was lost."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from google.protobuf.duration_pb2 import Duration

from asrgateway.v1.recognition_pb2 import RecognitionResult, RecognizeResponse, StreamEvent, StreamEventType


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """Some values in a few numbers; None where there were none.

    Attributes:
        p50: Half of them are not above it.
        p99: 99 of 100 are not above it.
        max: The largest.
    """

    p50: float | None
    p99: float | None
    max: float | None


class CallTimes:
    """One call. All times are seconds of one clock, which the methods are given.

    Args:
        message_seconds: Audio in each message.
    """

    def __init__(self, message_seconds: float) -> None:
        self.first_package_seconds: float | None = None
        self.lag_seconds: list[float] = []
        self.send_delay_seconds: list[float] = []
        self._message_seconds = message_seconds
        self._sent_at: list[float] = []
        self._dropped_seconds = 0.0
        self._finalized_seconds = 0.0

    @property
    def sent_seconds(self) -> float:
        """How much audio was sent."""
        return len(self._sent_at) * self._message_seconds

    def sent(self, now: float) -> None:
        """Note that a message of audio is handed to gRPC."""
        self._sent_at.append(now)
        due = self._sent_at[0] + (len(self._sent_at) - 1) * self._message_seconds
        self.send_delay_seconds.append(max(0.0, now - due))

    def received(self, response: RecognizeResponse, now: float) -> None:
        """Note a response."""
        self._finalized_seconds = max(self._finalized_seconds, _seconds(response.cursor.finalized))
        match response.WhichOneof("response"):
            case "result":
                self._result(response.result, now)
            case "stream_event":
                self._event(response.stream_event)

    def lost_seconds(self, *, is_complete: bool) -> float:
        """Return the audio without text that could have had some: what was dropped, and what an error cut off."""
        cut_off = 0.0 if is_complete else max(0.0, self.sent_seconds - self._finalized_seconds)
        return self._dropped_seconds + cut_off

    def _result(self, result: RecognitionResult, now: float) -> None:
        if not self._sent_at:
            return
        if result.transcript and self.first_package_seconds is None:
            self.first_package_seconds = now - self._sent_at[0]
        if result.is_final and result.HasField("end_offset"):
            number = math.ceil(_seconds(result.end_offset) / self._message_seconds - 1e-6) - 1
            self.lag_seconds.append(now - self._sent_at[min(max(0, number), len(self._sent_at) - 1)])

    def _event(self, event: StreamEvent) -> None:
        if event.event_type == StreamEventType.STREAM_EVENT_TYPE_AUDIO_DROPPED:
            self._dropped_seconds += _seconds(event.end_offset) - _seconds(event.start_offset)


@dataclass(slots=True, kw_only=True)
class LoadStatistics:
    """All calls of a load test.

    Attributes:
        audio_seconds: Audio that was sent.
        lost_seconds: Audio that was dropped, or that a failed call left without a final result.
        statuses: How many calls ended with each status.
        first_package_seconds: First audio of a call to its first text, for each call that got text.
        lag_seconds: For each final result, from sending the audio at its end to its arrival.
        send_delay_seconds: For each message, how much later than at speaking speed it was sent.
    """

    audio_seconds: float = 0.0
    lost_seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    first_package_seconds: list[float] = field(default_factory=list)
    lag_seconds: list[float] = field(default_factory=list)
    send_delay_seconds: list[float] = field(default_factory=list)

    def add(self, call: CallTimes, status: str) -> None:
        """Add a call that has ended."""
        self.statuses[status] += 1
        self.audio_seconds += call.sent_seconds
        self.lost_seconds += call.lost_seconds(is_complete=status == "OK")
        self.lag_seconds.extend(call.lag_seconds)
        self.send_delay_seconds.extend(call.send_delay_seconds)
        if call.first_package_seconds is not None:
            self.first_package_seconds.append(call.first_package_seconds)

    @property
    def calls(self) -> int:
        """How many calls have ended."""
        return self.statuses.total()

    @property
    def failed(self) -> int:
        """How many of them did not end with OK."""
        return self.calls - self.statuses["OK"]


def quantiles(values: Sequence[float]) -> Quantiles:
    """Return the nearest-rank quantiles."""
    if not values:
        return Quantiles(p50=None, p99=None, max=None)
    ranked = sorted(values)
    p50, p99 = (ranked[math.ceil(share * len(ranked)) - 1] for share in (0.5, 0.99))
    return Quantiles(p50=p50, p99=p99, max=ranked[-1])


def _seconds(duration: Duration) -> float:
    return duration.ToNanoseconds() / 1e9
