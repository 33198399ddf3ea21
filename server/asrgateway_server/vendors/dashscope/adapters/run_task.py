"""The run-task dialect: what Paraformer and its successors speak on `/api-ws/v1/inference`.

A task recognizes one stream of audio and returns sentences, one open at a time. Another one may follow on the same
connection. A sentence that has to end before its speaker does ends with its task.

Source: Model Studio manual, "Paraformer client events" and "Paraformer server events".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import Enum, auto
from typing import ClassVar, Final

from asrgateway_server.backends.adapter import Output, Send
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
from asrgateway_server.vendors.dashscope.adapters.json_message import Json, member, milliseconds, parse, text
from asrgateway_server.vendors.dashscope.error_codes import error_for

PATH: Final = "/api-ws/v1/inference"

# Source: Model Studio manual, "improve recognition accuracy".
_CONTEXT_ROLES: Final = {
    ContextRole.USER: ("user", "input_text"),
    ContextRole.ASSISTANT: ("assistant", "text"),
}


class _State(Enum):
    STARTING = auto()
    RUNNING = auto()
    FINISHING = auto()


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
        self._wants_words = config.features.word_time_offsets
        # A model with this switch says nothing of what is not final unless it is asked.
        self.answers_speech = not config.model.has_interim_on_request or config.interim_results
        self.keeps_connection = True
        self._state = _State.STARTING
        self._billed_ms: int | None = None
        self._open: InterimResult | None = None
        self._has_results = False
        self._last_ended: Json = {}

    @property
    def is_ready(self) -> bool:
        """See ``WebSocketAdapter``."""
        return self._state is _State.RUNNING

    def start(self) -> Sequence[Output]:
        """See ``WebSocketAdapter``."""
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
        return pcm

    def commit(self) -> Sequence[Output]:
        """See ``WebSocketAdapter``; never called."""
        raise NotImplementedError("a task of this dialect ends where an utterance is committed")

    def update(self, adaptation: Adaptation) -> Sequence[Output]:
        """Replace the conversation's context, which nobody acknowledges; see ``WebSocketAdapter``."""
        self._context = _context(adaptation)
        return [self._send("continue-task", {"input": {"context": self._context}}), UpdateApplied()]

    def finish(self) -> Sequence[Output]:
        """See ``WebSocketAdapter``."""
        self._state = _State.FINISHING
        return [self._send("finish-task", {"input": {}})]

    def receive(self, message: str) -> Sequence[Output]:
        """See ``WebSocketAdapter``."""
        record = parse(message)
        header, payload = member(record, "header"), record.get("payload")
        payload = payload if isinstance(payload, dict) else {}
        if text(header, "task_id") not in ("", self._task_id):
            return []  # Of the task before, on the same connection: said once too often.
        match header.get("event"):
            case "result-generated":
                return self._result(payload)
            case "task-started" if self._state is _State.STARTING:
                self._state = _State.RUNNING
                return [Ready(request_id=self._task_id)]
            case "task-finished":
                self._count(payload)
                return self._finished()
            case "task-failed":
                return self._failed(header)
            case _:
                return []  # The vendor adds events over time; an unknown one is not an error.

    def _send(self, action: str, payload: Json) -> Send:
        header = {"action": action, "task_id": self._task_id, "streaming": "duplex"}
        return Send(json.dumps({"header": header, "payload": payload}))

    # Messages from the server -----------------------------------------------------------------------------------

    def _result(self, payload: Json) -> Sequence[Output]:
        # Newer models repeat all of it one level deeper, and begin to tell the next sentence in `stash`.
        sentence = member(member(payload, "output"), "sentence")
        self._count(payload)
        if self._has_ended(sentence):
            return []  # Said twice, or too late.
        said = text(sentence, "text").strip()
        is_end = bool(sentence.get("sentence_end")) or sentence.get("end_time") is not None
        # On one page of the manual the mark only repeats the task's parameter: it must not swallow a sentence's end.
        is_last_word = is_end and self._open and sentence.get("sentence_id") != 0
        if sentence.get("heartbeat") and not said and not is_last_word:
            return []
        self._has_results = True
        if is_end:
            return self._final(sentence, said)
        if said:
            return self._interim(sentence, said)
        return self._begin(sentence) if sentence.get("sentence_begin") else []

    def _has_ended(self, sentence: Json) -> bool:
        """Whether a message is about a sentence that has had its final: said twice, or too late.

        A sentence is known by its number, where the model counts, else by its beginning. Ends say nothing: in users'
        measurements a sentence begins before the end of the one before it.
        """
        for name in ("sentence_id", "begin_time"):
            ended, here = self._last_ended.get(name), sentence.get(name)
            # Number 0 is that of a keep-alive packet; `true` would count as 1.
            if type(ended) is int and type(here) is int and (here or name == "begin_time"):
                return here <= ended
        return False

    def _begin(self, sentence: Json) -> Sequence[Output]:
        start_ms = milliseconds(sentence, "begin_time")
        if self._open or start_ms is None:
            return []
        self._open = InterimResult(text="", start_ms=start_ms)
        return [SpeechStarted(offset_ms=start_ms)]

    def _interim(self, sentence: Json, said: str) -> Sequence[Output]:
        start_ms = milliseconds(sentence, "begin_time")
        words = self._words(sentence)
        interim = InterimResult(
            text=said,
            committed=_fixed_prefix(sentence, said),
            start_ms=start_ms,
            end_ms=words[-1].end_ms if words else start_ms,
            words=words,
        )
        begun = self._begin(sentence)
        self._open = interim
        return [*begun, interim]

    def _final(self, sentence: Json, said: str) -> Sequence[Output]:
        words = self._words(sentence)
        end_ms = milliseconds(sentence, "end_time")
        final = FinalResult(
            text=said,
            start_ms=milliseconds(sentence, "begin_time"),
            end_ms=words[-1].end_ms if end_ms is None and words else end_ms,
            words=words,
            emotion=_emotion(sentence),
        )
        outputs = [*self._begin(sentence)] if said else []
        if (self._open or said) and final.end_ms is not None:
            outputs.append(SpeechEnded(offset_ms=final.end_ms))
        self._open = None
        self._last_ended = sentence
        return [*outputs, final]

    def _finished(self) -> Sequence[Output]:
        return [*self._break_off(), Finished(billed_ms=self._billed_ms)]

    def _failed(self, header: Json) -> Sequence[Output]:
        error = error_for(str(header.get("error_code") or ""), str(header.get("error_message") or ""), self._task_id)
        is_silence = isinstance(error, UndecodableAudio) and not self._has_results
        if is_silence and self._state is _State.FINISHING:
            # Our PCM can be decoded: nothing was said in the task, which may have begun after a last commit.
            self.keeps_connection = False  # After a failure the vendor closes it.
            return self._finished()
        raise error

    def _break_off(self) -> Sequence[FinalResult]:
        """End a sentence whose final never came with what was promised of it, and nothing made up."""
        interim, self._open = self._open, None
        if interim is None or not interim.text:
            return []
        return [FinalResult(text=interim.committed, start_ms=interim.start_ms, end_ms=interim.end_ms)]

    def _count(self, payload: Json) -> None:
        """Remember what the vendor bills: whole seconds of the task so far."""
        usage = payload.get("usage")
        if isinstance(usage, dict) and isinstance(usage.get("duration"), int):
            self._billed_ms = usage["duration"] * 1000

    def _words(self, sentence: Json) -> tuple[Word, ...]:
        words = []
        for record in sentence.get("words") or ():
            start_ms, end_ms = milliseconds(record, "begin_time"), milliseconds(record, "end_time")
            if start_ms is not None and end_ms is not None:
                spoken, mark = text(record, "text").strip(), text(record, "punctuation").strip()
                words.append(Word(text=spoken, punctuation=mark, start_ms=start_ms, end_ms=max(start_ms, end_ms)))
        return tuple(words)


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


def _fixed_prefix(sentence: Json, said: str) -> str:
    """Return the part of the text whose words the vendor says it will not change; empty where it says nothing."""
    fixed = ""
    for word in sentence.get("words") or ():
        if not word.get("fixed"):
            break
        fixed += text(word, "text") + text(word, "punctuation")
    fixed = fixed.strip()
    return fixed if said.startswith(fixed) else ""


def _emotion(sentence: Json) -> Emotion | None:
    label = sentence.get("emo_tag")
    if not isinstance(label, str) or not label:
        return None
    confidence = sentence.get("emo_confidence")
    return Emotion(label=label, confidence=confidence if isinstance(confidence, int | float) else None)
