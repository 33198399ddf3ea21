"""Real worker processes with recognizers that misbehave."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

import fake_recognizers as fakes
from asrgateway_server.backends import worker_process
from asrgateway_server.backends.adapter import InProcessAdapter
from asrgateway_server.backends.base import Commit, Completed, Failed, Lost
from asrgateway_server.backends.worker_process import WINDOW, Recognizer, WorkerPool
from asrgateway_server.config import Adaptation, AudioFormat, RecognitionConfig, Update
from asrgateway_server.errors import Overloaded, UpstreamLost
from asrgateway_server.events import BackendEvent, CommitEmpty, FinalResult, Ready, UpdateApplied
from asrgateway_server.metrics import Metrics
from asrgateway_server.vendors.pocketsphinx.catalogue import EMBEDDED
from gateways import eventually

# What the fakes are told at the beginning is in their first event.
CONFIG = RecognitionConfig(
    model=EMBEDDED, audio=AudioFormat(sample_rate_hertz=16_000), adaptation=Adaptation(context="embedded")
)
PACKET = bytes(3_200)
LABELS = {"model": "embedded"}


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let worker processes find the recognizers, and end those that hang at once."""
    monkeypatch.setenv("PYTHONPATH", str(Path(fakes.__file__).parent))
    monkeypatch.setattr(worker_process, "_STOP_SECONDS", 0.05)


def recognizer(adapter: type[InProcessAdapter], *arguments: str) -> Recognizer:
    return Recognizer(adapter=adapter, arguments=arguments, model="embedded", setting="embedded_workers")


def pool_of(
    adapter: type[InProcessAdapter],
    *,
    size: int = 1,
    loaded: int | None = None,
    stall_seconds: float = 10.0,
    ready_seconds: float = 10.0,
    load_seconds: float = 60.0,
) -> WorkerPool:
    return WorkerPool(
        recognizer(adapter),
        size=size,
        loaded=loaded,
        ready_timeout_seconds=ready_seconds,
        load_timeout_seconds=load_seconds,
        stall_timeout_seconds=stall_seconds,
        metrics=Metrics(CollectorRegistry()),
    )


class Call:
    """One call, whose client says what ``items`` hold and then goes on when it is let.

    Attributes:
        told: What the client was told.
        taken: How many items the backend has taken.
        has_read: Set once the client was told something.
        may_end: Cleared, the client keeps the stream open after its items.
        may_read: Cleared, the client reads nothing.
    """

    def __init__(self, *items: bytes | Commit | Update) -> None:
        self.told: list[BackendEvent] = []
        self.taken = 0
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.may_read = asyncio.Event()
        self.may_read.set()
        self._items = items

    async def next(self) -> bytes | Commit | Update | None:
        if self.taken < len(self._items):
            self.taken += 1
            return self._items[self.taken - 1]
        await self.may_end.wait()
        return None

    async def emit(self, event: BackendEvent, read_at: float) -> None:
        assert read_at > 0
        await self.may_read.wait()
        self.told.append(event)

    async def through(self, pool: WorkerPool) -> list[BackendEvent]:
        async with pool.open(CONFIG) as upstream:
            match await upstream.run(CONFIG, self, self.emit):
                case Completed():
                    return self.told
                case Lost(error=error) | Failed(error=error):
                    raise error


def open_call(*items: bytes | Commit | Update) -> Call:
    """A call that stays open."""
    call = Call(*items)
    call.may_end.clear()
    return call


def running_processes(pids: tuple[int, ...]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def summary(byte_count: int, commits: int = 0) -> list[BackendEvent]:
    return [Ready(), FinalResult(text=f"{byte_count} bytes, {commits} commits")]


@pytest.fixture
async def echo() -> AsyncIterator[WorkerPool]:
    async with pool_of(fakes.Echo) as pool:
        yield pool


# A call in peace --------------------------------------------------------------------------------------------------


async def test_a_call_runs_from_ready_to_finished(echo: WorkerPool) -> None:
    assert await Call(PACKET, PACKET).through(echo) == summary(6_400)


async def test_a_call_without_audio_needs_no_worker() -> None:
    async with pool_of(fakes.Unloadable, loaded=0) as pool:
        assert await Call(Commit()).through(pool) == [Ready(), CommitEmpty()]


async def test_commits_keep_their_place_among_the_audio(echo: WorkerPool) -> None:
    ready, *rest = summary(6_400, commits=2)
    assert await Call(PACKET, Commit(), Commit(), PACKET).through(echo) == [ready, CommitEmpty(), CommitEmpty(), *rest]


async def test_one_worker_serves_one_call_after_the_other(echo: WorkerPool) -> None:
    pids = echo.pids
    assert [await Call(PACKET).through(echo) for _ in range(3)] == [summary(3_200)] * 3
    assert echo.pids == pids


async def test_large_answers_arrive_whole_and_in_order() -> None:
    packets = [bytes([number]) * 2 for number in range(20)]
    async with pool_of(fakes.Talkative) as pool:
        told = await Call(*packets).through(pool)
    assert [event.text.lstrip("x") for event in told if isinstance(event, FinalResult)][:-1] == [
        str(number) for number in range(20)
    ]


async def test_what_a_library_prints_disturbs_nothing() -> None:
    async with pool_of(fakes.Printing) as pool:
        assert await Call(PACKET, PACKET).through(pool) == summary(6_400)


async def test_workers_leave_the_processor_to_the_gateway(echo: WorkerPool) -> None:
    assert os.getpriority(os.PRIO_PROCESS, echo.pids[0]) > os.getpriority(os.PRIO_PROCESS, 0)


async def test_a_worker_is_given_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "DASHSCOPE_API_KEY",
        "ASRGATEWAY_DASHSCOPE_API_KEY",
        "LAB_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "HTTPS_PROXY",
    ):
        monkeypatch.setenv(name, "sk-secret")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    async with pool_of(fakes.Echo) as pool:
        environment = environment_of(pool.pids[0])
    assert b"sk-secret" not in environment
    assert b"LC_ALL=C.UTF-8" in environment


async def test_a_worker_that_answers_nonsense_loses_its_call_and_is_replaced() -> None:
    async with pool_of(fakes.Lying) as pool:
        pids = pool.pids
        with pytest.raises(UpstreamLost, match="no event"):
            await Call(PACKET).through(pool)
        await eventually(lambda: bool(pool.pids) and pool.pids != pids)


async def test_a_worker_that_announces_an_endless_answer_loses_its_call_and_is_replaced() -> None:
    async with pool_of(fakes.Endless) as pool:
        pids = pool.pids
        with pytest.raises(UpstreamLost, match="answers 4294967295 bytes; up to 4194304 are read"):
            await Call(PACKET).through(pool)
        await eventually(lambda: bool(pool.pids) and pool.pids != pids)


async def test_ctrl_c_does_not_end_a_worker(echo: WorkerPool) -> None:
    os.kill(echo.pids[0], signal.SIGINT)
    assert await Call(PACKET).through(echo) == summary(3_200)


async def test_an_update_is_answered_in_its_place(echo: WorkerPool) -> None:
    update = Update(adaptation=Adaptation(context="ships"))
    ready, *rest = summary(6_400)
    assert await Call(update, PACKET, update, PACKET).through(echo) == [ready, UpdateApplied(), UpdateApplied(), *rest]


# A full pool ------------------------------------------------------------------------------------------------------


async def test_a_full_pool_refuses_the_next_call(echo: WorkerPool) -> None:
    async with asyncio.TaskGroup() as tasks:
        first = open_call(PACKET)
        tasks.create_task(first.through(echo))
        await eventually(lambda: bool(echo.busy_pids))
        with pytest.raises(Overloaded, match="all 1 workers") as caught:
            await Call(PACKET).through(echo)
        first.may_end.set()
    assert caught.value.retry_after_seconds == 1.0


async def test_a_call_takes_a_worker_only_with_its_first_audio(echo: WorkerPool) -> None:
    silent = open_call(Commit(), Commit())
    running = asyncio.create_task(silent.through(echo))
    await eventually(lambda: silent.told == [Ready(), CommitEmpty(), CommitEmpty()])
    assert echo.busy_pids == ()
    assert await Call(Commit(), PACKET).through(echo) == [Ready(), CommitEmpty(), *summary(3_200)[1:]]
    silent.may_end.set()
    assert await running == [Ready(), CommitEmpty(), CommitEmpty()]


async def test_a_worker_is_free_again_after_its_call(echo: WorkerPool) -> None:
    async with asyncio.TaskGroup() as tasks:
        first = open_call(PACKET)
        tasks.create_task(first.through(echo))
        await eventually(lambda: bool(echo.busy_pids))
        first.may_end.set()
    assert await Call(PACKET).through(echo) == summary(3_200)


async def test_a_pool_of_none_refuses_every_call() -> None:
    async with pool_of(fakes.Echo, size=0) as pool:
        with pytest.raises(Overloaded):
            await Call().through(pool)


async def test_workers_that_wait_for_no_call_are_started_by_one_and_stay() -> None:
    async with pool_of(fakes.Echo, size=2, loaded=0) as pool:
        assert running_processes(pool.pids) == []
        assert await Call(PACKET).through(pool) == summary(3_200)
        pids = pool.pids
        assert len(set(pids)) == 1
        assert await Call(PACKET).through(pool) == summary(3_200)
        assert pool.pids == pids
    assert running_processes(pids) == []


async def test_calls_at_once_start_no_more_workers_than_there_may_be() -> None:
    async with pool_of(fakes.Echo, size=2, loaded=0) as pool:
        calls = [open_call(PACKET) for _ in range(3)]
        running = [asyncio.create_task(call.through(pool)) for call in calls]
        await eventually(lambda: any(task.done() for task in running))
        (refused,) = (task for task in running if task.done())
        assert isinstance(refused.exception(), Overloaded)
        for call in calls:
            call.may_end.set()
        await asyncio.gather(*running, return_exceptions=True)
        assert len(pool.pids) == 2


async def test_a_call_cancelled_while_its_worker_starts_leaves_no_process() -> None:
    async with pool_of(fakes.SlowToLoad, size=1, loaded=0) as pool:
        running = asyncio.create_task(Call(PACKET).through(pool))
        await eventually(lambda: pool._starting == 1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert pool._starting == 0
        assert pool.pids == ()


async def test_a_worker_that_does_not_load_for_a_call_loses_that_call() -> None:
    async with pool_of(fakes.Unloadable, size=1, loaded=0) as pool:
        with pytest.raises(UpstreamLost, match="has died"):
            await Call(PACKET).through(pool)
        with pytest.raises(UpstreamLost, match="has died"):
            await Call(PACKET).through(pool)


async def test_the_workers_are_counted() -> None:
    metrics = Metrics(CollectorRegistry())
    pool = WorkerPool(
        recognizer(fakes.Echo), size=2, ready_timeout_seconds=10.0, stall_timeout_seconds=10.0, metrics=metrics
    )
    async with pool, asyncio.TaskGroup() as tasks:
        call = open_call(PACKET)
        tasks.create_task(call.through(pool))
        await eventually(lambda: bool(pool.busy_pids))
        assert metrics.registry.get_sample_value("asrgateway_workers_limit", LABELS) == 2
        assert metrics.registry.get_sample_value("asrgateway_workers_busy", LABELS) == 1
        call.may_end.set()
    assert metrics.registry.get_sample_value("asrgateway_workers_busy", LABELS) == 0


# A worker that dies -----------------------------------------------------------------------------------------------


async def test_a_worker_killed_in_a_call_loses_that_call(echo: WorkerPool) -> None:
    call = open_call(PACKET)
    running = asyncio.create_task(call.through(echo))
    await eventually(lambda: bool(echo.busy_pids))
    os.kill(echo.pids[0], signal.SIGKILL)
    with pytest.raises(UpstreamLost, match="has died"):
        await running


async def test_a_worker_killed_in_a_call_is_replaced(echo: WorkerPool) -> None:
    (pid,) = echo.pids
    call = open_call(PACKET)
    running = asyncio.create_task(call.through(echo))
    await eventually(lambda: bool(echo.busy_pids))
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(UpstreamLost):
        await running
    await eventually(lambda: bool(echo.pids))
    assert echo.pids != (pid,)
    assert await Call(PACKET).through(echo) == summary(3_200)


async def test_the_death_of_a_worker_hurts_no_other_call() -> None:
    async with pool_of(fakes.Echo, size=2) as pool:
        doomed, safe = open_call(PACKET), open_call(PACKET)
        running_doomed = asyncio.create_task(doomed.through(pool))
        await eventually(lambda: bool(pool.busy_pids))
        (victim,) = pool.busy_pids
        running_safe = asyncio.create_task(safe.through(pool))
        await eventually(lambda: len(pool.busy_pids) == 2)
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(UpstreamLost):
            await running_doomed
        safe.may_end.set()
        assert await running_safe == summary(3_200)


async def test_a_recognizer_with_a_bug_loses_its_call() -> None:
    async with pool_of(fakes.Raising) as pool:
        with pytest.raises(UpstreamLost, match="has died"):
            await Call(PACKET).through(pool)


# A call that is cancelled -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [0, 1, WINDOW, 3 * WINDOW])
async def test_a_cancelled_call_leaves_nothing_to_the_next(echo: WorkerPool, chunks: int) -> None:
    pids = echo.pids
    call = open_call(*[PACKET] * chunks)
    running = asyncio.create_task(call.through(echo))
    await eventually(lambda: call.taken == chunks and bool(call.told))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await Call(PACKET).through(echo) == summary(3_200)
    assert echo.pids == pids


async def test_answers_to_a_cancelled_call_are_dropped() -> None:
    async with pool_of(fakes.Talkative) as pool:
        call = open_call(*[PACKET] * 3)
        call.may_read.clear()
        running = asyncio.create_task(call.through(pool))
        await asyncio.sleep(0)
        call.may_read.set()
        await eventually(lambda: call.taken == 3)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert len(await Call(PACKET).through(pool)) == len([*summary(3_200), "the answer to its audio"])


async def test_a_call_cancelled_before_its_worker_is_ready_leaves_nothing_to_the_next(echo: WorkerPool) -> None:
    call = Call(PACKET)
    running = asyncio.create_task(call.through(echo))
    while not call.taken:  # noqa: ASYNC110 turn by turn, so that the worker has not answered yet
        await asyncio.sleep(0)
    assert echo.busy_pids
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await Call(PACKET).through(echo) == summary(3_200)


async def test_a_call_whose_client_fails_leaves_nothing_to_the_next(echo: WorkerPool) -> None:
    async def fail(event: BackendEvent, read_at: float) -> None:
        raise RuntimeError(f"nobody hears {event} of {read_at}")

    with pytest.raises(RuntimeError, match="nobody hears"):
        await echo.run(CONFIG, Call(PACKET), fail, may_wait=False)
    assert await Call(PACKET).through(echo) == summary(3_200)


# A worker or a client that is slow --------------------------------------------------------------------------------


async def test_a_worker_that_answers_nothing_is_lost_after_the_timeout() -> None:
    async with pool_of(fakes.Stalling, stall_seconds=0.1) as pool:
        with pytest.raises(UpstreamLost, match=r"has not answered for 0\.1 s"):
            await Call(PACKET).through(pool)


async def test_a_worker_that_answers_nothing_is_lost_before_the_end_of_the_audio_too() -> None:
    async with pool_of(fakes.Stalling, stall_seconds=0.1) as pool:
        with pytest.raises(UpstreamLost, match=r"has not answered for 0\.1 s"):
            await open_call(*[PACKET] * 3 * WINDOW).through(pool)


async def test_a_worker_that_does_not_begin_is_lost_after_the_timeout() -> None:
    async with pool_of(fakes.SlowToStart) as pool:
        pool._ready_timeout_seconds = 0.1
        with pytest.raises(UpstreamLost, match=r"not ready within 0\.1 s"):
            await Call(PACKET).through(pool)


async def test_a_client_that_reads_slowly_is_no_stall() -> None:
    async with pool_of(fakes.Talkative, stall_seconds=1.0) as pool:  # A busy machine answers late, too.
        call = Call(*[PACKET] * 3 * WINDOW)
        call.may_read.clear()
        asyncio.get_running_loop().call_later(1.5, call.may_read.set)
        told = await call.through(pool)
    assert len(told) == 3 * WINDOW + len(summary(0))


async def test_a_client_that_says_nothing_is_no_stall() -> None:
    async with pool_of(fakes.Echo, stall_seconds=1.0) as pool:
        call = open_call(PACKET)
        asyncio.get_running_loop().call_later(1.2, call.may_end.set)
        assert await call.through(pool) == summary(3_200)


async def test_a_worker_that_stalls_takes_no_more_than_the_window() -> None:
    async with pool_of(fakes.Stalling, stall_seconds=0.1) as pool:
        call = open_call(*[PACKET] * 10 * WINDOW)
        with pytest.raises(UpstreamLost):
            await call.through(pool)
    assert call.taken == WINDOW + 1


async def test_a_client_that_reads_nothing_is_not_asked_for_more_than_the_window() -> None:
    async with pool_of(fakes.Talkative) as pool:
        call = open_call(*[PACKET] * 10 * WINDOW)
        call.may_read.clear()
        running = asyncio.create_task(call.through(pool))
        call.may_read.set()
        await eventually(lambda: len(call.told) > 1)
        call.may_read.clear()
        read, taken = len(call.told), call.taken
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert taken <= read + WINDOW + 1


# Opening and closing ----------------------------------------------------------------------------------------------


async def test_a_closed_pool_leaves_no_process() -> None:
    async with pool_of(fakes.Echo, size=2) as pool:
        pids = pool.pids
    assert running_processes(pids) == []


async def test_a_pool_closed_after_a_cancelled_call_leaves_no_process() -> None:
    async with pool_of(fakes.Stalling) as pool:
        pids = pool.pids
        call = open_call(PACKET)
        running = asyncio.create_task(call.through(pool))
        await eventually(lambda: call.taken == 1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert running_processes(pids) == []


async def test_a_pool_closed_while_a_stalled_worker_is_replaced_leaves_no_process() -> None:
    async with pool_of(fakes.Stalling, stall_seconds=0.05) as pool:
        pids = pool.pids
        with pytest.raises(UpstreamLost):
            await Call(PACKET).through(pool)
    assert running_processes(pids) == []


async def test_a_pool_closed_during_a_call_starts_no_other_worker() -> None:
    async with pool_of(fakes.Echo) as pool:
        call = open_call(PACKET)
        running = asyncio.create_task(call.through(pool))
        await eventually(lambda: bool(pool.busy_pids))
    with pytest.raises(UpstreamLost):
        await running
    assert pool.pids == ()
    assert pool._replacements == set()


async def test_a_recognizer_that_does_not_load_in_time_is_an_error() -> None:
    with pytest.raises(UpstreamLost, match=r"did not load its recognizer within 0\.3 s"):
        await pool_of(fakes.SlowToLoad, load_seconds=0.3).__aenter__()


async def test_a_recognizer_that_dies_while_it_loads_is_an_error() -> None:
    with pytest.raises(UpstreamLost, match="has died"):
        await pool_of(fakes.Unloadable, size=2).__aenter__()
