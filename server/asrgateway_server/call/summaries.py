"""The summary of a call whose channels are recognized each by itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from asrgateway_server.call.responses import CallFinished

Number = TypeVar("Number", int, float)


def summed(channels: tuple[CallFinished, ...]) -> CallFinished:
    """Return the sum over the channels; of the delays the first's first and the last's last."""
    return CallFinished(
        first_package_delay_seconds=min(_known(one.first_package_delay_seconds for one in channels), default=None),
        last_package_delay_seconds=max(_known(one.last_package_delay_seconds for one in channels), default=None),
        upstream_first_package_delay_seconds=min(
            _known(one.upstream_first_package_delay_seconds for one in channels), default=None
        ),
        upstream_last_package_delay_seconds=max(
            _known(one.upstream_last_package_delay_seconds for one in channels), default=None
        ),
        audio_ms=sum(one.audio_ms for one in channels),
        silence_ms=sum(one.silence_ms for one in channels),
        replayed_ms=sum(one.replayed_ms for one in channels),
        reconnects=sum(one.reconnects for one in channels),
        billed_ms=_sum(one.billed_ms for one in channels),
        estimated_cost_cny=_sum(one.estimated_cost_cny for one in channels),
        final_results=sum(one.final_results for one in channels),
        upstream_request_ids=tuple(name for one in channels for name in one.upstream_request_ids),
        channels=channels,
    )


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _sum(values: Iterable[Number | None]) -> Number | None:
    """Return the sum of what is known; None if nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
