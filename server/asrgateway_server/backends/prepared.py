"""prepared(backend): a Backend for whose calls something is made ready before their connection opens."""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from asrgateway_server.backends.base import Backend, Emit, ItemSource
from asrgateway_server.config import RecognitionConfig
from asrgateway_server.events import OptionWarning


class Preparation(Protocol):
    """Makes ready what a call needs."""

    def prepared(
        self, config: RecognitionConfig
    ) -> AbstractAsyncContextManager[tuple[RecognitionConfig, tuple[OptionWarning, ...]]]:
        """Return the config as the adapter takes it, and what the caller must know."""


class PreparedBackend:
    """A backend whose every connection is prepared; see ``Backend``."""

    def __init__(self, backend: Backend, preparation: Preparation) -> None:
        self._backend = backend
        self._preparation = preparation

    async def converse(self, config: RecognitionConfig, next_item: ItemSource, emit: Emit) -> None:
        """Prepare a connection and run it; see ``Backend``."""
        async with self._preparation.prepared(config) as (prepared, warnings):
            for notice in warnings:
                await emit(notice, time.monotonic())
            await self._backend.converse(prepared, next_item, emit)
