"""A call begins at two models when its own is slow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import NoReturn

import pytest

from asrgateway_server.backends.base import Commit, Emit, Failed, Lost, TaskEnd, TaskInput
from asrgateway_server.backends.route import Route
from asrgateway_server.call.responses import Started, StreamEvent, StreamEventType
from asrgateway_server.config import RecognitionConfig, Update
from asrgateway_server.errors import UpstreamLost, UpstreamRefused
from asrgateway_server.events import OptionWarning, Ready, WarningCode
from limits import LIMITS
from routes import route_to
from spoken_numbers import CONFIG, Client, Numbers, call, spoken

OTHER = replace(CONFIG.model, name="other", endpoint="elsewhere")
AT_ONCE = replace(LIMITS, max_failures=5, hedge_after_seconds=0.001)
NEVER = replace(AT_ONCE, hedge_after_seconds=30.0)
LOST = Lost(error=UpstreamLost("nobody answers"))


@dataclass(kw_only=True)
class Slow(Numbers):
    """A recognizer whose first task is ready only when it is told, or ends before that.

    Attributes:
        may_be_ready: Set when the first task may be ready.
        early_end: How the first task ends instead.
        begun: Set when a task has begun.
        opened: How many calls have it open.
        models: The models of its tasks.
    """

    may_be_ready: asyncio.Event = field(default_factory=asyncio.Event)
    early_end: TaskEnd | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    opened: int = 0
    models: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def open(self, _config: RecognitionConfig) -> AsyncIterator[Slow]:
        self.opened += 1
        try:
            yield self
        finally:
            self.opened -= 1

    async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
        self.models.append(config.model.name)
        self.begun.set()
        async with asyncio.timeout(60):
            await self.may_be_ready.wait()
        end, self.early_end = self.early_end, None
        return end or await super().run(config, task_input, emit)


def ready() -> Slow:
    recognizer = Slow()
    recognizer.may_be_ready.set()
    return recognizer


def failing(end: TaskEnd) -> Slow:
    recognizer = Slow(early_end=end)
    recognizer.may_be_ready.set()
    return recognizer


def failovers(client: Client) -> list[tuple[str, str]]:
    events = [one for one in client.sent if isinstance(one, StreamEvent)]
    return [(one.from_model, one.to_model) for one in events if one.type is StreamEventType.FAILED_OVER]


def started_with(client: Client) -> str:
    started = client.sent[0]
    assert isinstance(started, Started)
    return started.model.name


def two(first: Numbers, other: Numbers) -> Route:
    return route_to(CONFIG.model, first, (OTHER, other))


def starts_fail(route: Route, place: int) -> bool:
    """Whether four more failed starts open the circuit of a model, as they do after a first one."""
    circuit = route.candidates[place].circuit
    for number in range(4):
        circuit.failed(circuit.begin(f"another call {number}"), time.monotonic())
    return not circuit.may_start(time.monotonic())


async def test_a_model_that_is_ready_in_time_is_the_only_one() -> None:
    first, other = ready(), ready()
    client = await call(first, *spoken(1, 2), limits=NEVER, route=two(first, other))
    assert (client.heard, client.events, other.models) == ("1 2", [], [])


async def test_a_slow_model_is_left_for_one_that_is_ready_first() -> None:
    first, other = Slow(), ready()
    client = await call(first, *spoken(1, 2), limits=AT_ONCE, route=two(first, other))
    assert (client.heard, started_with(client), failovers(client)) == ("1 2", "other", [("embedded", "other")])
    assert (first.models, first.starts, other.models) == (["embedded"], [], ["other"])


async def test_what_lost_is_closed_while_the_call_goes_on() -> None:
    opened: list[int] = []

    class Watching(Slow):
        async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
            end = await super().run(config, task_input, emit)
            opened.append(first.opened)
            return end

    first, other = Slow(), Watching()
    other.may_be_ready.set()
    await call(first, *spoken(1, 2), limits=AT_ONCE, route=two(first, other))
    assert (opened, first.opened, other.opened) == ([0], 0, 0)


async def test_a_model_that_is_ready_before_the_other_one_keeps_the_call() -> None:
    class Telling(Slow):
        async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
            first.may_be_ready.set()
            return await super().run(config, task_input, emit)

    first, other = Slow(), Telling()
    client = await call(first, *spoken(1, 2), limits=AT_ONCE, route=two(first, other))
    assert (client.heard, started_with(client), client.events) == ("1 2", "embedded", [])
    assert (other.models, other.starts, other.opened) == (["other"], [], 0)


@pytest.mark.parametrize("end", [LOST, Failed(error=UpstreamRefused("out of quota"))], ids=["lost", "refused"])
async def test_the_other_one_goes_on_alone_when_the_first_fails(end: TaskEnd) -> None:
    class Telling(Slow):
        async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
            first.may_be_ready.set()
            await asyncio.sleep(0)
            self.may_be_ready.set()
            return await super().run(config, task_input, emit)

    first, other = Slow(early_end=end), Telling()
    route = two(first, other)
    client = await call(first, *spoken(1, 2), limits=AT_ONCE, route=route)
    assert (client.heard, failovers(client)) == ("1 2", [("embedded", "other")])
    assert starts_fail(route, 0) is (end is LOST)
    assert (first.opened, other.opened) == (0, 0)


async def test_a_model_that_fails_before_the_other_one_is_due_is_tried_again() -> None:
    first, other = failing(LOST), ready()
    client = await call(first, *spoken(1, 2), limits=NEVER, route=two(first, other))
    assert (client.heard, client.events, other.models) == ("1 2", [StreamEventType.RECONNECTED], [])


async def test_the_first_goes_on_when_the_other_one_fails() -> None:
    class Telling(Slow):
        @asynccontextmanager
        async def open(self, config: RecognitionConfig) -> AsyncIterator[Slow]:
            async with super().open(config) as opened:
                yield opened
            first.may_be_ready.set()

    first, other = Slow(), Telling(early_end=LOST)
    other.may_be_ready.set()
    route = two(first, other)
    client = await call(first, *spoken(1, 2), limits=AT_ONCE, route=route)
    assert (client.heard, started_with(client), client.events) == ("1 2", "embedded", [])
    assert starts_fail(route, 1)


async def test_a_backend_that_cannot_be_opened_leaves_the_call_to_the_first() -> None:
    class Closed(Slow):
        def open(self, _config: RecognitionConfig) -> NoReturn:
            first.may_be_ready.set()
            raise UpstreamRefused("no such account")

    first = Slow()
    client = await call(first, *spoken(1, 2), limits=AT_ONCE, route=two(first, Closed()))
    assert (client.heard, client.events) == ("1 2", [])


async def test_when_both_fail_the_call_goes_on_as_it_would_without() -> None:
    class Telling(Slow):
        async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
            first.may_be_ready.set()
            return await super().run(config, task_input, emit)

    first, other = Slow(early_end=LOST), Telling(early_end=LOST)
    other.may_be_ready.set()
    client = await call(first, *spoken(1, 2), limits=AT_ONCE, route=two(first, other))
    assert (client.heard, client.events) == ("1 2", [StreamEventType.RECONNECTED])
    assert first.models == ["embedded", "embedded"]


async def test_only_the_beginning_of_a_call_is_hedged() -> None:
    first, other = ready(), ready()
    first.losses = [(2, LOST)]
    client = await call(first, *spoken(1, 2), limits=NEVER, route=two(first, other))
    assert (client.heard, other.models) == ("1 2", [])


async def test_words_survive_the_loss_of_the_model_that_was_ready_first() -> None:
    first, other = Slow(), ready()
    other.losses = [(5, LOST)]
    client = await call(first, *spoken(1, 2, 3, 4), limits=AT_ONCE, route=two(first, other))
    assert client.heard == "1 2 3 4"
    assert client.events == [StreamEventType.FAILED_OVER, StreamEventType.RECONNECTED]


async def test_a_cancelled_call_leaves_both() -> None:
    first, other = Slow(), Slow()
    running = asyncio.create_task(call(first, *spoken(1), limits=AT_ONCE, route=two(first, other)))
    async with asyncio.timeout(60):
        await other.begun.wait()
    running.cancel()
    await asyncio.wait((running,), timeout=60)
    assert running.cancelled()
    assert (first.opened, other.opened) == (0, 0)


async def test_a_request_at_fault_ends_the_call_whatever_the_other_model_does() -> None:
    class Telling(Slow):
        async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
            first.may_be_ready.set()
            return await super().run(config, task_input, emit)

    first = Slow(early_end=Failed(error=UpstreamRefused("a parameter", is_about_request=True)))
    other = Telling()
    with pytest.raises(UpstreamRefused):
        await call(first, *spoken(1), limits=AT_ONCE, route=two(first, other))
    assert (first.opened, other.opened) == (0, 0)


async def test_a_warning_is_no_sign_that_a_model_is_ready() -> None:
    class Warned(Slow):
        async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
            await emit(
                OptionWarning(code=WarningCode.OPTION_IGNORED, field="adaptation", message="left out"), time.monotonic()
            )
            first.may_be_ready.set()
            return await super().run(config, task_input, emit)

    first, other = Slow(), Warned()
    client = await call(first, *spoken(1, 2), limits=AT_ONCE, route=two(first, other))
    assert (client.heard, started_with(client), client.events) == ("1 2", "embedded", [])


async def test_what_has_won_stays_open_when_its_idle_task_is_cut_short() -> None:
    opened: list[int] = []

    class Lingering(Slow):
        """Its first task takes its time to finish once its input has ended."""

        async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
            self.models.append(config.model.name)
            opened.append(self.opened)
            if len(self.models) > 1:
                return await Numbers.run(self, config, task_input, emit)
            await emit(Ready(), time.monotonic())
            assert await task_input.next() is None
            may_speak.set()
            await asyncio.Event().wait()
            raise AssertionError

    class LateClient(Client):
        async def read(self) -> bytes | Commit | Update | None:
            async with asyncio.timeout(60):
                await may_speak.wait()
            return await super().read()

    may_speak = asyncio.Event()
    first, other = Slow(), Lingering()
    client = LateClient(spoken(1, 2))
    limits = replace(AT_ONCE, task_idle_seconds=0.01)
    await call(first, limits=limits, route=two(first, other), client=client)
    assert (client.heard, opened, other.opened, first.opened) == ("1 2", [1, 1], 0, 0)


async def test_a_model_that_is_always_too_slow_opens_its_circuit() -> None:
    route = two(Slow(), ready())
    for _ in range(5):
        await call(Slow(), *spoken(1), limits=AT_ONCE, route=route)
    assert not route.candidates[0].circuit.may_start(time.monotonic())


async def test_the_embedded_model_is_no_hedge_because_it_is_ready_without_a_worker() -> None:
    first, other = Slow(), ready()
    first.may_be_ready.set()
    local = replace(OTHER, endpoint="")
    client = await call(first, *spoken(1), limits=AT_ONCE, route=route_to(CONFIG.model, first, (local, other)))
    assert (client.heard, other.models) == ("1", [])
