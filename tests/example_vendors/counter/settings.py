"""What the operator chooses of the counter."""

from __future__ import annotations

from pydantic import Field

from asrgateway_server.settings import Settings


class CounterSettings(Settings):
    """The vendor's settings, beside the gateway's own."""

    counter_workers: int = Field(default=1, ge=0)
    """Worker processes: as many calls may speak to it at once."""

    counter_unit: str = "ms"
    """What is counted: `ms` or `bytes`."""
