"""A backend in worker processes, one call each.

PocketSphinx holds the interpreter's lock while it decodes: in a thread it would stop the event loop for 266 ms at the
99th percentile and 537 ms at worst. A process hurts nobody, and its death ends one call only.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import re
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from asrgateway_server.backends.adapter import InProcessAdapter
from asrgateway_server.backends.base import Commit, Completed, Emit, TaskEnd, TaskInput, end_of
from asrgateway_server.backends.frames import HEADER, MAX_ANSWER_BYTES, Frame, pack
from asrgateway_server.backends.worker_messages import pack_adaptation, unpack_events
from asrgateway_server.config import Adaptation, RecognitionConfig, Update
from asrgateway_server.errors import ClientStalled, GatewayError, Overloaded, UpstreamLost, first_error
from asrgateway_server.events import BackendEvent, CommitEmpty, Finished, Ready, UpdateApplied
from asrgateway_server.metrics import Metrics

log = logging.getLogger(__name__)

# Frames that may wait in a worker unanswered: half a second of audio, so that a slow decoder slows its client.
WINDOW: Final = 5
_RESTART_PAUSES_SECONDS: Final = (0.1, 0.5, 2.0, 5.0, 15.0)
# Loading takes 0.3 s, and many times that where a container starts with a share of a busy core. The chart's startup
# probe waits for twice as long.
_LOAD_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 2.0
# What Python and the libraries under it read; keys are none of it.
_ENVIRONMENT: Final = re.compile(r"PATH|HOME|TZ|TMPDIR|LANG|LANGUAGE|LC_\w+|LD_LIBRARY_PATH|PYTHON\w+")

# A killed process is gone as soon as the machine has a moment for it, and a loaded one takes its time: giving up
# sooner leaves a zombie behind.
_KILL_SECONDS: Final = 10.0


def worker_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a worker process is given of the gateway's variables: no key, and nothing it has no use for."""
    return {name: value for name, value in environ.items() if _ENVIRONMENT.fullmatch(name)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognizer:
    """What workers run.

    Attributes:
        adapter: Made once in each worker process, which imports it by its name.
        arguments: What it is made with, such as the path of a model.
        model: What its workers are counted as.
        setting: The setting that says how many workers there may be.
    """

    adapter: Callable[..., InProcessAdapter]
    arguments: tuple[str, ...] = ()
    model: str
    setting: str


class Worker:
    """One worker process, seen from the gateway."""

    def __init__(self, process: asyncio.subprocess.Process, stdin: asyncio.StreamWriter) -> None:
        self._process = process
        self._stdin = stdin
        self._kind_and_length: tuple[int, int] | None = None
        self._owed = 0

    @classmethod
    async def spawn(cls, recognizer: Recognizer, timeout_seconds: float) -> Self:
        """Start a process and wait until its recognizer is loaded.

        Raises:
            UpstreamLost: It did not load.
        """
        creation = asyncio.create_task(cls._create(recognizer), name="create worker")
        try:
            async with asyncio.timeout(timeout_seconds):
                # Shielded, because a creation that is cancelled half-way leaves its process behind.
                worker = await asyncio.shield(creation)
                await worker.loaded()
        except BaseException as error:
            await (await creation).stop()
            if isinstance(error, TimeoutError):
                raise UpstreamLost(f"a worker did not load its recognizer within {timeout_seconds:g} s") from None
            raise
        return worker

    @classmethod
    async def _create(cls, recognizer: Recognizer) -> Self:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "asrgateway_server.backends.worker",
            f"{recognizer.adapter.__module__}:{recognizer.adapter.__qualname__}",
            *recognizer.arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=worker_environment(os.environ),
        )
        if process.stdin is None:
            raise UpstreamLost("the worker process has no input")
        return cls(process, process.stdin)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it still runs, as far as is known."""
        return self._process.returncode is None and not self._stdin.is_closing()

    async def loaded(self) -> None:
        """Wait until the recognizer is loaded."""
        await self._read_frame()

    async def ask(self, kind: Frame, payload: bytes = b"") -> None:
        """Send one frame, which will be answered by one."""
        self._owed += 1
        self._stdin.write(pack(kind, payload))
        with contextlib.suppress(ConnectionError):  # Its death shows in the answers.
            await self._stdin.drain()

    async def answer(self) -> list[BackendEvent | Finished]:
        """Return the events of the next answer; safe to cancel.

        Raises:
            UpstreamLost: The process has died, or answers nonsense.
        """
        payload = await self._read_frame()
        self._owed -= 1
        try:
            return unpack_events(payload)
        except ValueError as error:
            raise UpstreamLost("the recognizer's process answers what is no event") from error

    async def forget(self) -> None:
        """Read and drop the answers that an abandoned call is still owed."""
        while self._owed:
            await self.answer()

    async def stop(self) -> None:
        """End the process: first by the end of its input, then by force.

        It waits with ``asyncio.wait``: in a task that was cancelled before, ``asyncio.timeout`` of Python 3.11.2 and
        older raises CancelledError once its time is over, and the process would be left behind.
        """
        self._stdin.close()
        end = asyncio.create_task(self._process.wait(), name="worker's end")
        waits: list[asyncio.Task[object]] = [end]
        try:
            await asyncio.wait(waits, timeout=_STOP_SECONDS)
            if not end.done():
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                # Its end shows only once its output has been read to the end.
                waits.append(asyncio.create_task(self._read_to_the_end(), name="worker's last output"))
                await asyncio.wait(waits, timeout=_KILL_SECONDS)
        finally:
            for wait in waits:
                wait.cancel()

    async def _read_to_the_end(self) -> None:
        if self._process.stdout is not None:
            with contextlib.suppress(RuntimeError):  # Its call still reads it, and will see the end.
                while await self._process.stdout.read(1 << 16):
                    pass

    async def _read_frame(self) -> bytes:
        # The header is remembered, so that a reader cancelled between header and payload loses neither.
        stdout = self._process.stdout
        if stdout is None:
            raise UpstreamLost("the worker process has no output")
        try:
            if self._kind_and_length is None:
                self._kind_and_length = HEADER.unpack(await stdout.readexactly(HEADER.size))
            _, length = self._kind_and_length
            if length > MAX_ANSWER_BYTES:
                raise UpstreamLost(
                    f"the recognizer's process answers {length} bytes; up to {MAX_ANSWER_BYTES} are read"
                )
            payload = await stdout.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise UpstreamLost("the recognizer's process has died") from error
        self._kind_and_length = None
        return payload


class WorkerPool:
    """A backend of up to ``size`` workers: ``loaded`` of them before the first call, the others when a call needs one.

    They stay for later calls, and are replaced when they die.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        *,
        size: int,
        loaded: int | None = None,
        ready_timeout_seconds: float,
        stall_timeout_seconds: float,
        metrics: Metrics,
        load_timeout_seconds: float = _LOAD_SECONDS,
    ) -> None:
        self._recognizer = recognizer
        self._load_timeout_seconds = load_timeout_seconds
        self._size = size
        self._loaded = size if loaded is None else loaded
        self._ready_timeout_seconds = ready_timeout_seconds
        self._stall_timeout_seconds = stall_timeout_seconds
        self._metrics = metrics
        self._workers_busy = metrics.workers_busy.labels(recognizer.model)
        self._restarts = metrics.worker_restarts.labels(recognizer.model)
        self._idle: list[Worker] = []
        self._waiters: deque[asyncio.Future[Worker]] = deque()
        self._busy: set[Worker] = set()
        self._leaving: set[Worker] = set()
        self._is_closing = False
        self._starting = 0
        self._replacements: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Load the workers that shall wait for calls.

        Raises:
            UpstreamLost: One did not load.
        """
        spawns = (Worker.spawn(self._recognizer, self._load_timeout_seconds) for _ in range(self._loaded))
        results = await asyncio.gather(*spawns, return_exceptions=True)
        self._idle = [result for result in results if isinstance(result, Worker)]
        if failures := [result for result in results if isinstance(result, BaseException)]:
            await self._stop_all()
            raise failures[0]
        self._metrics.workers_limit.labels(self._recognizer.model).set(self._size)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every worker, and everything that replaces one."""
        self._is_closing = True
        for task in self._replacements:
            task.cancel()
        await asyncio.gather(*self._replacements, return_exceptions=True)
        await self._stop_all()

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of all workers."""
        return tuple(worker.pid for worker in (*self._idle, *self._busy))

    @property
    def busy_pids(self) -> tuple[int, ...]:
        """The process ids of those that have a call."""
        return tuple(worker.pid for worker in self._busy)

    @asynccontextmanager
    async def open(self, config: RecognitionConfig) -> AsyncIterator[CallOfPool]:  # noqa: ARG002 every call is alike here
        """Return what takes a worker for each task of a call; see ``Backend``."""
        yield CallOfPool(self)

    async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit, *, may_wait: bool) -> Completed:
        """Run one task in a worker, which is taken by its first audio; raise a GatewayError if it cannot go on.

        A call without audio keeps none from a call with audio.

        Args:
            config: The call's config.
            task_input: What is recognized.
            emit: Takes what is found.
            may_wait: If all are busy, wait for the next worker that is free.
        """
        if not self._size:
            raise Overloaded(
                f"this gateway runs no workers for {self._recognizer.model!r}; its operator can set "
                f"{self._recognizer.setting}"
            )
        await emit(Ready(), time.monotonic())
        first = await _first_audio(task_input, emit)
        if first is None:
            return Completed(read_at=time.monotonic())
        worker = await self._taken(may_wait=may_wait)
        task = _WorkerTask(worker, first, task_input, emit, self._stall_timeout_seconds)
        is_sound = True
        try:
            await task.begin(config.adaptation, self._ready_timeout_seconds)
            return await task.run()
        except UpstreamLost:
            is_sound = False
            raise
        finally:
            self._give_back(worker, is_sound=is_sound)

    async def _taken(self, *, may_wait: bool) -> Worker:
        """Return a worker, of those that wait or a new one while there may be more.

        Raises:
            Overloaded: All are busy.
            UpstreamLost: The new one did not load.
        """
        worker = self._waiting() or await self._started() or (await self._next_free() if may_wait else None)
        if worker is None:
            self._metrics.streams_rejected.labels("capacity").inc()
            raise Overloaded(
                f"all {self._size} workers of {self._recognizer.model!r} are busy; try again later, or ask the "
                f"operator to raise {self._recognizer.setting}",
                retry_after_seconds=1.0,
            )
        self._busy.add(worker)
        self._workers_busy.set(len(self._busy))
        return worker

    async def _next_free(self) -> Worker | None:
        """Wait for a worker that a call gives back, or that replaces a dead one."""
        free: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._waiters.append(free)
        try:
            await asyncio.wait((free,), timeout=self._ready_timeout_seconds)
        except asyncio.CancelledError:
            if free.done():
                self._offer(free.result())
            raise
        finally:
            self._waiters = deque(waiter for waiter in self._waiters if waiter is not free)
        return free.result() if free.done() else None

    def _offer(self, worker: Worker) -> None:
        """Give a worker to the call that has waited longest; keep it if none has."""
        if self._waiters:
            self._waiters.popleft().set_result(worker)
        else:
            self._idle.append(worker)

    def _waiting(self) -> Worker | None:
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive:
                return worker
            self._replace(worker)
        return None

    async def _started(self) -> Worker | None:
        # One that is being replaced will be there again.
        if len(self._busy) + self._starting + len(self._replacements) >= self._size:
            return None
        self._starting += 1
        try:
            worker = await Worker.spawn(self._recognizer, self._ready_timeout_seconds)
        except OSError as error:
            raise UpstreamLost("a worker process cannot be started") from error
        finally:
            self._starting -= 1
        if self._is_closing:
            await worker.stop()
            raise UpstreamLost("the recognizer's processes are being stopped")
        return worker

    def _give_back(self, worker: Worker, *, is_sound: bool) -> None:
        self._busy.discard(worker)
        self._workers_busy.set(len(self._busy))
        if is_sound and worker.is_alive:
            self._offer(worker)
        else:
            self._replace(worker)

    def _replace(self, worker: Worker) -> None:
        self._leaving.add(worker)
        if self._is_closing:
            return
        task = asyncio.create_task(self._restart(worker), name="restart worker")
        self._replacements.add(task)
        task.add_done_callback(self._replacements.discard)

    async def _restart(self, worker: Worker) -> None:
        await worker.stop()
        self._leaving.discard(worker)
        for attempt in itertools.count():
            self._restarts.inc()
            try:
                self._offer(await Worker.spawn(self._recognizer, self._load_timeout_seconds))
            except (UpstreamLost, OSError) as error:
                pause = _RESTART_PAUSES_SECONDS[min(attempt, len(_RESTART_PAUSES_SECONDS) - 1)]
                log.warning("worker restart failed", extra={"reason": str(error), "retry_in_seconds": pause})
                await asyncio.sleep(pause)
            else:
                log.warning("worker replaced", extra={"attempts": attempt + 1})
                return

    async def _stop_all(self) -> None:
        await asyncio.gather(*(worker.stop() for worker in (*self._idle, *self._busy, *self._leaving)))
        self._idle.clear()
        self._busy.clear()
        self._leaving.clear()


class CallOfPool:
    """The tasks of one call, each in a worker of its own; see ``Upstream``."""

    ends_at_commit = False

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self._has_lost_worker = False

    async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
        """See ``Upstream``. A call whose worker died waits for another one, where a new call is refused."""
        try:
            return await self._pool.run(config, task_input, emit, may_wait=self._has_lost_worker)
        except ClientStalled:
            raise
        except GatewayError as error:
            self._has_lost_worker |= isinstance(error, UpstreamLost)
            return end_of(error)

    async def rest(self) -> None:
        """See ``Upstream``; a worker is kept for no longer than a task."""


async def _first_audio(task_input: TaskInput, emit: Emit) -> bytes | None:
    """Return the first audio; None at the end of a task that had none. Commits before it end nothing."""
    while (item := await task_input.next()) is not None:
        match item:
            case bytes():
                return item
            case Commit():
                await emit(CommitEmpty(), time.monotonic())
            case Update():
                await emit(UpdateApplied(), time.monotonic())
    return None


class _WorkerTask:
    """One task in one worker: frames there, answers back, never more than ``WINDOW`` on the way."""

    def __init__(
        self, worker: Worker, first: bytes, task_input: TaskInput, emit: Emit, stall_timeout_seconds: float
    ) -> None:
        self._worker = worker
        self._first = first
        self._task_input = task_input
        self._emit = emit
        self._stall_timeout_seconds = stall_timeout_seconds
        self._window = asyncio.Semaphore(WINDOW)
        self._is_client_slow = False

    async def begin(self, adaptation: Adaptation, timeout_seconds: float) -> None:
        """Start the task, once the worker has got over an abandoned one; raise UpstreamLost if it does not."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._worker.forget()
                await self._worker.ask(Frame.START, pack_adaptation(adaptation))
                events = await self._worker.answer()
        except TimeoutError as error:
            raise UpstreamLost(f"the recognizer was not ready within {timeout_seconds:g} s") from error
        await self._emit_all(events)

    async def run(self) -> Completed:
        """Carry audio and events until ``Finished``; raise UpstreamLost if the worker dies or stalls."""
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self._send_loop(), name="send loop")
                completed = await self._receive_loop()
                sending.cancel()
        except BaseExceptionGroup as group:
            raise first_error(group) from group
        return completed

    async def _send_loop(self) -> None:
        item: bytes | Commit | Update | None = self._first
        while item is not None:
            await self._within_stall_timeout(self._window.acquire)
            match item:
                case bytes():
                    await self._worker.ask(Frame.AUDIO, item)
                case Commit():
                    await self._worker.ask(Frame.COMMIT)
                case Update():
                    await self._worker.ask(Frame.UPDATE, pack_adaptation(item.adaptation))
            item = await self._task_input.next()
        await self._within_stall_timeout(self._window.acquire)
        await self._worker.ask(Frame.FINISH)
        await self._within_stall_timeout(asyncio.Event().wait)

    async def _receive_loop(self) -> Completed:
        while True:
            events = await self._worker.answer()
            self._window.release()
            if completed := await self._emit_all(events):
                return completed

    async def _emit_all(self, events: list[BackendEvent | Finished]) -> Completed | None:
        read_at = time.monotonic()
        for event in events:
            match event:
                case Finished():
                    return Completed(read_at=read_at)
                case Ready():
                    pass  # Emitted before the worker was taken.
                case _:
                    self._is_client_slow = True
                    await self._emit(event, read_at)
                    self._is_client_slow = False
        return None

    async def _within_stall_timeout(self, wait: Callable[[], Awaitable[object]]) -> None:
        """Wait for the worker; raise UpstreamLost when it stalls, which it does not while the client reads slowly."""
        while True:
            try:
                async with asyncio.timeout(self._stall_timeout_seconds):
                    await wait()
                    return
            except TimeoutError:
                if not self._is_client_slow:
                    raise UpstreamLost(
                        f"the recognizer has not answered for {self._stall_timeout_seconds:g} s"
                    ) from None
