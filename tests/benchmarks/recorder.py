"""What one measuring process saw: the lag of each result, first packages, and what was lost on the way."""

from __future__ import annotations

import re
import statistics
import time
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from benchmarks.workload import PACKET_SECONDS, expected_results

# The emulator's clock as it sent the result: the first of the ten words, on the clock that all processes share. It is
# found by its width, as the byte before it in a serialised response, the length of the text, may be a digit too.
_STAMP: Final = re.compile(r"(\d{19}) one two")
_STAMP_BYTES: Final = re.compile(rb"(\d{19}) one two")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A measuring process's account.

    Attributes:
        streams: Streams that it ran.
        results: Results that came, repetitions left out.
        lost: Results that were due and did not come.
        repeated: Results that came again.
        extra: Results beyond those that were due: packets came so late that the gateway sent silence in their place.
        failed: Streams that ended as they should not have.
        errors: How; the first few.
        window_audio_seconds: Audio sent within the window, by all streams together.
        impossible: Results that came before they were sent: the row measured something else.
        lag_p50_ms: Median of the time from the emulator's socket to here, over the results of the window.
        lag_p99_ms: Its 99th percentile.
        lag_max_ms: Its maximum.
        first_package_ms: Median, over the streams, of the time from the first sample to the first text. The first
            packet leaves when it is full, so 100 ms of that are the packet's own.
    """

    streams: int
    results: int
    lost: int
    repeated: int
    extra: int
    failed: int
    errors: tuple[str, ...]
    window_audio_seconds: float
    impossible: int
    lag_p50_ms: float | None
    lag_p99_ms: float | None
    lag_max_ms: float | None
    first_package_ms: float | None

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:  # Any: JSON values
        """Read what ``to_json`` wrote."""
        return cls(**{**record, "errors": tuple(record["errors"])})

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return it as a JSON object."""
        return asdict(self)


class StreamRecord:
    """One stream's part of a recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._last_stamp = 0
        self._first_sample: float | None = None
        self.packets = 0
        self.results = 0
        self.repeated = 0

    def speak(self, now: float) -> None:
        """The speaker begins; the first packet leaves when it is full."""
        self._first_sample = now

    def sent(self) -> None:
        """A packet was sent."""
        self.packets += 1
        if self._recorder.is_open:
            self._recorder.window_packets += 1

    def heard(self, message: str | bytes) -> None:
        """A message came; if it is a result, note its lag."""
        now = time.monotonic_ns()
        found = _STAMP.search(message) if isinstance(message, str) else _STAMP_BYTES.search(message)
        if not found:
            return
        stamp = int(found.group(1))
        if stamp <= self._last_stamp:
            self.repeated += 1
            return
        if not self.results and self._first_sample is not None:
            self._recorder.first_packages.append(now / 1e9 - self._first_sample)
        self._last_stamp = stamp
        self.results += 1
        if self._recorder.is_open:
            self._recorder.lags_ns.append(now - stamp)


class Recorder:
    """Gathers what all streams of a process saw.

    Attributes:
        is_open: Lags and audio are being counted.
        lags_ns: Lag of each result of the window.
        first_packages: Seconds, one for each stream.
        window_packets: Packets sent within the window.
        errors: How streams ended that should not have.
    """

    def __init__(self) -> None:
        self.is_open = False
        self.lags_ns = array("q")
        self.first_packages: list[float] = []
        self.window_packets = 0
        self.errors: list[str] = []
        self._streams: list[StreamRecord] = []

    def stream(self) -> StreamRecord:
        """Begin the record of one more stream."""
        record = StreamRecord(self)
        self._streams.append(record)
        return record

    def outcome(self) -> Outcome:
        """Return the account, once all streams have ended."""
        lags = sorted(self.lags_ns)
        missing = [expected_results(stream.packets) - stream.results for stream in self._streams]
        return Outcome(
            streams=len(self._streams),
            results=sum(stream.results for stream in self._streams),
            lost=sum(count for count in missing if count > 0),
            repeated=sum(stream.repeated for stream in self._streams),
            extra=-sum(count for count in missing if count < 0),
            failed=len(self.errors),
            errors=tuple(self.errors[:3]),
            window_audio_seconds=self.window_packets * PACKET_SECONDS,
            impossible=bisect_left(lags, 0),
            lag_p50_ms=_quantile_ms(lags, 0.5),
            lag_p99_ms=_quantile_ms(lags, 0.99),
            lag_max_ms=_quantile_ms(lags, 1.0),
            first_package_ms=statistics.median(self.first_packages) * 1000 if self.first_packages else None,
        )


def _quantile_ms(lags_ns: Sequence[int], share: float) -> float | None:
    if not lags_ns:
        return None
    return lags_ns[min(len(lags_ns) - 1, int(share * len(lags_ns)))] / 1e6
