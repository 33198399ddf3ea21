"""Dialect A, ``/api-ws/v1/inference``: tasks one after another on one connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final

from aiohttp import WSMessage, WSMsgType, web

from dashscope_emulator import fault_injection
from dashscope_emulator.audio_input import UnknownFormat, open_input
from dashscope_emulator.connection import Connection, Handshake, Limit, Services
from dashscope_emulator.expected_words import of_task
from dashscope_emulator.faults import Phase
from dashscope_emulator.models import TASK_MODELS, Model
from dashscope_emulator.plain_audio import UndecodableAudio
from dashscope_emulator.recognition import Recognition
from dashscope_emulator.recognizers.base import NoRecognizerLeft, RecognizerFailed, Sentence
from dashscope_emulator.sender import Sender
from dashscope_emulator.task import Task
from dashscope_emulator.task_messages import TaskMessages
from dashscope_emulator.task_requests import (
    ContinueTask,
    FinishTask,
    RunTask,
    TaskRefused,
    invalid_payload,
    read_request,
)

_KEPT_IDS: Final = 1000
_NO_AUDIO: Final = ("NO_VALID_AUDIO_ERROR", "No valid audio was received.")
#: Source: Model Studio, "Error codes".
_FAILURES: Final[Mapping[type[Exception], tuple[str, str]]] = MappingProxyType(
    {
        NoRecognizerLeft: (
            "ModelServingError",
            "Too many requests. Your requests are being throttled due to system capacity limits.",
        ),
        RecognizerFailed: ("InternalError.Algo", "inference internal error."),
        UndecodableAudio: ("DECODE_ERROR", "Failed to decode audio"),
    }
)


class TaskConnection(Connection):
    """One WebSocket of dialect A."""

    def __init__(self, services: Services, handshake: Handshake, sender: Sender, socket: web.WebSocketResponse) -> None:
        super().__init__(services, handshake, sender, socket)
        self._task: Task | None = None
        self._used_ids: deque[str] = deque(maxlen=_KEPT_IDS)
        self._idle_since = self.opened
        self._is_busy = False

    async def on_open(self) -> None:
        """Send nothing before ``run-task``."""

    async def on_message(self, message: WSMessage) -> None:
        """Serve one message."""
        self._is_busy = True
        try:
            await self._serve(message)
        except TaskRefused as refused:
            await self._refuse(refused)
        except RecursionError:
            await self._refuse(invalid_payload(self.knobs))
        except tuple(_FAILURES) as failure:
            await self.fail(*_FAILURES[type(failure)])
        finally:
            self._is_busy = False

    async def on_end(self) -> None:
        """End the task that the client left behind."""
        await self._end_task("disconnected")

    async def fail(self, code: str, message: str) -> None:
        """Send ``task-failed``, and close."""
        await self._refuse(TaskRefused(code, message))

    def unknown_event(self, padding: int) -> str:
        """Return an event that no manual knows."""
        return TaskMessages("", self.knobs).unknown(padding)

    def limits(self) -> Iterator[Limit]:
        """Yield the time limits in force: of the connection, and of its task or of the time between two."""
        yield from super().limits()
        if self._task is not None:
            yield from self._task_limits(self._task)
        elif idle := self.knobs.idle_seconds if self._used_ids else self.knobs.first_task_seconds:
            yield Limit(self._idle_since + self.scaled(idle), self.close_idle)

    def _task_limits(self, task: Task) -> Iterator[Limit]:
        if task.is_finishing:
            return
        if not task.is_started:
            yield Limit(task.starts_at, partial(self._send_started, task))
        last_data = self.now() if self._is_busy else task.last_data
        yield Limit(last_data + self.scaled(self.knobs.no_data_seconds), self._fail_without_data)
        if task.has_heartbeat:
            yield Limit(task.last_result + self.scaled(self.knobs.heartbeat_seconds), self._send_heartbeat)
        else:
            yield Limit(task.last_result + self.scaled(self.knobs.silence_seconds), self._end_silence)

    async def _serve(self, message: WSMessage) -> None:
        match message.type:
            case WSMsgType.BINARY:
                await self._receive_audio(message.data)
            case WSMsgType.TEXT:
                await self._receive_text(message.data)
            case _ if self._task and self.knobs.pings_are_data:
                self._task.last_data = self.now()

    async def _receive_text(self, text: str) -> None:
        match read_request(text, self.knobs):
            case RunTask() as request:
                await self._run(request)
            case ContinueTask(task_id=task_id, context=context):
                await self._continue(self._task_named(task_id), context)
            case FinishTask(task_id=task_id):
                await self._finish(self._task_named(task_id))

    async def _run(self, request: RunTask) -> None:
        if self._task is not None:
            if self.knobs.second_run == "ignore":
                return
            raise TaskRefused(self.knobs.bad_frame_code, "A task is already running.", request.task_id)
        if request.task_id in self._used_ids and self.knobs.repeated_task_id == "task-failed":
            raise TaskRefused(self.knobs.bad_frame_code, "The task id has been used.", request.task_id)
        model = TASK_MODELS.get(request.model)
        if model is None:
            await self._refuse_model(request)
            return
        self._used_ids.append(request.task_id)
        self._task = task = self._new_task(request, model)
        await fault_injection.apply(self, self.faults(Phase.START, task.journal).due())
        if not self.is_over:
            self._check_vocabulary(request)
            await self._open_recognizer(task)
        if self._task is task:  # no time limit has ended it in the meantime
            await self._start(task)

    async def _refuse_model(self, request: RunTask) -> None:
        if self.knobs.unknown_model == "task-failed":
            raise TaskRefused("ModelNotFound", f"Model not found ({request.model})!", request.task_id)
        await self.close(1007, "Model not found")

    def _new_task(self, request: RunTask, model: Model) -> Task:
        usual = model.rates_hertz[0] if model.rates_hertz else self.knobs.default_sample_rate
        rate_hertz = request.parameters.get("sample_rate", usual)
        try:
            audio_input = open_input(request.parameters.get("format", self.knobs.default_format), rate_hertz)
        except UnknownFormat:
            raise TaskRefused("UNSUPPORTED_FORMAT", "Unsupported audio format.", request.task_id) from None
        journal = self.services.journals.begin(self.handshake.connection, request.task_id, request.model)
        journal.headers = self.handshake.headers
        journal.parameters = dict(request.parameters)
        journal.resources = list(request.resources)
        if request.context is not None:
            journal.contexts.append(request.context)
        return Task(
            request=request,
            model=model,
            messages=TaskMessages(request.task_id, self.knobs),
            recognition=Recognition(audio_input, rate_hertz, journal),
            journal=journal,
            knobs=self.knobs,
            speech_faults=self.faults(Phase.SPEECH, journal),
            last_data=self.now(),
            last_result=self.now(),
        )

    def _check_vocabulary(self, request: RunTask) -> None:
        vocabulary_id = request.parameters.get("vocabulary_id")
        if vocabulary_id is None or self.knobs.unknown_vocabulary == "ignore":
            return
        if vocabulary_id not in self.services.vocabularies:
            raise TaskRefused("NotFound", "Not found!", request.task_id)

    async def _open_recognizer(self, task: Task) -> None:
        async def emit(sentence: Sentence) -> None:
            if not task.is_understood or self.is_over:
                return
            task.last_result = self.now()
            for message in task.results(sentence):
                await self.sender.send_result(message, after_seconds=self.services.recognizers.delay_seconds)

        words = of_task(task.request, self.services.vocabularies, self.services.phrases)
        await task.recognition.open(self.services.recognizers, task.sentence_silence_ms, words, emit)

    async def _start(self, task: Task) -> None:
        """Start a task after the time that the vendor takes; until then, what the client sends may be refused.

        Source: Model Studio says that audio or finish-task before task-started makes the task fail; its Java SDK sends
        audio 40 ms after run-task all the same.
        """
        task.starts_at = task.last_data = task.last_result = self.now() + self.knobs.start_seconds
        if self.knobs.early_frames == "hold" or not self.knobs.start_seconds:
            await self._send_started(task, self.knobs.start_seconds)  # results wait behind it
        self.limits_changed()

    async def _send_started(self, task: Task, after_seconds: float = 0.0) -> None:
        task.is_started = True
        await self.sender.send(task.messages.started(), after_seconds=after_seconds)

    async def _receive_audio(self, data: bytes) -> None:
        task = self._task
        if task is None and self._used_ids and self.knobs.late_audio == "ignore":
            return
        if task is None or not task.is_started:
            raise self._not_started()
        if data or self.knobs.empty_frames_are_data:
            task.last_data = self.now()
        await task.recognition.feed(data)
        due = task.speech_faults.due(audio_ms=task.recognition.audio_ms, packets=task.journal.packets)
        await fault_injection.apply(self, due)

    async def _continue(self, task: Task, context: object) -> None:
        """Expect the words of a new context in place of those of the old one."""
        task.journal.contexts.append(context)
        request = replace(task.request, context=context)
        words = of_task(request, self.services.vocabularies, self.services.phrases)
        await task.recognition.adapt(task.sentence_silence_ms, words)
        if self.knobs.continue_is_data:
            task.last_data = self.now()

    async def _finish(self, task: Task) -> None:
        task.is_finishing = True
        await task.recognition.end_input()
        if not task.recognition.pcm_bytes:
            raise TaskRefused(*_NO_AUDIO)
        await task.recognition.commit()
        if task.sentence_number == 1 and self.knobs.silence_only == "task-failed":
            raise TaskRefused(*_NO_AUDIO)
        await fault_injection.apply(self, self.faults(Phase.FINISH, task.journal).due())
        if self.is_over:
            return
        finished = task.finished()
        await self._end_task("finished")
        await self.sender.send(finished, after_seconds=self.services.recognizers.delay_seconds)
        self._idle_since = self.now()
        self.limits_changed()

    def _task_named(self, task_id: str) -> Task:
        if self._task is None or not self._task.is_started:
            raise self._not_started(task_id)
        if task_id != self._task.request.task_id and self.knobs.foreign_task_id == "task-failed":
            raise TaskRefused(self.knobs.bad_frame_code, "No such task.", task_id)
        return self._task

    def _not_started(self, task_id: str = "") -> TaskRefused:
        return TaskRefused(self.knobs.bad_frame_code, "The task has not been started yet.", task_id)

    async def _refuse(self, refused: TaskRefused) -> None:
        if self.is_over:
            return
        self.is_over = True
        messages = self._task.messages if self._task else TaskMessages(refused.task_id, self.knobs)
        await self._end_task("failed")
        await self.sender.send(messages.failed(refused.code, refused.message))
        after_seconds = self.knobs.failure_close_seconds
        if after_seconds is not None:
            await self.close(self.knobs.failure_close_code, after_seconds=after_seconds)
        self.limits_changed()

    async def _end_task(self, outcome: str) -> None:
        if self._task is not None:
            task, self._task = self._task, None
            self.services.journals.end(task.journal, outcome)
            await task.recognition.close()

    async def _fail_without_data(self) -> None:
        """Source: Model Studio, server events of Paraformer: the code and the text."""
        await self.fail("CLIENT_ERROR", "request timeout after 23 seconds.")

    async def _end_silence(self) -> None:
        if self.knobs.silence_ends == "task-failed":
            await self.fail("RequestTimeOut", "Response timeout!")
        else:
            await self.close_idle()

    async def _send_heartbeat(self) -> None:
        task = self._task
        if task is None:
            return
        has_new_data = task.last_data > task.last_result
        task.last_result = self.now()
        if has_new_data:
            await self.sender.send_result(task.heartbeat())
