"""A backend whose tasks are prepared: what is prepared holds for as long as it is needed, and no longer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from asrgateway_server.backends.base import Commit, Completed, Emit, Failed, Lost, TaskEnd, TaskInput
from asrgateway_server.backends.prepared import PreparedBackend
from asrgateway_server.config import Adaptation, AudioFormat, RecognitionConfig, Update
from asrgateway_server.errors import GatewayError, UpstreamLost, UpstreamRefused
from asrgateway_server.events import BackendEvent, OptionWarning, WarningCode
from asrgateway_server.vendors.pocketsphinx.catalogue import EMBEDDED

CONFIG = RecognitionConfig(model=EMBEDDED, audio=AudioFormat(sample_rate_hertz=16_000))
OTHER = replace(CONFIG, adaptation=Adaptation(context="ships"))
WARNING = OptionWarning(code=WarningCode.OPTION_IGNORED, field="a", message="no")


@dataclass
class Notes:
    """What happened, in order; prepares, and runs tasks.

    Attributes:
        end: How tasks end.
        error: Raised in place of a preparation.
    """

    end: TaskEnd = Completed(read_at=0.0)  # noqa: RUF009 it never changes
    error: GatewayError | None = None
    ends_at_commit: bool = True
    lines: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def open(self, _config: RecognitionConfig) -> AsyncIterator[Notes]:
        yield self
        self.lines.append("close")

    async def run(self, config: RecognitionConfig, _task_input: TaskInput, _emit: Emit) -> TaskEnd:
        self.lines.append(f"run with {config.adaptation.vocabulary_id}")
        return self.end

    async def rest(self) -> None:
        self.lines.append("rest")

    @asynccontextmanager
    async def prepared(
        self, config: RecognitionConfig
    ) -> AsyncIterator[tuple[RecognitionConfig, tuple[OptionWarning, ...]]]:
        if self.error:
            raise self.error
        table = f"table of {config.adaptation.context or 'nothing'}"
        self.lines.append(f"prepare {table}")
        try:
            yield replace(config, adaptation=Adaptation(vocabulary_id=table)), (WARNING,)
        except UpstreamRefused:
            self.lines.append("doubt it")
            raise
        finally:
            self.lines.append(f"release {table}")


class Nothing:
    async def next(self) -> bytes | Commit | Update | None:
        return None


async def run(notes: Notes, *configs: RecognitionConfig) -> tuple[TaskEnd, list[BackendEvent]]:
    """Run a task for each config; return how the last one ended, and all events."""
    events: list[BackendEvent] = []

    async def emit(event: BackendEvent, _: float) -> None:
        events.append(event)

    async with PreparedBackend(notes, notes).open(configs[0]) as upstream:
        assert upstream.ends_at_commit
        for config in configs:
            end = await upstream.run(config, Nothing(), emit)
    return end, events


async def test_a_task_runs_with_what_was_prepared_and_its_warnings() -> None:
    notes = Notes()
    end, events = await run(notes, CONFIG)
    assert (end, events) == (notes.end, [WARNING])
    assert notes.lines == [
        "prepare table of nothing",
        "run with table of nothing",
        "release table of nothing",
        "close",
    ]


async def test_tasks_with_the_same_config_are_prepared_once() -> None:
    notes = Notes()
    await run(notes, CONFIG, CONFIG, CONFIG)
    assert [line for line in notes.lines if not line.startswith("run")] == [
        "prepare table of nothing",
        "release table of nothing",
        "close",
    ]


async def test_a_task_with_another_config_is_prepared_anew() -> None:
    notes = Notes()
    await run(notes, CONFIG, OTHER)
    assert notes.lines == [
        "prepare table of nothing",
        "run with table of nothing",
        "release table of nothing",
        "prepare table of ships",
        "run with table of ships",
        "release table of ships",
        "close",
    ]


async def test_a_refused_task_casts_doubt_on_what_was_prepared() -> None:
    notes = Notes(end=Failed(error=UpstreamRefused("no such table")))
    await run(notes, CONFIG)
    assert "doubt it" in notes.lines


@pytest.mark.parametrize(
    ("error", "end"), [(UpstreamRefused("no"), Failed), (UpstreamLost("not now"), Lost)], ids=["refused", "lost"]
)
async def test_what_cannot_be_prepared_ends_the_task(error: GatewayError, end: type[TaskEnd]) -> None:
    notes = Notes(error=error)
    found, _ = await run(notes, CONFIG)
    assert type(found) is end
    assert notes.lines == ["close"]


async def test_a_call_that_rests_keeps_what_was_prepared() -> None:
    notes = Notes()

    async def emit(_event: BackendEvent, _: float) -> None:
        """Take it."""

    async with PreparedBackend(notes, notes).open(CONFIG) as upstream:
        await upstream.run(CONFIG, Nothing(), emit)
        await upstream.rest()
        await upstream.run(CONFIG, Nothing(), emit)
    assert notes.lines.count("prepare table of nothing") == 1
    assert "rest" in notes.lines
