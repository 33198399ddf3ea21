"""Delays, amounts of audio and cost of one call, summed over its tasks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from asrgateway_server.call.responses import CallFinished, Cursor
from asrgateway_server.config import RecognitionConfig
from asrgateway_server.metrics import Metrics
from asrgateway_server.models import Model
from asrgateway_server.tracing import call_trace

# A second of audio: counting each packet by itself takes a lock and a microsecond.
_COUNTED_AT_ONCE_SECONDS: Final = 1.0


@dataclass(slots=True)
class Delays:
    """Instants of one call (``time.monotonic()``); each is set once, None until then.

    Attributes:
        audio_read: The first audio was read from gRPC.
        audio_sent: The first audio was handed to the adapter.
        text_read: The first text was read from the upstream.
        text_written: That text was handed to gRPC.
        half_close_read: The client's half-close was read.
        end_sent: The end of the audio was handed to the adapter.
        end_read: The upstream's last message was read.
        idle_seconds: Not an instant: how long tasks waited for audio, since the first.
    """

    audio_read: float | None = None
    audio_sent: float | None = None
    text_read: float | None = None
    text_written: float | None = None
    half_close_read: float | None = None
    end_sent: float | None = None
    end_read: float | None = None
    idle_seconds: float = 0.0

    @property
    def first_package_seconds(self) -> float | None:
        """First audio read from gRPC to first text handed to gRPC."""
        return _between(self.audio_read, self.text_written)

    @property
    def upstream_first_package_seconds(self) -> float | None:
        """First audio handed to the adapter to first text read."""
        return _between(self.audio_sent, self.text_read)

    @property
    def upstream_last_package_seconds(self) -> float | None:
        """End of the audio handed to the adapter to the upstream's last message."""
        return _between(self.end_sent, self.end_read)

    def realtime_factor(self, audio_seconds: float) -> float | None:
        """Time from the first to the last audio handed over, without waiting for the client, by the audio's length."""
        taken = _between(self.audio_sent, self.end_sent)
        return None if taken is None or not audio_seconds else max(0.0, taken - self.idle_seconds) / audio_seconds

    def last_package_seconds(self, now: float) -> float | None:
        """Half-close read to ``now``, when the last message is handed to gRPC."""
        return _between(self.half_close_read, now)


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start


class Counter(Protocol):
    """A metric that only grows."""

    def inc(self, amount: float = 1) -> None:
        """Add to it."""


class _Sum:
    """Adds to a counter a second of audio or more at a time."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._seconds = 0.0

    def add(self, seconds: float) -> None:
        self._seconds += seconds
        if self._seconds >= _COUNTED_AT_ONCE_SECONDS:
            self.flush()

    def flush(self) -> None:
        self._counter.inc(self._seconds)
        self._seconds = 0.0


class Statistics:
    """Sums up one call. Each of its tasks may have another model, with its own metrics and price.

    Attributes:
        delays: The instants of the call.
        received_ms: The client's audio received.
        sent_ms: The client's audio handed to tasks, each part counted once, or passed over.
        replayed_ms: Audio handed to a task again.
        reconnects: How often a task took over from a lost one.
        final_ms: Where the last final result ended, on the client's clock.
        silence_ms: Silence added in the client's place.
        final_results: How many final results were sent.
        request_ids: The upstream's ids of its tasks.
        metrics: Those of the current task's model.
    """

    def __init__(self, config: RecognitionConfig, metrics: Metrics) -> None:
        self.delays = Delays()
        self.received_ms = 0
        self.sent_ms = 0
        self.replayed_ms = 0
        self.reconnects = 0
        self.final_ms = config.resume.audio_offset_ms
        self.silence_ms = 0
        self.final_results = 0
        self.request_ids: list[str] = []
        self._all_metrics = metrics
        self._received_bytes = metrics.audio_received_bytes.labels(config.audio.encoding.name)
        self._uncounted_bytes = 0
        self._billed_ms: int | None = None
        self._cost_cny: float | None = None
        self._position_ms = 0
        self._use(config.model)

    @property
    def cursor(self) -> Cursor:
        """How far the call has come."""
        return Cursor(
            received_ms=self.received_ms, sent_ms=self.sent_ms, final_ms=self.final_ms, silence_ms=self.silence_ms
        )

    @property
    def backlog_seconds(self) -> float:
        """The audio that was received and has not been sent."""
        return (self.received_ms - self.sent_ms) / 1000

    def received(self, byte_count: int, received_ms: int) -> float:
        """Count a piece of the client's audio, included in ``received_ms``; return its length in seconds."""
        seconds = (received_ms - self.received_ms) / 1000
        self.received_ms = received_ms
        self._uncounted_bytes += byte_count
        self._received.add(seconds)
        return seconds

    def sent(self, position_ms: int) -> None:
        """Count audio handed to a task, which is now at a position of the client's audio."""
        new_ms = max(position_ms - self.sent_ms, 0)
        again_ms = position_ms - self._position_ms - new_ms
        self._position_ms = position_ms
        if again_ms:
            self.replayed_ms += again_ms
            self.metrics.replayed_audio_seconds.inc(again_ms / 1000)
        self._sent.add(new_ms / 1000)
        self.sent_ms += new_ms

    def passed_over(self, position_ms: int) -> None:
        """Note that audio up to a position is not handed to any task, because it is silent."""
        self.sent_ms = max(self.sent_ms, position_ms)

    def silence_sent(self, length_ms: int) -> None:
        """Count silence handed to a task."""
        self.silence_ms += length_ms
        self.metrics.silence_injected_seconds.inc(length_ms / 1000)

    def dropped(self, length_ms: int) -> None:
        """Count audio that is lost to the call."""
        self.metrics.dropped_audio_seconds.inc(length_ms / 1000)

    def begin_task(self, model: Model, position_ms: int) -> None:
        """Begin to count another task, at a position of the client's audio."""
        if model is not self._model:
            self._flush()
            self._use(model)
        self._position_ms = position_ms
        self._task_start_ms = self._handed_ms

    @property
    def _handed_ms(self) -> int:
        return self.sent_ms + self.replayed_ms + self.silence_ms

    def end_task(self, billed_ms: int | None) -> None:
        """Count the cost of a task.

        Args:
            billed_ms: The audio that the vendor bills; None where it does not say: then all audio that was sent.
        """
        if not self._model.is_remote:
            return
        if billed_ms is not None:
            self._billed_ms = (self._billed_ms or 0) + billed_ms
        sent_ms = self._handed_ms - self._task_start_ms
        seconds = (sent_ms if billed_ms is None else billed_ms) / 1000
        self.metrics.billed_audio_seconds.inc(seconds)
        if self._model.price_per_second_cny is not None:
            cost_cny = seconds * self._model.price_per_second_cny
            self._cost_cny = (self._cost_cny or 0.0) + cost_cny
            self.metrics.estimated_cost_cny.inc(cost_cny)

    def close(self) -> None:
        """Count what has not been counted yet."""
        self._flush()
        self._received_bytes.inc(self._uncounted_bytes)

    def finished(self) -> CallFinished:
        """Return the summary of a complete call; observe its delays."""
        delays, metrics = self.delays, self.metrics
        exemplar = call_trace.get().exemplar
        last_package = delays.last_package_seconds(time.monotonic())
        _observe(metrics.first_package_delay_client.observe, delays.first_package_seconds, exemplar)
        _observe(metrics.first_package_delay_upstream.observe, delays.upstream_first_package_seconds, exemplar)
        _observe(metrics.last_package_delay_client.observe, last_package, exemplar)
        _observe(metrics.last_package_delay_upstream.observe, delays.upstream_last_package_seconds, exemplar)
        if (factor := delays.realtime_factor(self.sent_ms / 1000)) is not None:
            metrics.realtime_factor.observe(factor)
        return CallFinished(
            first_package_delay_seconds=delays.first_package_seconds,
            last_package_delay_seconds=last_package,
            upstream_first_package_delay_seconds=delays.upstream_first_package_seconds,
            upstream_last_package_delay_seconds=delays.upstream_last_package_seconds,
            audio_ms=self.received_ms,
            silence_ms=self.silence_ms,
            replayed_ms=self.replayed_ms,
            reconnects=self.reconnects,
            billed_ms=self._billed_ms,
            estimated_cost_cny=self._cost_cny,
            final_results=self.final_results,
            upstream_request_ids=tuple(self.request_ids),
        )

    def _use(self, model: Model) -> None:
        self._model = model
        self._task_start_ms = self._handed_ms
        self.metrics = self._all_metrics.of_model(model.name)
        self._received = _Sum(self.metrics.audio_received_seconds)
        self._sent = _Sum(self.metrics.upstream_audio_sent_seconds)

    def _flush(self) -> None:
        self._received.flush()
        self._sent.flush()


def _observe(
    observer: Callable[[float, dict[str, str] | None], None], seconds: float | None, exemplar: dict[str, str] | None
) -> None:
    """Observe a delay, unless it is None, with an exemplar that leads to the call's trace."""
    if seconds is not None:
        observer(seconds, exemplar)
