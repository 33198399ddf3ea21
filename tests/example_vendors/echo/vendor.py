"""The echo as a vendor of models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from asrgateway_server.backends.base import Backend
from asrgateway_server.backends.start_limiter import StartLimiter
from asrgateway_server.backends.vendor import PlainVendor
from asrgateway_server.backends.websocket import WebSocketBackend
from asrgateway_server.metrics import Metrics
from asrgateway_server.models import Catalogue, Model
from example_vendors.echo.adapter import EchoAdapter
from example_vendors.echo.remote import EchoRemote
from example_vendors.echo.settings import EchoSettings

ECHO = Model(
    name="echo",
    backend="echo",
    endpoint="echo",
    language_codes=("en",),
    sample_rates_hertz=(8_000, 16_000),
    options=frozenset({"keep_alive", "adaptation.context", "update.adaptation.context"}),
)


class Echo(PlainVendor[EchoSettings]):
    """See ``Vendor``."""

    settings = EchoSettings
    catalogue: Sequence[Model] = (ECHO,)
    backends: Mapping[str, Model] = {"echo": replace(ECHO, options=frozenset())}
    default_model = "echo"

    def served(self, settings: EchoSettings) -> Sequence[Model]:  # noqa: ARG002 under all settings
        """See ``Vendor``."""
        return (ECHO,)

    @asynccontextmanager
    async def open(
        self, settings: EchoSettings, _served: Catalogue, metrics: Metrics
    ) -> AsyncIterator[Mapping[str, Backend]]:
        """See ``Vendor``."""
        limiter = StartLimiter(settings, metrics)
        async with WebSocketBackend(EchoAdapter, EchoRemote(settings), settings, metrics, limiter) as backend:
            yield {"echo": backend}
