"""Passes the events of a task on to the client: moved to the client's clock, numbered, written."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asrgateway_server.call.arrival_times import ArrivalTimes
from asrgateway_server.call.responder import Responder
from asrgateway_server.call.responses import Result, StreamEvent, StreamEventType
from asrgateway_server.call.task_input import CallAudio, TaskInput
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is called when a task makes progress.

    Attributes:
        ready: The upstream has accepted the task.
        final: A final result was sent.
        empty: A commit was answered: nothing was said.
    """

    ready: Callable[[], None]
    final: Callable[[], None]
    empty: Callable[[], None]


class Receiver:
    """Receives the events of one task.

    Attributes:
        ready_at: When the task was ready (``time.monotonic()``); None: it never was.

    Args:
        task_input: The task's input.
        utterance: The open utterance of the task.
        audio: The audio of the call.
        responder: Writes the responses.
        arrival_times: Has the times at which audio came.
        progress: Is notified of it.
        events: What the client gets once the task is ready.
    """

    def __init__(
        self,
        task_input: TaskInput,
        utterance: Utterance,
        audio: CallAudio,
        responder: Responder,
        arrival_times: ArrivalTimes,
        progress: Progress,
        events: list[StreamEvent],
    ) -> None:
        self.ready_at: float | None = None
        self._task_input = task_input
        self._utterance = utterance
        self._log = audio.log
        self._silence = audio.silence
        self._clock = audio.clock
        self._results = audio.results
        self._statistics = audio.statistics
        self._responder = responder
        self._arrival_times = arrival_times
        self._progress = progress
        self._events = events
        self._last_interim: InterimResult | None = None
        self._speech_ended_ms: int | None = None

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
                self._speech_ended_ms = event.offset_ms
                await self._boundary(event)
            case CommitEmpty():
                self._utterance.close(self._clock.task_ms)
                self._progress.empty()
                await self._write(self._results.commit_empty(), read_at)
                self._task_input.answer_received()
            case Ready():
                await self._ready(event)
            case UpdateApplied():
                if self._results.update_applied():
                    await self._responder.write(event)
            case OptionWarning():
                await self._responder.warn(event)

    async def task_ended(self, read_at: float) -> None:
        """Answer the commits that the end of the task leaves open."""
        await self._write(self._results.task_ended(), read_at)

    async def task_lost(self, read_at: float) -> None:
        """Keep what another task has to know."""
        last = self._last_interim and self._clock.move_result(self._last_interim)
        await self._write(self._results.task_lost(last), read_at)

    async def _interim(self, event: InterimResult, read_at: float) -> None:
        if self._silence is not None:
            self._silence.restart()
        self._last_interim = event
        self._utterance.open(self._clock.task_ms if event.start_ms is None else event.start_ms)
        if self._responder.wants_interim_results:
            await self._write(self._results.interim(self._clock.move_result(event)), read_at)
        else:
            await self._write(self._results.hidden_interim(), read_at)

    async def _final(self, event: FinalResult, read_at: float) -> None:
        self._last_interim = None
        self._utterance.close(self._clock.task_ms)
        until_ms = self._clock.client_ms(self._end_ms(event))
        await self._write(self._results.final(self._clock.move_result(event), until_ms), read_at)
        self._task_input.answer_received()

    def _end_ms(self, event: FinalResult) -> int:
        """Return where a result ends: as far as the model, its end of speech or the audio sent says."""
        speech_ended_ms, self._speech_ended_ms = self._speech_ended_ms, None
        if event.end_ms is not None:
            return event.end_ms
        return self._clock.task_ms if speech_ended_ms is None else speech_ended_ms

    async def _boundary(self, event: SpeechStarted | SpeechEnded) -> None:
        boundary = self._clock.move_boundary(event)
        if self._responder.wants_speech_events and self._results.is_new(boundary):
            await self._responder.write(boundary)

    async def _ready(self, ready: Ready) -> None:
        self.ready_at = time.monotonic()
        self._progress.ready()
        self._task_input.task_is_ready()
        call_trace.get().task_ready(self._task_input.config.model.name, ready.request_id)
        if ready.request_id:
            self._statistics.request_ids.append(ready.request_id)
        await self._responder.start(ready, self._task_input.config)
        while self._events:
            event = self._events.pop(0)
            self._statistics.reconnects += event.type is StreamEventType.RECONNECTED
            await self._responder.write(event)

    async def _write(self, answers: Sequence[Result | CommitEmpty], read_at: float) -> None:
        self._release()
        for answer in answers:
            if isinstance(answer, CommitEmpty):
                await self._responder.write(answer)
            else:
                await self._write_result(answer, read_at)

    async def _write_result(self, result: Result, read_at: float) -> None:
        await self._responder.write_result(result, read_at)
        if result.is_final:
            self._progress.final()
            self._statistics.final_results += 1
            self._observe_lag(result)

    def _release(self) -> None:
        """Give up the audio that no task has to recognize again."""
        if self._results.delivered_ms > self._statistics.final_ms:
            self._statistics.final_ms = self._results.delivered_ms
            self._log.release(self._clock.samples(self._results.replay_from_ms - self._clock.offset_ms))

    def _observe_lag(self, final: Result) -> None:
        """Observe how long ago the last audio of a final result came."""
        if final.end_ms is None:
            return
        arrived_at = self._arrival_times.of(final.end_ms - self._clock.offset_ms)
        if arrived_at is not None:
            self._statistics.metrics.result_lag.observe(time.monotonic() - arrived_at, call_trace.get().exemplar)
