"""The outcome of a load test, as a table and as JSON."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Final

from rich.table import Table

from asrgateway.load_statistics import LoadStatistics, quantiles
from asrgateway.terminal import plain_lines

_ROWS: Final[Mapping[str, str]] = {
    "first_package_seconds": "first package",
    "lag_seconds": "result lag",
    "send_delay_seconds": "sent later than due",
}


def load_json(statistics: LoadStatistics, streams: int) -> str:
    """Return one line of JSON; times are in seconds, and null where nothing was measured."""
    return json.dumps(
        {
            "streams": streams,
            "calls": statistics.calls,
            "failed": statistics.failed,
            "statuses": dict(sorted(statistics.statuses.items())),
            "audio_seconds": round(statistics.audio_seconds, 3),
            "lost_seconds": round(statistics.lost_seconds, 3),
            "finals": len(statistics.lag_seconds),
            **{name: asdict(quantiles(getattr(statistics, name))) for name in _ROWS},
        }
    )


def load_table(statistics: LoadStatistics, streams: int) -> Iterator[str]:
    """Yield the lines of the table and what it cannot hold."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("")
    for heading in ("p50", "p99", "max"):
        table.add_column(heading, justify="right")
    for name, label in _ROWS.items():
        found = quantiles(getattr(statistics, name))
        table.add_row(label, *map(_ms, (found.p50, found.p99, found.max)))
    yield from plain_lines(table)
    yield (
        f"{streams} streams, {statistics.calls} calls, {statistics.audio_seconds:.0f} s of audio, "
        f"{len(statistics.lag_seconds)} final results"
    )
    yield f"lost: {statistics.lost_seconds:.1f} s of audio"
    errors = {status: count for status, count in statistics.statuses.items() if status != "OK"}
    yield f"errors: {', '.join(f'{count} x {status}' for status, count in sorted(errors.items())) or 'none'}"


def _ms(seconds: float | None) -> str:
    return "none" if seconds is None else f"{seconds * 1000:.0f} ms"
