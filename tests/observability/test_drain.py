"""What a real Prometheus learns of a gateway that stops."""

from __future__ import annotations

import asyncio
from pathlib import Path

from calls import audio, config, outcome_of
from dashscope_emulator.recognizers.markers import marker_audio
from emulated_vendor import vendor_and_gateway
from observability.operator_scrape import JOBS, scrape_configs
from observability.prometheus import running_prometheus
from processes import gateway_process


def firing(alert: str) -> str:
    """How many times the alert fires."""
    return f'count(ALERTS{{alertname="AsrGateway{alert}",alertstate="firing"}}) or vector(0)'


async def test_cut_calls_of_a_process_that_ends_are_seen(tmp_path: Path) -> None:
    settings = {"drain_seconds": "0", "drain_finalize_seconds": "20", "last_scrape_seconds": "600"}
    async with gateway_process(**settings) as (gateway, stub):
        target = (await gateway.address("metrics")).removeprefix("http://").removesuffix("/metrics")
        async with running_prometheus(tmp_path, scrape_configs(target)) as prometheus:
            call = stub.Recognize(timeout=60)
            await call.write(config())
            await call.read()
            await prometheus.scraped(2)
            gateway.process.terminate()
            assert (await outcome_of(call)).reason == "DRAINING"
            await prometheus.until(firing("DrainCutStreams"), len(JOBS))
            gateway.process.terminate()
            assert await gateway.exit_code() == 0


async def test_calls_that_a_stopping_gateway_will_cut_are_seen_before(tmp_path: Path) -> None:
    async with (
        vendor_and_gateway(drain_seconds=100) as (_, gateway, stub),
        running_prometheus(tmp_path, scrape_configs(str(gateway.http_address))) as prometheus,
    ):
        call = stub.Recognize(timeout=60)
        await call.write(config(model="paraformer-realtime-v2"))
        await call.write(audio(marker_audio(0, 30)))
        await call.read()
        await prometheus.scraped(2)
        await prometheus.until(firing("DrainWillCutStreams"), 0)
        gateway.drain.begin()
        await prometheus.until(firing("DrainWillCutStreams"), len(JOBS))
        await call.done_writing()
        await asyncio.gather(outcome_of(call), gateway.drain.finish())
        await prometheus.until(firing("DrainWillCutStreams"), 0)
        await prometheus.until(firing("DrainCutStreams"), 0)
