"""Dialect A, ``/api-ws/v1/inference``: tasks one after another on one connection."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from aiohttp import WSMessage, WSMsgType, web

from dashscope_emulator.audio_input import AudioInput, UnknownFormat, open_input
from dashscope_emulator.connection import Connection, Peer, World
from dashscope_emulator.expected_words import of_task
from dashscope_emulator.faults import FaultPlan, Phase
from dashscope_emulator.journal import Journal
from dashscope_emulator.models import TASK_MODELS, Model, Shape
from dashscope_emulator.plain_audio import UndecodableAudio
from dashscope_emulator.recognizers.base import (
    Emit,
    Heard,
    NoRecognizerLeft,
    Recognizer,
    RecognizerFailed,
    Stream,
)
from dashscope_emulator.task_messages import TaskVoice, usage
from dashscope_emulator.task_requests import (
    ContinueTask,
    FinishTask,
    RunTask,
    TaskRefused,
    read_request,
)

_ROUNDING: Final[Mapping[str, Callable[[float], int]]] = MappingProxyType(
    {"up": math.ceil, "down": math.floor, "nearest": round}
)
_KEPT_IDS: Final = 1000
_MAX_BILLED_WORDS: Final = 10**9


@dataclass(slots=True, kw_only=True)
class _Task:
    """What the connection knows of the task it serves; seconds are on the loop's clock.

    Attributes:
        request: What it was asked for.
        voice: Its events.
        model: Its model.
        input: Takes its audio out of the container.
        journal: What was noted of it.
        rate_hertz: Samples per second.
        sentence_silence_ms: The silence that ends a sentence.
        has_heartbeat: Silence does not end it.
        has_interims: The client sees sentences before they end.
        misfortunes: The faults that may strike it in speech.
        last_data: When the client was heard last.
        last_sign: When it was last told something of the audio.
        sentence: Number of the open or the next sentence.
        is_open: A sentence has begun.
        words: Words in finals so far.
        is_finishing: ``finish-task`` has come.
    """

    request: RunTask
    voice: TaskVoice
    model: Model
    input: AudioInput
    journal: Journal
    rate_hertz: int
    sentence_silence_ms: int
    has_heartbeat: bool
    has_interims: bool
    misfortunes: FaultPlan
    last_data: float
    last_sign: float
    recognizer: Recognizer | None = None
    pcm_bytes: int = 0
    sentence: int = 1
    is_open: bool = False
    words: int = 0
    is_finishing: bool = False

    @property
    def audio_ms(self) -> int:
        return self.pcm_bytes * 1000 // (self.rate_hertz * 2)


class TaskConnection(Connection):
    """One WebSocket of dialect A."""

    def __init__(self, world: World, peer: Peer, socket: web.WebSocketResponse, request: web.Request) -> None:
        super().__init__(world, peer, socket, request)
        self._task: _Task | None = None
        self._used_ids: deque[str] = deque(maxlen=_KEPT_IDS)
        self._idle_since = self.opened
        self._is_over = False
        self._is_busy = False

    async def begin(self) -> None:
        """The server is silent until ``run-task``."""

    async def heard(self, message: WSMessage) -> None:
        """Serve one message."""
        if self._is_over:
            return
        self._is_busy = True
        try:
            if message.type is WSMsgType.BINARY:
                await self._audio(message.data)
            elif message.type is WSMsgType.TEXT:
                await self._text(message.data)
            elif self._task and self.knobs.pings_are_data:
                self._task.last_data = self.now()
        except TaskRefused as refused:
            await self._fail(refused)
        except NoRecognizerLeft:
            await self.fail(
                "ModelServingError",
                "Too many requests. Your requests are being throttled due to system capacity limits.",
            )
        except RecognizerFailed:
            await self.fail("InternalError.Algo", "inference internal error.")
        except RecursionError:
            await self.fail(self.knobs.bad_frame_code, "Invalid payload data")
        except UndecodableAudio:
            await self.fail("DECODE_ERROR", "Failed to decode audio")
        finally:
            self._is_busy = False

    async def over(self) -> None:
        """End the task that the client left behind."""
        await self._end_task("disconnected")

    async def fail(self, code: str, message: str) -> None:
        """``task-failed`` for the task at hand."""
        await self._fail(TaskRefused(code, message))

    def strange_event(self, padding: int) -> str:
        """An event nobody knows."""
        return self._voice("").strange(padding)

    def deadline(self) -> float | None:
        """The nearest of the limits of time."""
        return min((at for at, _ in self._deadlines()), default=None)

    async def overdue(self) -> None:
        """Do what the limit asks that has passed."""
        for at, act in self._deadlines():
            if at <= self.now():
                await act()
                return

    def _deadlines(self) -> list[tuple[float, Callable[[], Awaitable[None]]]]:
        if self._is_over:
            return []
        knobs = self.knobs
        limits: list[tuple[float, Callable[[], Awaitable[None]]]] = []
        if knobs.connection_seconds:
            limits.append((self.opened + self.scaled(knobs.connection_seconds), self._close_idle))
        if knobs.expired_token_closes and self.peer.token_expires is not None:
            limits.append((self.peer.token_expires, self._close_expired))
        if self._task is not None:
            return limits + self._task_deadlines(self._task)
        idle = knobs.idle_seconds if self._used_ids else knobs.first_task_seconds
        if idle:
            limits.append((self._idle_since + self.scaled(idle), self._close_idle))
        return limits

    def _task_deadlines(self, task: _Task) -> list[tuple[float, Callable[[], Awaitable[None]]]]:
        if task.is_finishing:
            return []
        last_data = self.now() if self._is_busy else task.last_data
        no_data = (last_data + self.scaled(self.knobs.no_data_seconds), self._no_data)
        if task.has_heartbeat:
            return [no_data, (task.last_sign + self.scaled(self.knobs.heartbeat_seconds), self._heartbeat)]
        return [no_data, (task.last_sign + self.scaled(self.knobs.silence_seconds), self._only_silence)]

    async def _text(self, text: str) -> None:
        match read_request(text, self.knobs):
            case RunTask() as request:
                await self._run(request)
            case ContinueTask(task_id=task_id, context=context):
                task = self._task_named(task_id)
                task.journal.contexts.append(context)
                await self._remind(task, context)
                if self.knobs.continue_is_data:
                    task.last_data = self.now()
            case FinishTask(task_id=task_id):
                await self._finish(self._task_named(task_id))

    async def _remind(self, task: _Task, context: object) -> None:
        """Have the words of a new context expected in place of those of the old one."""
        request = replace(task.request, context=context)
        words = of_task(request, self.world.vocabularies, self.world.phrases)
        if task.recognizer is not None:
            await task.recognizer.adapt(task.sentence_silence_ms, words)

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
        self._task = task = self._begin_task(request, model)
        await self.suffer(self._faults(Phase.START, task.journal).due())
        if self._is_over:
            return
        self._check_vocabulary(request)
        stream = Stream(
            sample_rate_hertz=task.rate_hertz,
            sentence_silence_ms=task.sentence_silence_ms,
            journal=task.journal,
            hotwords=of_task(request, self.world.vocabularies, self.world.phrases),
        )
        task.recognizer = await self.world.recognizers.open(stream, self._emit(task))
        if self._task is not task:  # a limit has passed in the meantime
            await task.recognizer.close()
            return
        await self._wait_to_start()
        if self._task is not task:
            return
        task.last_data = task.last_sign = self.now()
        await self.line.say(task.voice.started())
        self.changed()

    async def _refuse_model(self, request: RunTask) -> None:
        if self.knobs.unknown_model == "task-failed":
            raise TaskRefused("ModelNotFound", f"Model not found ({request.model})!", request.task_id)
        self._is_over = True
        await self.line.close(1007, "Model not found")

    def _begin_task(self, request: RunTask, model: Model) -> _Task:
        given = request.parameters
        rate = given.get("sample_rate", model.rates_hertz[0] if model.rates_hertz else self.knobs.default_sample_rate)
        name = str(given.get("format", self.knobs.default_format))
        try:
            audio_input = open_input(name, rate, resamples=self.knobs.coded_rate == "convert")
        except UnknownFormat:
            raise TaskRefused("UNSUPPORTED_FORMAT", "Unsupported audio format.", request.task_id) from None
        journal = self.world.journals.begin(self.peer.number, request.task_id, request.model)
        journal.headers = self.peer.headers
        journal.parameters = dict(given)
        journal.resources = list(request.resources)
        if request.context is not None:
            journal.contexts.append(request.context)
        return _Task(
            request=request,
            voice=self._voice(request.task_id),
            model=model,
            input=audio_input,
            journal=journal,
            rate_hertz=rate,
            sentence_silence_ms=self._sentence_silence_ms(given, model),
            has_heartbeat=model.has_heartbeat and given.get("heartbeat") is True,
            has_interims=not model.interims_on_request or given.get("intermediate_result_enabled") is True,
            misfortunes=self._faults(Phase.SPEECH, journal),
            last_data=self.now(),
            last_sign=self.now(),
        )

    def _sentence_silence_ms(self, parameters: Mapping[str, Any], model: Model) -> int:
        """Source: Model Studio: ``max_sentence_silence`` counts only while semantic segmentation is off."""
        if parameters.get("semantic_punctuation_enabled") is True:
            return self.knobs.semantic_silence_ms
        silence_ms: int = parameters.get("max_sentence_silence", model.sentence_silence_ms)
        return silence_ms

    def _check_vocabulary(self, request: RunTask) -> None:
        vocabulary_id = request.parameters.get("vocabulary_id")
        if vocabulary_id is None or self.knobs.unknown_vocabulary == "ignore":
            return
        if vocabulary_id not in self.world.vocabularies:
            raise TaskRefused("NotFound", "Not found!", request.task_id)

    async def _wait_to_start(self) -> None:
        """Let the time pass that the vendor takes; what the client sends in it is heard afterwards, or too early.

        Source: Model Studio says that audio or finish-task before task-started makes the task fail; its Java SDK sends
        audio 40 ms after run-task all the same.
        """
        is_strict = self.knobs.early_frames == "task-failed"
        if await self.hold_messages(self.knobs.start_seconds, only_one=is_strict) and is_strict:
            raise TaskRefused(self.knobs.early_frame_code, "The task has not been started yet.")

    async def _audio(self, data: bytes) -> None:
        task = self._task
        if task is None:
            if self._used_ids and self.knobs.late_audio == "ignore":
                return
            raise TaskRefused(self.knobs.early_frame_code, "The task has not been started yet.")
        if data or self.knobs.empty_frames_are_data:
            task.last_data = self.now()
        task.journal.packets += 1
        await self._hear(task, await self.decoded(task.input, data))
        await self.suffer(task.misfortunes.due(audio_ms=task.audio_ms, packets=task.journal.packets))

    async def _hear(self, task: _Task, pcm: bytes) -> None:
        task.pcm_bytes += len(pcm)
        task.journal.audio_ms = task.audio_ms
        if pcm and task.recognizer is not None:
            await task.recognizer.hear(pcm)

    async def _finish(self, task: _Task) -> None:
        task.is_finishing = True
        await self._hear(task, task.input.end())
        if not task.pcm_bytes and self.knobs.no_audio == "task-failed":
            raise TaskRefused("NO_VALID_AUDIO_ERROR", "No valid audio was received.")
        if task.recognizer is not None:
            await task.recognizer.commit()
        if task.sentence == 1 and self.knobs.silence_only == "task-failed":
            raise TaskRefused("NO_VALID_AUDIO_ERROR", "No valid audio was received.")
        await self.suffer(self._faults(Phase.FINISH, task.journal).due())
        if self._is_over:
            return
        has_totals = task.model.shape is Shape.QWEN_AUDIO_TOKENS
        finished = task.voice.finished(self._usage(task) if has_totals else "null")
        after_seconds = self.world.recognizers.delay_seconds + self.knobs.finish_seconds
        await self._end_task("finished")
        await self.line.say(finished, after_seconds=after_seconds)
        self._idle_since = self.now()
        self.changed()

    def _emit(self, task: _Task) -> Emit:
        """Where the task's recogniser says what it hears."""
        delay_seconds = self.world.recognizers.delay_seconds
        is_understood = not task.model.rates_hertz or task.rate_hertz in task.model.rates_hertz
        if not is_understood and self.knobs.wrong_sample_rate == "task-failed":
            raise TaskRefused("InvalidParameter", "The sample rate is not supported by the model.")

        async def emit(heard: Heard) -> None:
            if is_understood and not self._is_over:
                for message in self._results(task, heard):
                    await self.line.say_result(message, after_seconds=delay_seconds)

        return emit

    def _results(self, task: _Task, heard: Heard) -> list[str]:
        """The messages that say it, and count it."""
        task.last_sign = self.now()
        messages = []
        if not task.is_open and task.has_interims and self._begins_empty(task.model):
            messages.append(task.voice.sentence_begin(heard.begin_ms, task.model, task.sentence))
        task.is_open = not heard.is_final
        if heard.is_final:
            task.words = min(task.words + len(heard.words), _MAX_BILLED_WORDS)
            messages.append(task.voice.result(heard, task.model, task.sentence, self._usage(task)))
            task.sentence += 1
        elif task.has_interims:
            messages.append(task.voice.result(heard, task.model, task.sentence, "null"))
        return messages

    def _begins_empty(self, model: Model) -> bool:
        return self.knobs.empty_first_interim or model.shape in (Shape.QWEN_AUDIO, Shape.QWEN_AUDIO_TOKENS)

    def _usage(self, task: _Task) -> str:
        seconds = _ROUNDING[self.knobs.duration_rounding](task.pcm_bytes / (task.rate_hertz * 2))
        return usage(task.model, seconds, task.words)

    def _task_named(self, task_id: str) -> _Task:
        if self._task is None:
            raise TaskRefused(self.knobs.early_frame_code, "The task has not been started yet.", task_id)
        is_foreign = task_id != self._task.journal.task_id
        if is_foreign and self.knobs.foreign_task_id == "task-failed":
            raise TaskRefused(self.knobs.bad_frame_code, "No such task.", task_id)
        return self._task

    def _voice(self, task_id: str) -> TaskVoice:
        return TaskVoice(task_id, self.knobs)

    def _faults(self, phase: Phase, journal: Journal) -> FaultPlan:
        return self.world.faults.select(phase, connection=self.peer.number, task=journal.task, model=journal.model)

    async def _fail(self, refused: TaskRefused) -> None:
        if self._is_over:
            return
        self._is_over = True
        task_id = self._task.journal.task_id if self._task else refused.task_id
        await self._end_task("failed")
        await self.line.say(self._voice(task_id).failed(refused.code, refused.message))
        if self.knobs.failure_closes:
            seconds = self.knobs.failure_close_seconds
            await self.line.close(self.knobs.failure_close_code, after_seconds=seconds)
        self.changed()

    async def _end_task(self, outcome: str) -> None:
        if self._task is None:
            return
        task, self._task = self._task, None
        self.world.journals.end(task.journal, outcome)
        if task.recognizer is not None:
            await task.recognizer.close()

    async def _close_idle(self) -> None:
        self._is_over = True
        await self.line.close(self.knobs.idle_close_code)

    async def _close_expired(self) -> None:
        self._is_over = True
        await self.line.close(self.knobs.policy_close_code, "token expired")

    async def _no_data(self) -> None:
        """Source: Model Studio, server events of Paraformer: the code and the text."""
        await self.fail("CLIENT_ERROR", "request timeout after 23 seconds.")

    async def _only_silence(self) -> None:
        if self.knobs.silence_ends == "task-failed":
            await self.fail("RequestTimeOut", "Response timeout!")
        else:
            await self._close_idle()

    async def _heartbeat(self) -> None:
        task = self._task
        if task is None:
            return
        is_fed = task.last_data > task.last_sign
        task.last_sign = self.now()
        if is_fed:
            await self.line.say_result(task.voice.heartbeat(task.audio_ms, task.model))
