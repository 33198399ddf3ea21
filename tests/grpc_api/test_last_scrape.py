"""How long the metrics outlive the calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from asrgateway_server.admission.drain import Drain
from asrgateway_server.errors import Draining
from asrgateway_server.grpc_api.last_scrape import LastScrape
from asrgateway_server.metrics import Metrics

LONG_SECONDS = 600.0


class Silent:
    """A client that says nothing more."""

    def __init__(self) -> None:
        self.is_cut = asyncio.Event()

    def stop_reading(self) -> bool:
        self.is_cut.set()
        return True


async def drained(*, cut_calls: int) -> Drain:
    """A drain that is over."""
    drain = Drain(0.0, 60.0, 0.0, Metrics(CollectorRegistry()))
    calls = [asyncio.create_task(_call(drain)) for _ in range(cut_calls)]
    await asyncio.sleep(0)
    drain.begin()
    await drain.finish()
    await asyncio.gather(*calls)
    return drain


async def _call(drain: Drain) -> None:
    client = Silent()
    with pytest.raises(Draining):
        async with drain.open_call(client):
            await client.is_cut.wait()


@asynccontextmanager
async def waiting(last_scrape: LastScrape) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(last_scrape.wait())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    try:
        yield task
    finally:
        task.cancel()


async def test_after_cuts_the_gateway_waits_for_a_scrape() -> None:
    last_scrape = LastScrape(LONG_SECONDS, await drained(cut_calls=2))
    last_scrape.expect()
    async with waiting(last_scrape) as task:
        assert not task.done()


async def test_the_wait_for_a_scrape_has_a_limit() -> None:
    last_scrape = LastScrape(0.01, await drained(cut_calls=1))
    last_scrape.expect()
    async with asyncio.timeout(60):
        await last_scrape.wait()


async def test_without_cuts_there_is_no_wait() -> None:
    last_scrape = LastScrape(LONG_SECONDS, await drained(cut_calls=0))
    last_scrape.expect()
    async with waiting(last_scrape) as task:
        assert task.done()


async def test_a_gateway_stopped_by_hand_does_not_wait() -> None:
    async with waiting(LastScrape(LONG_SECONDS, await drained(cut_calls=1))) as task:
        assert task.done()


async def test_a_second_signal_ends_the_wait() -> None:
    last_scrape = LastScrape(LONG_SECONDS, await drained(cut_calls=1))
    last_scrape.expect()
    async with waiting(last_scrape) as task:
        last_scrape.skip()
        async with asyncio.timeout(60):
            await task
