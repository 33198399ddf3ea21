from __future__ import annotations

from dataclasses import replace

from asrgateway_server.call.responses import CallFinished
from asrgateway_server.call.summaries import summed

ONE = CallFinished(
    first_package_delay_seconds=0.5,
    last_package_delay_seconds=0.1,
    upstream_first_package_delay_seconds=0.4,
    upstream_last_package_delay_seconds=0.1,
    audio_ms=1_000,
    silence_ms=100,
    replayed_ms=10,
    reconnects=1,
    billed_ms=1_100,
    estimated_cost_cny=0.25,
    final_results=2,
    upstream_request_ids=("a",),
)
OTHER = replace(ONE, first_package_delay_seconds=0.3, last_package_delay_seconds=0.2, upstream_request_ids=("b",))


def test_amounts_are_sums() -> None:
    both = summed((ONE, OTHER))
    assert (both.audio_ms, both.silence_ms, both.replayed_ms, both.reconnects) == (2_000, 200, 20, 2)
    assert (both.billed_ms, both.estimated_cost_cny, both.final_results) == (2_200, 0.5, 4)
    assert both.upstream_request_ids == ("a", "b")
    assert both.channels == (ONE, OTHER)


def test_the_first_delay_is_the_first_channels_and_the_last_the_last_ones() -> None:
    both = summed((ONE, OTHER))
    assert (both.first_package_delay_seconds, both.last_package_delay_seconds) == (0.3, 0.2)


def test_what_no_channel_knows_stays_unknown() -> None:
    silent = replace(ONE, first_package_delay_seconds=None, billed_ms=None, estimated_cost_cny=None)
    assert summed((silent, silent)).first_package_delay_seconds is None
    assert summed((silent, silent)).billed_ms is None
    assert summed((silent, ONE)).billed_ms == 1_100
