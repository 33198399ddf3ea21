"""One task of dialect A: what it was asked for, what has come of it, and the messages for its results. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from dashscope_emulator.fault_schedule import PendingFaults
from dashscope_emulator.journal import Journal
from dashscope_emulator.knobs import Knobs
from dashscope_emulator.models import Model, Shape
from dashscope_emulator.recognition import Recognition
from dashscope_emulator.recognizers.base import Sentence
from dashscope_emulator.task_messages import TaskMessages, usage
from dashscope_emulator.task_requests import RunTask

_ROUNDING: Final[Mapping[str, Callable[[float], int]]] = MappingProxyType(
    {"up": math.ceil, "down": math.floor, "nearest": round}
)
_MAX_BILLED_WORDS: Final = 10**9
_SEMANTIC_SILENCE_MS: Final = 2000


@dataclass(slots=True, kw_only=True)
class Task:
    """A task that runs; times are on the loop's clock.

    Attributes:
        request: What the client asked for.
        model: Its model.
        messages: Writes its events.
        recognition: Its audio.
        journal: What was noted of it.
        speech_faults: The faults that may be applied while audio comes.
        last_data: When the client sent the last data.
        last_result: When the last result was sent, or the task started.
        sentence_number: Number of the open or the next sentence, from 1.
        is_sentence_open: A sentence has begun.
        words: Words in finals so far.
        starts_at: When ``task-started`` is due.
        is_started: It has been sent, or is on its way.
        is_finishing: ``finish-task`` has come.
    """

    request: RunTask
    model: Model
    messages: TaskMessages
    recognition: Recognition
    journal: Journal
    knobs: Knobs
    speech_faults: PendingFaults
    last_data: float
    last_result: float
    sentence_number: int = 1
    is_sentence_open: bool = False
    words: int = 0
    starts_at: float = math.inf
    is_started: bool = False
    is_finishing: bool = False

    @property
    def has_heartbeat(self) -> bool:
        """Whether silence does not end it."""
        return self.model.has_heartbeat and self.request.parameters.get("heartbeat") is True

    @property
    def has_interims(self) -> bool:
        """Whether the client gets sentences before they end."""
        is_requested = self.request.parameters.get("intermediate_result_enabled") is True
        return is_requested or not self.model.interims_on_request

    @property
    def is_understood(self) -> bool:
        """Whether the model knows the sample rate.

        Source: Model Studio, FAQ: a wrong rate gives no text, and no error.
        """
        return not self.model.rates_hertz or self.recognition.sample_rate_hertz in self.model.rates_hertz

    @property
    def sentence_silence_ms(self) -> int:
        """The silence that ends a sentence.

        Source: Model Studio: ``max_sentence_silence`` counts only while semantic segmentation is off, which ends a
        sentence after about two seconds.
        """
        if self.request.parameters.get("semantic_punctuation_enabled") is True:
            return _SEMANTIC_SILENCE_MS
        silence_ms: int = self.request.parameters.get("max_sentence_silence", self.model.sentence_silence_ms)
        return silence_ms

    def results(self, sentence: Sentence) -> list[str]:
        """Return the messages for the state of a sentence, and count it."""
        messages = []
        if not self.is_sentence_open and self.has_interims and self._begins_empty:
            messages.append(self.messages.sentence_begin(sentence.begin_ms, self.model, self.sentence_number))
        self.is_sentence_open = not sentence.is_final
        if sentence.is_final:
            self.words = min(self.words + len(sentence.words), _MAX_BILLED_WORDS)
            messages.append(self.messages.result(sentence, self.model, self.sentence_number, self._usage()))
            self.sentence_number += 1
        elif self.has_interims:
            messages.append(self.messages.result(sentence, self.model, self.sentence_number, "null"))
        return messages

    def finished(self) -> str:
        """Return ``task-finished``, with totals where the vendor sends them."""
        has_totals = self.model.shape is Shape.QWEN_AUDIO_TOKENS
        return self.messages.finished(self._usage() if has_totals else "null")

    def heartbeat(self) -> str:
        """Return a result that only says that the task is alive."""
        return self.messages.heartbeat(self.recognition.audio_ms, self.model)

    @property
    def _begins_empty(self) -> bool:
        return self.knobs.empty_first_interim or self.model.is_qwen_audio

    def _usage(self) -> str:
        seconds = self.recognition.pcm_bytes / (self.recognition.sample_rate_hertz * 2)
        return usage(self.model, _ROUNDING[self.knobs.duration_rounding](seconds), self.words)
