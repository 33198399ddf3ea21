"""A call begins at another model too if its own is slow; the first that is ready recognizes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from asrgateway_server.backends.base import Commit, Emit, Failed, TaskEnd, TaskInput, Upstream, end_of
from asrgateway_server.backends.route import Candidate
from asrgateway_server.call.model_choice import ModelChoice
from asrgateway_server.call.policy import is_models_fault
from asrgateway_server.config import RecognitionConfig, Update
from asrgateway_server.errors import GatewayError, first_error
from asrgateway_server.events import BackendEvent, OptionWarning

#: Called when the other model is ready first, with the upstream that it has become, and how the first one's task has
#: ended (None: it has not); returns what its task recognizes, and what takes its events.
TakeOver = Callable[[Upstream, TaskEnd | None], tuple[TaskInput, Emit]]


class HedgedStart:
    """What recognizes a call, whose first task may begin at two models; see ``Upstream``.

    Both are started alike, but neither is given any audio until one is ready. The connection of the other is then
    left, so the vendor has nothing to bill there.

    Args:
        models: Has the model of the call.
        config: The call's config for it.
        other: The model that may be faster.
        after_seconds: How long the call's own model has before the other one is started.
        take_over: See there.
    """

    def __init__(
        self,
        models: ModelChoice,
        config: RecognitionConfig,
        other: Candidate,
        after_seconds: float,
        take_over: TakeOver,
    ) -> None:
        self._models = models
        self._config = config
        self._other: Candidate | None = other
        self._after_seconds = after_seconds
        self._take_over = take_over
        self._contexts = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Open the call's own model; raise a GatewayError if that fails."""
        self._upstream = await self._contexts.enter_async_context(self._models.candidate.backend.open(self._config))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the one that recognizes."""
        await self._contexts.__aexit__(kind, error, trace)

    @property
    def ends_at_commit(self) -> bool:
        """See ``Upstream``."""
        return self._upstream.ends_at_commit

    async def rest(self) -> None:
        """See ``Upstream``."""
        await self._upstream.rest()

    async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
        """Run one task; see ``Upstream``."""
        other, self._other = self._other, None
        if other is None:
            return await self._upstream.run(config, task_input, emit)
        race = _Race()
        try:
            async with asyncio.TaskGroup() as tasks:
                race.first = tasks.create_task(self._run_first(config, _Entry(race, lambda: (task_input, emit))))
                race.second = tasks.create_task(self._run_second(other, race))
        except BaseExceptionGroup as group:
            raise first_error(group) from group
        return race.end

    async def _run_first(self, config: RecognitionConfig, entry: _Entry) -> TaskEnd:
        contexts = self._contexts
        try:
            end = await self._upstream.run(config, entry, entry.emit)
            if isinstance(end, Failed) and not is_models_fault(end):
                entry.end_race()
            return end
        finally:
            if entry.has_lost:
                await contexts.aclose()

    async def _run_second(self, other: Candidate, race: _Race) -> TaskEnd | None:
        """Run a task of the other model if the first one is slow; return its end, None if it never began."""
        await asyncio.wait((race.first,), timeout=self._after_seconds)
        if race.first.done() or not self._models.hedge(other):
            return None
        entry = race.second_entry = _Entry(race, lambda: self._second_is_ready(upstream, contexts, race))
        end: TaskEnd | None = None
        try:
            async with AsyncExitStack() as contexts:
                config = self._models.config_of(other)
                upstream = await contexts.enter_async_context(other.backend.open(config))
                end = await upstream.run(config, entry, entry.emit)
        except GatewayError as error:
            if entry.has_won:
                raise
            end = end_of(error)
        finally:
            self._models.ended(end, other)
        return end

    def _second_is_ready(self, upstream: Upstream, contexts: AsyncExitStack, race: _Race) -> tuple[TaskInput, Emit]:
        kept = contexts.pop_all()
        first_end = None
        if race.first.done():
            first_end = race.first.result()
            kept.push_async_exit(self._contexts)
        self._upstream, self._contexts = upstream, kept
        return self._take_over(self, first_end)


class _Race:
    """Two tasks, of which one shall go on.

    Attributes:
        first: Runs the task of the call's own model.
        second: Runs that of the other model, once it is due.
        winner: The entry that was ready first; None until then.
        second_entry: That of the other model; None until it is due.
    """

    def __init__(self) -> None:
        self.first: asyncio.Task[TaskEnd]
        self.second: asyncio.Task[TaskEnd | None]
        self.winner: _Entry | None = None
        self.second_entry: _Entry | None = None

    @property
    def end(self) -> TaskEnd:
        """How the one ended that went on; if none did, how the first one ended."""
        second_end = self.second.result() if self.winner and self.winner is self.second_entry else None
        return self.first.result() if second_end is None else second_end

    def win(self, entry: _Entry) -> None:
        """Let one go on, and leave the other."""
        self.winner = entry
        (self.first if entry is self.second_entry else self.second).cancel()


class _Entry:
    """The input and the events of one of the two tasks, none of which pass before it has won.

    Args:
        race: The race.
        begin: Called when it wins; returns its input, and what takes its events.
    """

    def __init__(self, race: _Race, begin: Callable[[], tuple[TaskInput, Emit]]) -> None:
        self._race = race
        self._begin = begin
        self._warnings: list[tuple[OptionWarning, float]] = []

    @property
    def has_won(self) -> bool:
        """Whether this one goes on."""
        return self._race.winner is self

    @property
    def has_lost(self) -> bool:
        """Whether the other one goes on."""
        return self._race.winner is not None and not self.has_won

    async def next(self) -> bytes | Commit | Update | None:
        """See ``TaskInput``."""
        await self._win()
        return await self._task_input.next()

    async def emit(self, event: BackendEvent, read_at: float) -> None:
        """See ``Emit``; a warning says nothing of whether the model is ready, and waits until it is."""
        if isinstance(event, OptionWarning) and not self.has_won:
            self._warnings.append((event, read_at))
            return
        await self._win()
        while self._warnings:
            await self._emit(*self._warnings.pop(0))
        await self._emit(event, read_at)

    def end_race(self) -> None:
        """Leave the other one, because the call ends here, unless that has won."""
        if self._race.winner is None:
            self._race.win(self)

    async def _win(self) -> None:
        if self._race.winner is None:
            self._race.win(self)
            self._task_input, self._emit = self._begin()
        elif self.has_lost:
            await asyncio.Event().wait()  # Its task is about to be cancelled.
