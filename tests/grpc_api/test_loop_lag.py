from __future__ import annotations

import asyncio
import time

from asrgateway_server.grpc_api.loop_lag import observed_loop
from gateways import eventually


async def test_an_idle_loop_is_hardly_late() -> None:
    lags: list[float] = []
    async with observed_loop(lags.append, 0.001):
        await eventually(lambda: len(lags) >= 5)
    assert min(lags) < 0.05


async def test_a_busy_loop_is_measured_as_late() -> None:
    lags: list[float] = []
    async with observed_loop(lags.append, 0.001):
        await eventually(lambda: len(lags) >= 1)
        time.sleep(0.05)  # noqa: ASYNC251 just what must not be done
        await eventually(lambda: max(lags) > 0.04)


async def test_the_measurement_stops_with_its_context() -> None:
    lags: list[float] = []
    async with observed_loop(lags.append, 0.001):
        pass
    assert asyncio.all_tasks() == {asyncio.current_task()}
