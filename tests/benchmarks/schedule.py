"""What one run of the bench measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Stream counts and durations of one run.

    Attributes:
        streams: Stream counts at which bare client, floor and gateway stand side by side.
        variant_streams: Stream count of the gateway with TLS, with Qwen3-ASR and by Riva's service; one of ``streams``.
        sdk_streams: Stream counts of the official SDK.
        gateway_sdk_streams: Stream count of the gateway on the official SDK.
        window_seconds: How long each is measured.
        short_window_seconds: The same for the SDK and for the search.
        settle_seconds: From a run's last opening to its window.
        search_step: By how many streams the search goes up from the last of ``streams``; 0 = no search.
        search_limit: Where it ends at the latest.
        openings: How often each way of opening a call is timed.
        round_trip_seconds: How far away the vendor seems to be then.
    """

    streams: tuple[int, ...]
    variant_streams: int
    sdk_streams: tuple[int, ...]
    gateway_sdk_streams: int
    window_seconds: float
    short_window_seconds: float
    settle_seconds: float
    search_step: int
    search_limit: int
    openings: int
    round_trip_seconds: float = 0.1


FULL: Final = Schedule(
    streams=(100, 300, 500),
    variant_streams=300,
    sdk_streams=(1, 100),
    gateway_sdk_streams=50,
    window_seconds=20.0,
    short_window_seconds=10.0,
    settle_seconds=3.0,
    search_step=100,
    search_limit=1000,
    openings=7,
)
#: For work on the bench itself: every row, but no figure worth quoting.
QUICK: Final = Schedule(
    streams=(20,),
    variant_streams=20,
    sdk_streams=(1,),
    gateway_sdk_streams=5,
    window_seconds=1.0,
    short_window_seconds=1.0,
    settle_seconds=0.3,
    search_step=0,
    search_limit=0,
    openings=1,
)
