"""Passes the events of a task on to the client: moved to the client's clock, numbered, written."""

from __future__ import annotations

import time
from collections.abc import Sequence

from asrgateway_server.call.arrival_times import ArrivalTimes
from asrgateway_server.call.clock import Clock
from asrgateway_server.call.responder import Responder
from asrgateway_server.call.responses import Result
from asrgateway_server.call.results import Results
from asrgateway_server.call.statistics import Statistics
from asrgateway_server.call.task_input import TaskInput
from asrgateway_server.call.utterance import Utterance
from asrgateway_server.events import (
    BackendEvent,
    CommitEmpty,
    FinalResult,
    InterimResult,
    OptionWarning,
    Ready,
    SpeechEnded,
    SpeechStarted,
    UpdateApplied,
)
from asrgateway_server.tracing import call_trace


class Receiver:
    """Receives the events of one task.

    Args:
        task_input: The task's input.
        utterance: The open utterance of the task.
        clock: Moves times to the client's clock.
        results: Numbers the results.
        responder: Writes the responses.
        statistics: Counts them.
        arrival_times: Has the times at which audio came.
    """

    def __init__(
        self,
        task_input: TaskInput,
        utterance: Utterance,
        clock: Clock,
        results: Results,
        responder: Responder,
        statistics: Statistics,
        arrival_times: ArrivalTimes,
    ) -> None:
        self._task_input = task_input
        self._utterance = utterance
        self._clock = clock
        self._results = results
        self._responder = responder
        self._statistics = statistics
        self._arrival_times = arrival_times

    async def receive(self, event: BackendEvent, read_at: float) -> None:
        """Take one event; see ``Emit``."""
        self._utterance.message(self._clock.task_ms)
        match event:
            case InterimResult():
                await self._interim(event, read_at)
            case FinalResult():
                await self._final(event, read_at)
            case SpeechStarted():
                self._utterance.open(event.offset_ms)
                await self._write(self._results.speech_started(), read_at)
                await self._boundary(event)
            case SpeechEnded():
                await self._boundary(event)
            case CommitEmpty():
                self._utterance.close(self._clock.task_ms)
                if self._results.commit_empty():
                    await self._responder.write(event)
            case Ready():
                await self._ready(event)
            case UpdateApplied():
                await self._responder.write(event)
            case OptionWarning():
                await self._responder.warn(event)

    async def task_ended(self, read_at: float) -> None:
        """Answer the commits that the end of the task leaves open."""
        for answer in self._results.task_ended():
            if isinstance(answer, CommitEmpty):
                await self._responder.write(answer)
            else:
                await self._write((answer,), read_at)

    async def _interim(self, event: InterimResult, read_at: float) -> None:
        self._utterance.open(self._clock.task_ms if event.start_ms is None else event.start_ms)
        if self._responder.wants_interim_results:
            await self._write(self._results.interim(self._clock.move_result(event)), read_at)
        else:
            await self._write(self._results.speech_started(), read_at)

    async def _final(self, event: FinalResult, read_at: float) -> None:
        self._utterance.close(self._clock.task_ms)
        end_ms = self._clock.task_ms if event.end_ms is None else event.end_ms
        self._statistics.final_ms = max(self._statistics.final_ms, self._clock.audio_ms(end_ms))
        await self._write(self._results.final(self._clock.move_result(event)), read_at)

    async def _boundary(self, event: SpeechStarted | SpeechEnded) -> None:
        if self._responder.wants_speech_events:
            await self._responder.write(self._clock.move_boundary(event))

    async def _ready(self, ready: Ready) -> None:
        self._task_input.task_is_ready()
        call_trace.get().task_ready(ready.request_id)
        if ready.request_id:
            self._statistics.request_ids.append(ready.request_id)
        await self._responder.start(ready, self._task_input.config)

    async def _write(self, results: Sequence[Result], read_at: float) -> None:
        for result in results:
            await self._responder.write_result(result, read_at)
            if result.is_final:
                self._statistics.final_results += 1
                self._observe_lag(result)

    def _observe_lag(self, final: Result) -> None:
        """Observe how long ago the last audio of a final result came."""
        if final.end_ms is None:
            return
        arrived_at = self._arrival_times.of(final.end_ms - self._clock.offset_ms)
        if arrived_at is not None:
            self._statistics.metrics.result_lag.observe(time.monotonic() - arrived_at, call_trace.get().exemplar)
