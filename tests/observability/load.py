"""A gateway that was under load, and the Prometheus that watched it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientSession
from grpc.aio import Metadata

from asrgateway.v1 import recognition_pb2 as pb
from calls import RECORDINGS, Stub, audio, config, in_messages, pcm, recognize
from dashscope_emulator import Fault
from dashscope_emulator.faults import Fail, Phase, Throttle
from dashscope_emulator.recognizers.markers import marker_audio, silent_audio
from emulated_vendor import vendor_and_gateway
from observability.operator_scrape import scrape_configs
from observability.prometheus import Prometheus, running_prometheus

V2 = "paraformer-realtime-v2"
MODELS = (V2, "paraformer-realtime-8k-v2", "fun-asr-realtime")
#: Every call is part of this trace, as its caller says.
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACED = Metadata(("traceparent", f"00-{TRACE_ID}-00f067aa0ba902b7-01"))
SPEECH = marker_audio(0, 150) + silent_audio(100)
#: Wrong from the start, refused by the vendor, and cut short by it.
FAILING = ("no such model", "paraformer-realtime-v1", "fun-asr-realtime-2025-09-15")
FAULTS = (
    Fault(action=Throttle(), phase=Phase.START, model=FAILING[1]),
    Fault(action=Fail(code="InternalError"), audio_ms=500, model=FAILING[2]),
)
SETTINGS: Mapping[str, Any] = {
    "embedded_workers": 1,
    "max_streams": 50,
    "quiet_after_seconds": 0.1,
    "max_task_starts_per_second": 100,
    "warm_connections": 1,
    "aliases": {"either": (V2, "fun-asr-realtime")},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What is known about a gateway that has stopped.

    Attributes:
        prometheus: It still answers.
        at: When the gateway was well, and had answered calls of every kind.
        exposition: Its metrics at that time, as text.
    """

    prometheus: Prometheus
    at: float
    exposition: str

    @property
    def exported(self) -> set[str]:
        """The names of all series."""
        return set(re.findall(r"^(\w+)[ {]", self.exposition, re.MULTILINE))

    @property
    def families(self) -> set[str]:
        """The names of all metrics, histograms as a whole."""
        return set(re.findall(r"^# TYPE (\w+)", self.exposition, re.MULTILINE))


async def observe(stack: AsyncExitStack, folder: Path) -> Observed:
    """Put a gateway under load, and stop it; Prometheus answers until ``stack`` is closed."""
    async with vendor_and_gateway(emulator={"faults": FAULTS}, **SETTINGS) as (_, gateway, stub):
        prometheus = await stack.enter_async_context(
            running_prometheus(folder, scrape_configs(str(gateway.http_address)))
        )
        # Twice, because the first call of a model makes the series that the second is a step of.
        for _ in range(2):
            await call_every_model(stub)
            await prometheus.scraped(3)
        async with ClientSession() as session, session.get(f"http://{gateway.http_address}/metrics") as answer:
            exposition = await answer.text()
        at = time.time()
        await prometheus.scraped(2)  # One that began before may end after the gateway does.
        return Observed(prometheus=prometheus, at=at, exposition=exposition)


async def call_every_model(stub: Stub) -> None:
    """Make a call of every kind, all at once."""
    mother = pcm(RECORDINGS / "mother.wav")
    await asyncio.gather(
        *(recognize(stub, _requests(model, SPEECH), metadata=TRACED) for model in (*MODELS, *FAILING)),
        recognize(stub, _requests("embedded", mother)),
        _pause(stub),
    )


async def _pause(stub: Stub) -> None:
    """Say nothing for long enough to be replaced by silence."""

    async def requests() -> AsyncIterator[pb.RecognizeRequest]:
        yield config(model=V2)
        yield audio(marker_audio(0, 30))
        await asyncio.sleep(0.6)
        yield audio(marker_audio(30, 30))

    await recognize(stub, requests())


def _requests(model: str, data: bytes) -> list[pb.RecognizeRequest]:
    return [config(model=model, interim_results=True), *in_messages(data)]
