"""A backend for whose tasks something is made ready before they begin, such as hot words that have to be compiled."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Protocol

from asrgateway_server.backends.base import Backend, Emit, Failed, TaskEnd, TaskInput, Upstream, end_of
from asrgateway_server.config import RecognitionConfig
from asrgateway_server.errors import GatewayError
from asrgateway_server.events import OptionWarning


class Preparation(Protocol):
    """Makes ready what a task needs."""

    def prepared(
        self, config: RecognitionConfig
    ) -> AbstractAsyncContextManager[tuple[RecognitionConfig, tuple[OptionWarning, ...]]]:
        """Return the config as the adapter takes it, and what the client must know."""


class PreparedBackend:
    """A backend whose tasks are prepared; see ``Backend``."""

    def __init__(self, backend: Backend, preparation: Preparation) -> None:
        self._backend = backend
        self._preparation = preparation

    @asynccontextmanager
    async def open(self, config: RecognitionConfig) -> AsyncIterator[Upstream]:
        """Return what recognizes one call; see ``Backend``."""
        async with self._backend.open(config) as upstream:
            prepared = _PreparedUpstream(upstream, self._preparation)
            try:
                yield prepared
            finally:
                await prepared.release()


class _PreparedUpstream:
    """What was prepared holds for all tasks with the same adaptation; see ``Upstream``."""

    def __init__(self, upstream: Upstream, preparation: Preparation) -> None:
        self._upstream = upstream
        self._preparation = preparation
        self._lease = AsyncExitStack()
        self._config: RecognitionConfig | None = None
        self._prepared: RecognitionConfig | None = None

    @property
    def ends_at_commit(self) -> bool:
        return self._upstream.ends_at_commit

    async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
        try:
            prepared = await self._prepare(config, emit)
        except GatewayError as error:
            return end_of(error)
        end = await self._upstream.run(prepared, task_input, emit)
        if isinstance(end, Failed):
            await self.release(end.error)
        return end

    async def rest(self) -> None:
        await self._upstream.rest()

    async def release(self, error: GatewayError | None = None) -> None:
        """Give up what was prepared; an error of the task may be its fault."""
        lease, self._lease = self._lease, AsyncExitStack()
        self._prepared = None
        with contextlib.suppress(GatewayError):
            await lease.__aexit__(type(error) if error else None, error, None)

    async def _prepare(self, config: RecognitionConfig, emit: Emit) -> RecognitionConfig:
        if self._prepared is not None and self._config is not None and _is_prepared_alike(config, self._config):
            return replace(self._prepared, needs_words=config.needs_words)
        await self.release()
        prepared, warnings = await self._lease.enter_async_context(self._preparation.prepared(config))
        self._config, self._prepared = config, prepared
        for warning in warnings:
            await emit(warning, time.monotonic())
        return prepared


def _is_prepared_alike(one: RecognitionConfig, other: RecognitionConfig) -> bool:
    return one.adaptation is other.adaptation and one.model is other.model
