"""Runs the tasks of a call, one after the other: run one, look at how it ended, take the next step."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from asrgateway_server.backends.base import Backend, Commit, Completed, Lost, TaskEnd, Upstream
from asrgateway_server.call.arrival_times import ArrivalTimes
from asrgateway_server.call.audio_log import End, Mark
from asrgateway_server.call.failure_budget import FailureBudget
from asrgateway_server.call.limits import Limits
from asrgateway_server.call.policy import InputEnd, Step, error_after, next_step
from asrgateway_server.call.receiver import Receiver
from asrgateway_server.call.responder import Responder
from asrgateway_server.call.responses import StreamEvent, StreamEventType
from asrgateway_server.call.task_input import CallAudio, TaskInput
from asrgateway_server.call.utterance import Utterance
from asrgateway_server.config import ManualEndpointing, RecognitionConfig, Update
from asrgateway_server.errors import AudioLost, Overloaded, UpstreamEnded, UpstreamLost
from asrgateway_server.events import CommitEmpty, UpdateApplied
from asrgateway_server.tracing import call_trace

log = logging.getLogger(__name__)

_REPLAYS: Final = (StreamEventType.RECONNECTED, StreamEventType.ROLLED_OVER)


class UpstreamLoop:
    """The upstream side of one call.

    Args:
        config: The call's config.
        backend: Reaches the model.
        audio: The audio of the call.
        limits: The operator's limits.
        responder: Writes the responses.
        arrival_times: Has the times at which audio came.
    """

    def __init__(
        self,
        config: RecognitionConfig,
        backend: Backend,
        audio: CallAudio,
        limits: Limits,
        responder: Responder,
        arrival_times: ArrivalTimes,
    ) -> None:
        self._config = config
        self._first_adaptation = config.adaptation
        self._backend = backend
        self._audio = audio
        self._limits = limits
        self._responder = responder
        self._arrival_times = arrival_times
        self._budget = FailureBudget(limits.max_failures, limits.reconnect_pause_seconds)
        self._events: list[StreamEvent] = []
        self._has_hibernated = False
        self._is_first = True
        self._finish_timeout = asyncio.timeout(None)

    async def run(self, finish: Callable[[], Awaitable[None]]) -> None:
        """Run tasks to the end of the call, then ``finish`` before connections are closed.

        Raises:
            GatewayError: The call cannot go on; any subclass but ``UpstreamLost``.
        """
        async with self._backend.open(self._config) as upstream:
            while (step := await self._run_task(upstream)) is not Step.FINISH:
                if step is Step.HIBERNATE:
                    await upstream.rest()
                    if not await self._is_woken():
                        break
            await finish()

    async def _run_task(self, upstream: Upstream) -> Step:
        """Run a task; return the step that follows, or raise the error that ends the call."""
        task_input, receiver = self._begin_task(upstream)
        billed_ms = None
        try:
            with call_trace.get().task(self._config.model.name):
                end = await self._until_end(upstream, task_input, receiver)
            billed_ms = end.billed_ms if isinstance(end, Completed) else None
        finally:
            self._audio.statistics.end_task(billed_ms)
        input_end = task_input.end
        if receiver.ready_at is not None:
            self._budget.task_ran(time.monotonic() - receiver.ready_at)
        return await self._take_step(input_end, end, receiver)

    async def _take_step(self, input_end: InputEnd, end: TaskEnd, receiver: Receiver) -> Step:
        step = self._step_after(input_end, end)
        self._is_first = False
        match step:
            case Step.FAIL:
                raise error_after(end)
            case Step.RECONNECT:
                await receiver.task_lost(time.monotonic())
                await self._reconnect(end)
            case Step.HIBERNATE:
                await receiver.task_ended(time.monotonic())
                await self._hibernate(input_end)
            case Step.FINISH | Step.ROLL_OVER:
                if step is Step.ROLL_OVER:
                    self._audio.statistics.metrics.rollovers.inc()
                if isinstance(end, Completed):
                    self._audio.statistics.delays.end_read = end.read_at
                await receiver.task_ended(time.monotonic())
        return step

    def _step_after(self, input_end: InputEnd, end: TaskEnd) -> Step:
        step = next_step(input_end, end, is_first=self._is_first, is_budget_spent=False)
        if step is Step.RECONNECT:
            self._budget.failed()
            step = next_step(input_end, end, is_first=self._is_first, is_budget_spent=self._budget.is_spent)
        return step

    # Tasks ------------------------------------------------------------------------------------------------------

    def _begin_task(self, upstream: Upstream) -> tuple[TaskInput, Receiver]:
        """Return the input of a task that begins where the log is read, and the receiver of its events."""
        audio = self._audio
        adaptation = audio.log.adaptation or self._first_adaptation
        if adaptation is not self._config.adaptation:
            self._config = replace(self._config, adaptation=adaptation)
        audio.clock.begin_task(audio.log.read_samples)
        audio.statistics.begin_task(self._config.model, audio.clock.position_ms)
        utterance = self._utterance()
        may_idle = self._config.model.is_remote and not self._has_hibernated
        task_input = TaskInput(
            audio,
            self._config,
            utterance,
            ends_at_commit=upstream.ends_at_commit,
            idle_seconds=self._limits.task_idle_seconds if may_idle else None,
            answer_empty=self._answer_empty,
            end_early=self._cut_finish_short,
        )
        receiver = Receiver(
            task_input, utterance, audio, self._responder, self._arrival_times, self._budget, self._events
        )
        return task_input, receiver

    async def _until_end(self, upstream: Upstream, task_input: TaskInput, receiver: Receiver) -> TaskEnd:
        """Run a task; cut it short when audio comes after it was ended for lack of audio."""
        try:
            async with asyncio.timeout(None) as self._finish_timeout:
                end = await upstream.run(task_input.config, task_input, receiver.receive)
        except TimeoutError:
            if task_input.end is not InputEnd.IDLE:
                raise
            end = Lost(error=UpstreamLost("the gateway left the idle task: audio came"))
        finally:
            self._audio.log.call_at_audio(None)
        if not isinstance(end, Completed):
            call_trace.get().task_failed(type(end.error).__name__)
        return end

    def _cut_finish_short(self) -> None:
        self._audio.log.call_at_audio(None)
        self._finish_timeout.reschedule(asyncio.get_running_loop().time())

    def _utterance(self) -> Utterance:
        model = self._config.model
        is_manual = isinstance(self._config.endpointing, ManualEndpointing)
        return Utterance(
            max_utterance_ms=self._limits.max_utterance_seconds * 1000,
            max_silence_ms=None if model.outlasts_silence else self._limits.task_silence_seconds * 1000,
            is_always_open=is_manual and "endpointing.manual" in model.options,
        )

    async def _answer_empty(self) -> None:
        await self._responder.write(CommitEmpty())

    # Another task takes over --------------------------------------------------------------------------------------

    async def _reconnect(self, end: TaskEnd) -> None:
        """Go back to what has no final result yet, and wait a little."""
        cause, reason = _cause(end), "the vendor ended the task" if isinstance(end, Completed) else end.error.message
        pause_seconds = self._budget.pause_seconds(random.random())  # noqa: S311 no secret is made of it
        self._audio.statistics.metrics.reconnects[cause].inc()
        log.warning("task lost", extra={"cause": cause, "reason": reason, "pause_seconds": round(pause_seconds, 3)})
        self._replay(StreamEventType.ROLLED_OVER if cause == "ended" else StreamEventType.RECONNECTED, reason)
        await asyncio.sleep(pause_seconds)

    def _replay(self, kind: StreamEventType, reason: str) -> None:
        """Go back in the log; note what the client gets of it once the next task is ready."""
        audio = self._audio
        clock, call_log = audio.clock, audio.log
        wanted_samples = clock.samples(audio.results.replay_from_ms - clock.offset_ms)
        lost_samples = call_log.start_samples - wanted_samples
        end_ms = clock.offset_ms + audio.statistics.sent_ms
        call_log.rewind(wanted_samples, audio.results.begin_replay())
        start_ms = clock.offset_ms + clock.time_ms(call_log.read_samples)
        # A task that was lost before it was ready has not sent its events yet; the client gets the last reason.
        self._events[:] = [event for event in self._events if event.type not in _REPLAYS]
        self._events.append(StreamEvent(type=kind, reason=reason, start_ms=start_ms, end_ms=end_ms))
        if lost_samples > 0:
            self._drop(clock.offset_ms + clock.time_ms(wanted_samples), start_ms)

    def _drop(self, start_ms: int, end_ms: int) -> None:
        """Note that audio is lost to the call; raise AudioLost if the client wants the call to end then."""
        self._audio.statistics.dropped(end_ms - start_ms)
        self._audio.results.deliver_until(end_ms)
        reason = "the gateway no longer held this audio when the model was lost"
        log.warning("audio lost", extra={"seconds": (end_ms - start_ms) / 1000})
        if self._config.fails_on_audio_loss:
            raise AudioLost(f"{(end_ms - start_ms) / 1000:g} s of audio are lost: {reason}")
        self._events.append(
            StreamEvent(type=StreamEventType.AUDIO_DROPPED, reason=reason, start_ms=start_ms, end_ms=end_ms)
        )

    # Quiet --------------------------------------------------------------------------------------------------------

    async def _hibernate(self, input_end: InputEnd) -> None:
        """Say that no task runs until the client's next audio, unless there has been no audio at all."""
        audio = self._audio
        self._events.clear()
        audio.results.deliver_until(audio.clock.offset_ms + audio.clock.position_ms)
        audio.log.release(audio.log.read_samples)
        if not audio.log.end_samples:
            return
        reason = "the client is quiet" if input_end is InputEnd.QUIET else "the vendor ended the task of a quiet client"
        audio.statistics.metrics.hibernations.inc()
        await self._responder.write(self._event(StreamEventType.HIBERNATED, reason))
        self._events.append(self._event(StreamEventType.WOKE, "the client sends audio again"))

    def _event(self, kind: StreamEventType, reason: str) -> StreamEvent:
        at_ms = self._audio.clock.offset_ms + self._audio.statistics.sent_ms
        return StreamEvent(type=kind, reason=reason, start_ms=at_ms, end_ms=at_ms)

    async def _is_woken(self) -> bool:
        """Wait without a task for the client's next audio, or for its end; answer commits and updates meanwhile."""
        self._has_hibernated = True
        call_log = self._audio.log
        while not call_log.has_audio:
            match call_log.read(1):
                case Mark(item=Commit()):
                    await self._answer_empty()
                case Mark(item=Update()):
                    await self._responder.write(UpdateApplied())
                case End():
                    return False
                case _:
                    await call_log.wait(1, None)
        return True


def _cause(end: TaskEnd) -> str:
    """Return what the loss of a task counts as: one of ``metrics.RECONNECTS``."""
    match end:
        case Completed() | Lost(error=UpstreamEnded()):
            return "ended"
        case Lost(error=Overloaded()):
            return "throttled"
        case _:
            return "lost"
