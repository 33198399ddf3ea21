"""Runs the tasks of a call, one after the other: run one, look at how it ended, take the next step."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial

from asrgateway_server.backends.base import Completed, Emit, Lost, TaskEnd, Upstream
from asrgateway_server.backends.route import Candidate
from asrgateway_server.call.arrival_times import ArrivalTimes
from asrgateway_server.call.failure_budget import FailureBudget
from asrgateway_server.call.hedged_start import HedgedStart
from asrgateway_server.call.hibernation import Hibernation
from asrgateway_server.call.limits import Limits
from asrgateway_server.call.model_choice import ModelChoice
from asrgateway_server.call.options import is_supported, unsupported_in_update
from asrgateway_server.call.policy import Failures, InputEnd, Step, error_after, next_step
from asrgateway_server.call.receiver import Progress, Receiver
from asrgateway_server.call.responder import Responder
from asrgateway_server.call.responses import StreamEventType
from asrgateway_server.call.takeover import Takeover
from asrgateway_server.call.task_input import CallAudio, TaskCalls, TaskInput
from asrgateway_server.call.utterance import Utterance
from asrgateway_server.call.utterance_limit import UtteranceLimit
from asrgateway_server.config import Adaptation, ManualEndpointing, RecognitionConfig, Update
from asrgateway_server.errors import Overloaded, UpstreamEnded, UpstreamLost
from asrgateway_server.events import CommitEmpty
from asrgateway_server.tracing import call_trace

log = logging.getLogger(__name__)


class UpstreamLoop:
    """The upstream side of one call.

    Args:
        config: The call's config.
        models: Has the model that recognizes.
        audio: The audio of the call.
        limits: The operator's limits.
        responder: Writes the responses.
        arrival_times: Has the times at which audio came.
    """

    def __init__(
        self,
        config: RecognitionConfig,
        models: ModelChoice,
        audio: CallAudio,
        limits: Limits,
        responder: Responder,
        arrival_times: ArrivalTimes,
    ) -> None:
        self._models = models
        self._audio = audio
        self._limits = limits
        self._responder = responder
        self._arrival_times = arrival_times
        self._budget = FailureBudget(limits.max_failures, limits.reconnect_pause_seconds)
        self._utterance_limit = UtteranceLimit(limits.max_utterance_seconds * 1000)
        self._progress = Progress(ready=models.succeeded, final=self._note_final, empty=self._utterance_limit.answered)
        self._takeover = Takeover(audio, fails_on_audio_loss=config.fails_on_audio_loss)
        self._has_hibernated = False
        self._is_first = True
        self._in_a_row = 0
        self._failed_starts = 0
        self._failed_models: set[str] = set()
        self._ends_when_quiet = False
        self._task_calls = TaskCalls(
            answer_empty=self._answer_empty, adapt=self._adapt, end_early=self._cut_finish_short
        )
        self._finish_timeout = asyncio.timeout(None)

    async def run(self, finish: Callable[[], Awaitable[None]]) -> None:
        """Run tasks to the end of the call, then ``finish`` before connections are closed.

        Raises:
            GatewayError: The call cannot go on; any subclass but ``UpstreamLost``.
        """
        is_complete = False
        while not is_complete:
            async with self._open() as upstream:
                is_complete = await self._run_tasks(upstream)
                if is_complete:
                    await finish()

    def _open(self) -> AbstractAsyncContextManager[Upstream]:
        config, models, after_seconds = self._config(), self._models, self._limits.hedge_after_seconds
        # The embedded model is ready at once, whether it has a worker or not.
        if self._is_first and after_seconds and (other := models.other()) and other.model.is_remote:
            return HedgedStart(models, config, other, after_seconds, partial(self._hedge_wins, other))
        return models.candidate.backend.open(config)

    async def _run_tasks(self, upstream: Upstream) -> bool:
        """Run tasks of one model; return whether the call is complete, or goes on with another model."""
        while True:
            match await self._run_task(upstream):
                case Step.FINISH:
                    return True
                case Step.FAIL_OVER:
                    return False
                case Step.HIBERNATE:
                    await upstream.rest()
                    self._has_hibernated = True
                    if not await Hibernation(self._audio, self._responder).until_audio():
                        return True
                    self._takeover.woken()

    async def _run_task(self, upstream: Upstream) -> Step:
        """Run a task; return the step that follows, or raise the error that ends the call."""
        if not self._models.may_start:
            return await self._wait_for_a_model()
        self._begin_task(upstream)
        billed_ms = end = None
        try:
            with call_trace.get().task(self._models.model.name):
                end = await self._until_end(upstream)
            billed_ms = end.billed_ms if isinstance(end, Completed) else None
        finally:
            self._models.ended(end)
            self._audio.let_lag()
            self._audio.statistics.end_task(billed_ms)
        task_input, receiver = self._task_input, self._receiver
        self._failed_starts = 0 if receiver.ready_at is not None else self._failed_starts + 1
        input_end, is_starved = task_input.end, task_input.is_starved
        if receiver.ready_at is not None and self._budget.task_ran(time.monotonic() - receiver.ready_at):
            self._in_a_row = 0
        step = await self._take_step(input_end, end, receiver)
        # What a quiet client said is recognized again, and then finished: the vendor has left it open until its limit.
        self._ends_when_quiet = step is Step.RECONNECT and is_starved
        return step

    async def _take_step(self, input_end: InputEnd, end: TaskEnd, receiver: Receiver) -> Step:
        other = self._models.other()
        step = self._step_after(input_end, end, has_other_model=other is not None)
        self._is_first = False
        match step:
            case Step.FAIL:
                raise error_after(end)
            case Step.RECONNECT:
                await receiver.task_lost(time.monotonic())
                await self._reconnect(end)
            case Step.FAIL_OVER if other:
                await receiver.task_lost(time.monotonic())
                await self._fail_over(other, _reason(end))
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

    def _step_after(self, input_end: InputEnd, end: TaskEnd, *, has_other_model: bool) -> Step:
        if next_step(input_end, end, Failures(has_other_model=True)) in {Step.RECONNECT, Step.FAIL_OVER}:
            self._budget.failed()
            self._in_a_row += 1
            self._utterance_limit.task_lost(self._audio.clock.task_ms)
        failures = Failures(
            is_first_task=self._is_first,
            is_budget_spent=self._budget.is_spent,
            in_a_row=self._in_a_row,
            failed_starts=self._failed_starts,
            has_other_model=has_other_model,
        )
        return next_step(input_end, end, failures)

    def _note_final(self) -> None:
        self._budget.renew()
        self._utterance_limit.answered()
        self._in_a_row = 0
        self._failed_models.clear()

    # Tasks ------------------------------------------------------------------------------------------------------

    def _begin_task(self, upstream: Upstream) -> None:
        """Make the input of a task that begins where the log is read, and the receiver of its events."""
        audio = self._audio
        config = self._config()
        self._models.begin()
        audio.let_lag()
        if audio.silence is not None:
            audio.silence.restart()
        audio.clock.begin_task(audio.log.read_samples)
        audio.statistics.begin_task(config.model, audio.clock.position_ms)
        utterance = self._utterance(config)
        may_idle = config.model.is_remote and not self._has_hibernated
        self._task_input = TaskInput(
            audio,
            config,
            utterance,
            self._task_calls,
            ends_at_commit=upstream.ends_at_commit,
            ends_when_quiet=self._ends_when_quiet,
            idle_seconds=self._limits.task_idle_seconds if may_idle else None,
        )
        self._receiver = Receiver(
            self._task_input,
            utterance,
            audio,
            self._responder,
            self._arrival_times,
            self._progress,
            self._takeover.events,
        )

    def _config(self) -> RecognitionConfig:
        """Return the config of a task that begins where the log is read."""
        return self._models.config(needs_words=self._takeover.has_replayed)

    async def _adapt(self, update: Update) -> Adaptation | None:
        """Return an update's adaptation as the model takes it, who may be another one than when the update came."""
        config = self._config()
        if is_supported(config.model, update):
            return config.adaptation
        await self._responder.warn_of_update(unsupported_in_update(replace(config, is_strict=False), update))
        return None

    async def _until_end(self, upstream: Upstream) -> TaskEnd:
        """Run a task; cut it short when audio comes after it was ended for lack of audio."""
        try:
            async with asyncio.timeout(None) as self._finish_timeout:
                end = await upstream.run(self._task_input.config, self._task_input, self._receiver.receive)
        except TimeoutError:
            if self._task_input.end is not InputEnd.IDLE:
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

    def _utterance(self, config: RecognitionConfig) -> Utterance:
        model = config.model
        is_manual = isinstance(config.endpointing, ManualEndpointing)
        return Utterance(
            self._utterance_limit,
            max_silence_ms=None if model.outlasts_silence else self._limits.task_silence_seconds * 1000,
            is_open=self._utterance_limit.is_shortened,
            is_always_open=is_manual and "endpointing.manual" in model.options,
        )

    async def _answer_empty(self) -> None:
        await self._responder.write(CommitEmpty())

    # Another task or model takes over -----------------------------------------------------------------------------

    async def _reconnect(self, end: TaskEnd) -> None:
        """Go back to what has no final result yet, and wait a little."""
        cause, reason = _cause(end), _reason(end)
        pause_seconds = self._budget.pause_seconds(random.random())  # noqa: S311 no secret is made of it
        self._audio.statistics.metrics.reconnects[cause].inc()
        log.warning("task lost", extra={"cause": cause, "reason": reason, "pause_seconds": round(pause_seconds, 3)})
        kind = StreamEventType.ROLLED_OVER if cause == "ended" else StreamEventType.RECONNECTED
        self._takeover.replay(kind, reason, model=self._models.model)
        await asyncio.sleep(pause_seconds)

    async def _fail_over(self, other: Candidate, reason: str) -> None:
        """Go back to what has no final result yet, with another model; wait first if it has failed just now."""
        before, after = self._models.model.name, other.model.name
        self._failed_models.add(before)
        self._models.fail_over(other)
        self._in_a_row = self._failed_starts = 0
        log.warning("model changed", extra={"reason": reason, "from_model": before, "to_model": after})
        self._takeover.replay(
            StreamEventType.FAILED_OVER,
            reason,
            model=other.model,
            from_model=before,
            to_model=after,
            downgrades=self._models.warnings,
        )
        if after in self._failed_models:
            await asyncio.sleep(self._budget.pause_seconds(random.random()))  # noqa: S311 likewise

    def _hedge_wins(self, other: Candidate, upstream: Upstream, first_end: TaskEnd | None) -> tuple[TaskInput, Emit]:
        """Go on with another model that was ready first; nothing of the call has been recognized yet."""
        # A model that is too slow counts as one that is lost, or its circuit would never open.
        end = first_end or Lost(error=UpstreamLost("another model was ready first"))
        reason = _reason(end)
        self._models.ended(end)
        before, after = self._models.model.name, other.model.name
        self._models.fail_over(other)
        log.warning("model changed", extra={"reason": reason, "from_model": before, "to_model": after})
        self._takeover.begins_elsewhere(reason, before, after, self._models.warnings)
        self._begin_task(upstream)
        return self._task_input, self._receiver.receive

    async def _wait_for_a_model(self) -> Step:
        """Go on with another model where this one cannot be reached; where none can, wait."""
        other = self._models.other()
        if other is None:
            await self._models.wait()
            return Step.RECONNECT
        await self._fail_over(other, "too many of the last tasks of this model were lost")
        return Step.FAIL_OVER

    # Quiet --------------------------------------------------------------------------------------------------------

    async def _hibernate(self, input_end: InputEnd) -> None:
        """Say that no task runs until the client's next audio, unless there has been no audio at all."""
        audio = self._audio
        audio.results.deliver_until(audio.clock.offset_ms + audio.clock.position_ms)
        audio.log.release(audio.log.read_samples)
        if not audio.log.end_samples:
            return
        reason = self._why_quiet(input_end)
        audio.statistics.metrics.hibernations.inc()
        await self._responder.write(self._takeover.hibernated(reason))

    def _why_quiet(self, input_end: InputEnd) -> str:
        if input_end is not InputEnd.QUIET:
            return "the vendor ended the task of a quiet client"
        silence = self._audio.silence
        return "the channel is silent" if silence is not None and silence.is_long else "the client is quiet"


def _reason(end: TaskEnd) -> str:
    return "the vendor ended the task" if isinstance(end, Completed) else end.error.message


def _cause(end: TaskEnd) -> str:
    """Return what the loss of a task counts as: one of ``metrics.RECONNECTS``."""
    match end:
        case Completed() | Lost(error=UpstreamEnded()):
            return "ended"
        case Lost(error=Overloaded()):
            return "throttled"
        case _:
            return "lost"
