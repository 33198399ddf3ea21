"""A gateway, and the emulator that it takes for the vendor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from asrgateway_server.emulator import Emulator, EmulatorOptions, running_emulator
from asrgateway_server.rpc.lifecycle import Gateway
from calls import Stub
from gateways import open_gateway


@asynccontextmanager
async def vendor_and_gateway(
    *, emulator: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[tuple[Emulator, Gateway, Stub]]:
    """An emulator that reads marked audio unless told otherwise, and a gateway that sends a backlog at once."""
    options = EmulatorOptions(**{"recognizer": "markers"} | (emulator or {}))
    values = {"dashscope_api_key": "sk-test", "embedded_workers": 0, "backlog_speed": 1000.0} | settings
    async with running_emulator(options) as vendor, open_gateway(dashscope_url=vendor.url, **values) as (gateway, stub):
        yield vendor, gateway, stub
