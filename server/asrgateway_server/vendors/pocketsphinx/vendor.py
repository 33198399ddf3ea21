"""The embedded recogniser as a vendor of models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import chain
from typing import Final

from asrgateway_server.backends.base import Backend
from asrgateway_server.backends.vendor import PlainVendor
from asrgateway_server.backends.worker_process import Recognizer, WorkerPool
from asrgateway_server.metrics import Metrics
from asrgateway_server.models import DEFAULT_ALIAS, Catalogue, Model
from asrgateway_server.vendors.pocketsphinx.adapter import PocketSphinxAdapter
from asrgateway_server.vendors.pocketsphinx.catalogue import EMBEDDED
from asrgateway_server.vendors.pocketsphinx.settings import PocketSphinxSettings

_FILES_PER_WORKER: Final = 4


class PocketSphinx(PlainVendor[PocketSphinxSettings]):
    """See ``Vendor``."""

    settings = PocketSphinxSettings
    catalogue: Sequence[Model] = (EMBEDDED,)
    backends: Mapping[str, Model] = {EMBEDDED.backend: replace(EMBEDDED, options=frozenset())}
    default_model = EMBEDDED.name
    first_settings: Mapping[str, str] = {
        "ASRGATEWAY_EMBEDDED_WORKERS=4": "calls at a time of the embedded recogniser; one for each core by default"
    }

    def has_account(self, settings: PocketSphinxSettings) -> bool:
        """See ``Vendor``; where its workers run, it needs none."""
        return settings.worker_count > 0

    def served(self, settings: PocketSphinxSettings) -> Sequence[Model]:
        """See ``Vendor``."""
        return (EMBEDDED,) if settings.worker_count else ()

    def open_files(self, settings: PocketSphinxSettings) -> int:
        """See ``Vendor``."""
        return _FILES_PER_WORKER * settings.worker_count

    def at_emulator(self, settings: PocketSphinxSettings, url: str) -> PocketSphinxSettings:  # noqa: ARG002 it runs here
        """See ``Vendor``; workers are loaded at the start where they would be without the emulator."""
        has_default = settings.default_model or DEFAULT_ALIAS in settings.aliases
        named = {settings.default_model, *chain.from_iterable(settings.aliases.values())}
        is_wanted = not has_default or EMBEDDED.name in named
        return settings.model_copy(update={"embedded_workers": settings.worker_count}) if is_wanted else settings

    @asynccontextmanager
    async def open(
        self, settings: PocketSphinxSettings, served: Catalogue, metrics: Metrics
    ) -> AsyncIterator[Mapping[str, Backend]]:
        """See ``Vendor``."""
        recognizer = Recognizer(adapter=PocketSphinxAdapter, model=EMBEDDED.name, setting="embedded_workers")
        async with WorkerPool(
            recognizer,
            size=settings.worker_count,
            loaded=loaded_workers(settings, served),
            ready_timeout_seconds=settings.upstream_ready_timeout_seconds,
            stall_timeout_seconds=settings.upstream_stall_timeout_seconds,
            metrics=metrics,
        ) as pool:
            yield {EMBEDDED.backend: pool}


def loaded_workers(settings: PocketSphinxSettings, served: Catalogue) -> int:
    """Return how many workers are loaded at the start: all, or none where no default, alias or number asks for them."""
    named = (served.models[name] for name in chain.from_iterable(served.aliases.values()))
    is_wanted = settings.embedded_workers is not None or any(row.backend == EMBEDDED.backend for row in named)
    return settings.worker_count if is_wanted else 0
