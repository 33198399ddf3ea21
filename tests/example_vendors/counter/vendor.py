"""The counter as a vendor of models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from asrgateway_server.backends.base import Backend
from asrgateway_server.backends.vendor import PlainVendor
from asrgateway_server.backends.worker_process import Recognizer, WorkerPool
from asrgateway_server.metrics import Metrics
from asrgateway_server.models import Catalogue, Model
from example_vendors.counter.adapter import CounterAdapter
from example_vendors.counter.settings import CounterSettings

COUNTER = Model(
    name="counter",
    backend="counter",
    language_codes=("en",),
    sample_rates_hertz=(16_000,),
    options=frozenset({"keep_alive", "adaptation.context", "update.adaptation.context"}),
)


class Counter(PlainVendor[CounterSettings]):
    """See ``Vendor``."""

    settings = CounterSettings
    catalogue: Sequence[Model] = (COUNTER,)
    backends: Mapping[str, Model] = {"counter": replace(COUNTER, options=frozenset())}
    default_model = "counter"

    def served(self, settings: CounterSettings) -> Sequence[Model]:
        """See ``Vendor``."""
        return (COUNTER,) if settings.counter_workers else ()

    @asynccontextmanager
    async def open(
        self, settings: CounterSettings, _served: Catalogue, metrics: Metrics
    ) -> AsyncIterator[Mapping[str, Backend]]:
        """See ``Vendor``."""
        recognizer = Recognizer(
            adapter=CounterAdapter, arguments=(settings.counter_unit,), model="counter", setting="counter_workers"
        )
        async with WorkerPool(
            recognizer,
            size=settings.counter_workers,
            ready_timeout_seconds=settings.upstream_ready_timeout_seconds,
            stall_timeout_seconds=settings.upstream_stall_timeout_seconds,
            metrics=metrics,
        ) as pool:
            yield {"counter": pool}
