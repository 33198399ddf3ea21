"""Runs the tasks of a call, one after the other: run one, look at how it ended, take the next step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from asrgateway_server.backends.base import Backend, Commit, Completed, Lost, TaskEnd, Upstream
from asrgateway_server.call.arrival_times import ArrivalTimes
from asrgateway_server.call.audio_log import End
from asrgateway_server.call.limits import Limits
from asrgateway_server.call.policy import InputEnd, Step, error_after, next_step
from asrgateway_server.call.receiver import Receiver
from asrgateway_server.call.responder import Responder
from asrgateway_server.call.task_input import CallAudio, TaskInput
from asrgateway_server.call.utterance import Utterance
from asrgateway_server.config import ManualEndpointing, RecognitionConfig, Update
from asrgateway_server.errors import UpstreamLost
from asrgateway_server.events import CommitEmpty, UpdateApplied
from asrgateway_server.tracing import call_trace


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
        self._backend = backend
        self._audio = audio
        self._limits = limits
        self._responder = responder
        self._arrival_times = arrival_times
        self._has_hibernated = False
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
                    await self._wait_for_audio()
            await finish()

    async def _run_task(self, upstream: Upstream) -> Step:
        """Run a task; return the step that follows, or raise the error that ends the call."""
        task_input, receiver = self._task(upstream)
        self._audio.clock.begin_task()
        self._audio.statistics.begin_task(self._config.model)
        billed_ms = None
        try:
            with call_trace.get().task(self._config.model.name):
                end = await self._until_end(upstream, task_input, receiver)
            billed_ms = end.billed_ms if isinstance(end, Completed) else None
        finally:
            self._audio.statistics.end_task(billed_ms)
        self._config = task_input.config
        step = next_step(task_input.end, end)
        if step is Step.FAIL:
            raise error_after(end)
        if isinstance(end, Completed) and step is not Step.HIBERNATE:
            self._audio.statistics.delays.end_read = end.read_at
        await receiver.task_ended(time.monotonic())
        return step

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

    def _task(self, upstream: Upstream) -> tuple[TaskInput, Receiver]:
        """Return the input of a task and the receiver of its events."""
        audio, config = self._audio, self._config
        utterance = self._utterance()
        may_idle = config.model.is_remote and not self._has_hibernated
        task_input = TaskInput(
            audio,
            config,
            utterance,
            ends_at_commit=upstream.ends_at_commit,
            begins_with_audio=self._has_hibernated,
            idle_seconds=self._limits.task_idle_seconds if may_idle else None,
            answer_empty=self._answer_empty,
            end_early=self._cut_finish_short,
        )
        receiver = Receiver(
            task_input,
            utterance,
            audio.clock,
            audio.results,
            self._responder,
            audio.statistics,
            self._arrival_times,
        )
        return task_input, receiver

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

    async def _wait_for_audio(self) -> None:
        """Wait without a task until the client sends audio; answer commits and updates meanwhile."""
        self._has_hibernated = True
        log = self._audio.log
        while not log.has_audio:
            match item := log.read(1):
                case Commit():
                    await self._answer_empty()
                case Update():
                    self._config = replace(self._config, adaptation=item.adaptation)
                    await self._responder.write(UpdateApplied())
                case End():
                    return
                case _:
                    await log.wait(1, None)
