"""The run-task dialect: what Paraformer and its successors speak on `/api-ws/v1/inference`.

A task recognizes one stream of audio and returns sentences, one open at a time. Another one may follow on the same
connection. A sentence that has to end before its speaker does ends with its task.

Source: Model Studio manual, "Paraformer client events" and "Paraformer server events".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import ClassVar, Final

from asrgateway_server.audio.ogg_opus_encoder import OggOpusEncoder
from asrgateway_server.backends.adapter import Output, Send
from asrgateway_server.backends.adapter_order import AdapterOrder, State, Step
from asrgateway_server.config import Adaptation, ContextMessage, ContextRole, RecognitionConfig
from asrgateway_server.errors import UndecodableAudio
from asrgateway_server.events import (
    Emotion,
    FinalResult,
    Finished,
    InterimResult,
    Ready,
    SpeechEnded,
    SpeechStarted,
    UpdateApplied,
    Word,
)
from asrgateway_server.models import UpstreamEncoding
from asrgateway_server.vendors.dashscope.adapters.run_task_messages import (
    ResultGenerated,
    Sentence,
    TaskFailed,
    TaskFinished,
    TaskStarted,
    Usage,
    decode,
)
from asrgateway_server.vendors.dashscope.adapters.run_task_messages import Word as SentWord
from asrgateway_server.vendors.dashscope.error_codes import error_for

Json = Mapping[str, object]

PATH: Final = "/api-ws/v1/inference"

# Source: Model Studio manual, "improve recognition accuracy".
_CONTEXT_ROLES: Final = {
    ContextRole.USER: ("user", "input_text"),
    ContextRole.ASSISTANT: ("assistant", "text"),
}


class RunTaskAdapter:
    """One task; see ``WebSocketAdapter``.

    Args:
        config: The call.
        task_id: A name that no other task has: 32 hexadecimal digits.
        parameters: ``payload.parameters``.
        resources: ``payload.resources``; none if empty.
        takes_context: The model takes what was said before, and free text about the subject.
    """

    path = PATH
    ends_at_commit: ClassVar[bool] = True

    def __init__(
        self,
        config: RecognitionConfig,
        task_id: str,
        parameters: Json,
        resources: Sequence[Json] = (),
        *,
        takes_context: bool = False,
    ) -> None:
        self._model = config.model.name
        self._task_id = task_id
        self._parameters = parameters
        self._resources = resources
        self._context = _context(config.adaptation) if takes_context else []
        self._needs_words = config.features.word_time_offsets or config.needs_words
        # A model with this switch says nothing of what is not final unless it is asked.
        self.answers_speech = not config.model.has_interim_on_request or config.interim_results
        self.keeps_connection = True
        is_coded = config.model.upstream_encoding is UpstreamEncoding.OGG_OPUS
        self._encoder = OggOpusEncoder(config.model_rate_hertz) if is_coded else None
        self._order = AdapterOrder()
        self._billed_ms: int | None = None
        self._open: InterimResult | None = None
        self._has_results = False
        self._last_ended: Sentence | None = None

    @property
    def is_ready(self) -> bool:
        """See ``WebSocketAdapter``."""
        return self._order.is_ready

    def start(self) -> Sequence[Output]:
        """See ``WebSocketAdapter``."""
        self._order.take(Step.START)
        payload: dict[str, object] = {
            "task_group": "audio",
            "task": "asr",
            "function": "recognition",
            "model": self._model,
            "parameters": self._parameters,
            "input": {"context": self._context} if self._context else {},
        }
        if self._resources:
            payload["resources"] = self._resources
        return [self._send("run-task", payload)]

    def audio(self, pcm: bytes) -> bytes:
        """See ``WebSocketAdapter``."""
        if not self._order.is_ready:
            self._order.take(Step.AUDIO)  # Raises.
        return self._encoder.encode(pcm) if self._encoder else pcm

    def commit(self) -> Sequence[Output]:
        """See ``WebSocketAdapter``; never called."""
        raise NotImplementedError("a task of this dialect ends where an utterance is committed")

    def update(self, adaptation: Adaptation) -> Sequence[Output]:
        """Replace the conversation's context, which nobody acknowledges; see ``WebSocketAdapter``."""
        self._order.take(Step.UPDATE)
        self._context = _context(adaptation)
        return [self._send("continue-task", {"input": {"context": self._context}}), UpdateApplied()]

    def finish(self) -> Sequence[Output]:
        """See ``WebSocketAdapter``."""
        self._order.take(Step.FINISH)
        rest = self._encoder.finish() if self._encoder else b""
        return [*([Send(rest)] if rest else []), self._send("finish-task", {"input": {}})]

    def receive(self, message: str) -> Sequence[Output]:
        """See ``WebSocketAdapter``."""
        self._order.take(Step.RECEIVE)
        record = decode(message)
        if record.task_id not in ("", self._task_id):
            return []  # Of the task before, on the same connection: sent once too often.
        match record:
            case ResultGenerated():
                self._count(record.usage)
                return self._result(record.sentence)
            case TaskStarted() if self._order.state is State.STARTING:
                self._order.take(Step.READY)
                return [Ready(request_id=self._task_id)]
            case TaskFinished():
                self._count(record.usage)
                return self._finished()
            case TaskFailed():
                return self._failed(record)
            case _:
                return []  # The vendor adds events over time; an unknown one is not an error.

    def _send(self, action: str, payload: Json) -> Send:
        header = {"action": action, "task_id": self._task_id, "streaming": "duplex"}
        return Send(json.dumps({"header": header, "payload": payload}))

    # Messages from the server -----------------------------------------------------------------------------------

    def _result(self, sentence: Sentence) -> Sequence[Output]:
        if self._has_ended(sentence):
            return []  # Sent twice, or too late.
        said = (sentence.text or "").strip()
        is_end = bool(sentence.sentence_end) or sentence.end_time is not None
        # On one page of the manual the mark only repeats the task's parameter: it must not swallow a sentence's end.
        is_last_word = is_end and self._open and sentence.sentence_id != 0
        if sentence.heartbeat and not said and not is_last_word:
            return []
        self._has_results = True
        if is_end:
            return self._final(sentence, said)
        if said:
            return self._interim(sentence, said)
        return self._begin(sentence) if sentence.sentence_begin else []

    def _has_ended(self, sentence: Sentence) -> bool:
        """Whether a message is about a sentence that has had its final.

        A sentence is known by its number, where the model counts, else by its beginning. Ends say nothing: in users'
        measurements a sentence begins before the end of the one before it.
        """
        last = self._last_ended
        if last is None:
            return False
        if last.sentence_id is not None and sentence.sentence_id:  # Number 0 is that of a keep-alive packet.
            return sentence.sentence_id <= last.sentence_id
        if last.begin_time is None or sentence.begin_time is None:
            return False
        return sentence.begin_time <= last.begin_time

    def _begin(self, sentence: Sentence) -> Sequence[Output]:
        if self._open or sentence.begin_time is None:
            return []
        self._open = InterimResult(text="", start_ms=sentence.begin_time)
        return [SpeechStarted(offset_ms=sentence.begin_time)]

    def _interim(self, sentence: Sentence, said: str) -> Sequence[Output]:
        words = sentence.words()
        interim = InterimResult(
            text=said,
            committed=_fixed_prefix(words, said),
            start_ms=sentence.begin_time,
            end_ms=_end_ms(words, sentence.begin_time),
            words=_events(words) if self._needs_words else (),
        )
        begun = self._begin(sentence)
        self._open = interim
        return [*begun, interim]

    def _final(self, sentence: Sentence, said: str) -> Sequence[Output]:
        words = sentence.words()
        final = FinalResult(
            text=said,
            start_ms=sentence.begin_time,
            end_ms=_end_ms(words, None) if sentence.end_time is None else sentence.end_time,
            words=_events(words),
            emotion=_emotion(sentence),
        )
        outputs = [*self._begin(sentence)] if said else []
        if (self._open or said) and final.end_ms is not None:
            outputs.append(SpeechEnded(offset_ms=final.end_ms))
        self._open = None
        self._last_ended = sentence
        return [*outputs, final]

    def _finished(self) -> Sequence[Output]:
        self._order.take(Step.END)
        return [*self._break_off(), Finished(billed_ms=self._billed_ms)]

    def _failed(self, failure: TaskFailed) -> Sequence[Output]:
        error = error_for(failure.error_code, failure.error_message, self._task_id)
        is_silence = isinstance(error, UndecodableAudio) and not self._has_results
        if is_silence and self._order.state is State.FINISHING:
            # Our PCM can be decoded: nothing was said in the task, which may have begun after a last commit.
            self.keeps_connection = False  # After a failure the vendor closes it.
            return self._finished()
        self._order.take(Step.END)
        raise error

    def _break_off(self) -> Sequence[FinalResult]:
        """End a sentence whose final never came with what was promised of it, and nothing made up."""
        interim, self._open = self._open, None
        if interim is None or not interim.text:
            return []
        return [FinalResult(text=interim.committed, start_ms=interim.start_ms, end_ms=interim.end_ms)]

    def _count(self, usage: Usage | None) -> None:
        """Remember what the vendor bills for the task so far."""
        if usage and usage.billed_ms is not None:
            self._billed_ms = usage.billed_ms


def _context(adaptation: Adaptation) -> list[Json]:
    """Return ``payload.input.context``: what was said before, and free text as one message more.

    Of each role the vendor keeps the newest five messages, and of each turn 400 characters. So the free text goes
    last, as a turn of its own.
    """
    said = adaptation.context_messages
    if adaptation.context:
        said = (*said, ContextMessage(role=ContextRole.USER, text=adaptation.context))
    return [
        {"role": role, "content": [{"type": kind, "text": message.text}]}
        for message in said
        for role, kind in (_CONTEXT_ROLES[message.role],)
    ]


def _fixed_prefix(words: Sequence[SentWord], said: str) -> str:
    """Return the part of the text whose words the vendor says it will not change; empty where it says nothing."""
    fixed = "".join(f"{word.text or ''}{word.punctuation or ''}" for word in takewhile(lambda word: word.fixed, words))
    fixed = fixed.strip()
    return fixed if said.startswith(fixed) else ""


def _end_ms(words: Sequence[SentWord], otherwise: int | None) -> int | None:
    """Return where the last word ends that has times."""
    for word in reversed(words):
        if word.begin_time is not None and word.end_time is not None:
            return max(word.begin_time, word.end_time)
    return otherwise


def _events(words: Sequence[SentWord]) -> tuple[Word, ...]:
    return tuple(
        Word(
            text=(word.text or "").strip(),
            punctuation=(word.punctuation or "").strip(),
            start_ms=word.begin_time,
            end_ms=max(word.begin_time, word.end_time),
        )
        for word in words
        if word.begin_time is not None and word.end_time is not None
    )


def _emotion(sentence: Sentence) -> Emotion | None:
    return Emotion(label=sentence.emo_tag, confidence=sentence.emo_confidence) if sentence.emo_tag else None
