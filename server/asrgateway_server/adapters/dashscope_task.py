"""The run-task dialect: what Paraformer and its successors say on `/api-ws/v1/inference`.

One task hears one stream of audio and tells sentences, one open at a time. A commit finishes the task, which closes
the open sentence, and starts the next one on the same connection.

Source: Model Studio manual, "Paraformer client events" and "Paraformer server events".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, Final

from asrgateway_server.adapters.base import Output, Send
from asrgateway_server.adapters.dashscope_errors import verdict
from asrgateway_server.config import Adaptation, ContextRole, RecognitionConfig
from asrgateway_server.errors import UpstreamProtocolError
from asrgateway_server.events import (
    CommitEmpty,
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

PATH: Final = "/api-ws/v1/inference"

# Any: JSON values of the vendor's messages; each is checked where it is used.
Json = Mapping[str, Any]


# Source: Model Studio manual, "improve recognition accuracy".
_CONTEXT_ROLES: Final = {
    ContextRole.USER: ("user", "input_text"),
    ContextRole.ASSISTANT: ("assistant", "text"),
}


class _State(Enum):
    STARTING = auto()
    RUNNING = auto()
    COMMITTING = auto()
    FINISHING = auto()


class TaskAdapter:
    """One connection on which tasks run one after another; see ``WebSocketAdapter``.

    Args:
        config: The call.
        new_task_id: Returns a name that no other task has: 32 hexadecimal digits.
        parameters: ``payload.parameters`` of each task.
        resources: ``payload.resources``; none if empty.
        takes_context: The model knows what was said before.
    """

    path = PATH

    def __init__(
        self,
        config: RecognitionConfig,
        new_task_id: Callable[[], str],
        parameters: Json,
        resources: Sequence[Json] = (),
        *,
        takes_context: bool = False,
    ) -> None:
        self._model = config.model.name
        self._bytes_per_ms = config.model_rate_hertz * 2 // 1000
        self._new_task_id = new_task_id
        self._parameters = parameters
        self._resources = resources
        self._input = _context(config.adaptation) if takes_context else {}
        self._state = _State.STARTING
        self._task_id = ""
        self._base_ms = 0
        self._task_bytes = 0
        self._billed_before_ms = 0
        self._billed_ms: int | None = None
        self._sentence_text: str | None = None
        self._held_final: FinalResult | None = None

    @property
    def is_ready(self) -> bool:
        """See ``WebSocketAdapter``."""
        return self._state is _State.RUNNING

    def start(self) -> Sequence[Output]:
        """Begin the first task; see ``WebSocketAdapter``."""
        return [self._run_task()]

    def audio(self, pcm: bytes) -> bytes:
        """See ``WebSocketAdapter``."""
        self._task_bytes += len(pcm)
        return pcm

    def commit(self) -> Sequence[Output]:
        """Finish the task, and start the next when it has told everything; see ``WebSocketAdapter``."""
        if not self._task_bytes:
            return [CommitEmpty()]
        self._state = _State.COMMITTING
        return [self._finish_task()]

    def update(self, adaptation: Adaptation) -> Sequence[Output]:
        """Replace the conversation's context, which nobody acknowledges; see ``WebSocketAdapter``."""
        self._input = _context(adaptation)
        return [self._send("continue-task", {"input": self._input}), UpdateApplied()]

    def finish(self) -> Sequence[Output]:
        """See ``WebSocketAdapter``."""
        self._state = _State.FINISHING
        return [self._finish_task()]

    def receive(self, message: str) -> Sequence[Output]:
        """See ``WebSocketAdapter``."""
        header, payload = _parse(message)
        match header.get("event"):
            case "result-generated":
                return self._result(payload)
            case "task-started":
                self._state = _State.RUNNING
                return [Ready(request_id=self._task_id)]
            case "task-finished":
                self._count(payload)
                return self._task_finished()
            case "task-failed":
                code, text = header.get("error_code"), header.get("error_message")
                raise verdict(str(code or ""), str(text or ""), self._task_id)
            case _:
                return []  # The vendor adds events over time; an unknown one is not an error.

    # Messages to the server -------------------------------------------------------------------------------------

    def _run_task(self) -> Send:
        self._task_id = self._new_task_id()
        self._state = _State.STARTING
        payload: dict[str, object] = {
            "task_group": "audio",
            "task": "asr",
            "function": "recognition",
            "model": self._model,
            "parameters": self._parameters,
            "input": self._input,
        }
        if self._resources:
            payload["resources"] = self._resources
        return self._send("run-task", payload)

    def _finish_task(self) -> Send:
        return self._send("finish-task", {"input": {}})

    def _send(self, action: str, payload: Json) -> Send:
        header = {"action": action, "task_id": self._task_id, "streaming": "duplex"}
        return Send(json.dumps({"header": header, "payload": payload}))

    # Messages from the server -----------------------------------------------------------------------------------

    def _result(self, payload: Json) -> Sequence[Output]:
        sentence = _member(_member(payload, "output"), "sentence")
        self._count(payload)
        text = _text(sentence, "text").strip()
        if sentence.get("heartbeat") and not text:
            return []
        if sentence.get("sentence_end") or sentence.get("end_time") is not None:
            return self._final(sentence, text)
        return self._interim(sentence, text) if text else []

    def _interim(self, sentence: Json, text: str) -> Sequence[Output]:
        start_ms = self._moment(sentence, "begin_time")
        words = self._words(sentence)
        interim = InterimResult(
            text=text,
            committed=_fixed_prefix(sentence, text),
            start_ms=start_ms,
            end_ms=words[-1].end_ms if words else start_ms,
            words=words,
        )
        is_first = self._sentence_text is None
        self._sentence_text = text
        if is_first and start_ms is not None:
            return [SpeechStarted(offset_ms=start_ms), interim]
        return [interim]

    def _final(self, sentence: Json, text: str) -> Sequence[Output]:
        words = self._words(sentence)
        end_ms = self._moment(sentence, "end_time")
        final = FinalResult(
            text=text,
            start_ms=self._moment(sentence, "begin_time"),
            end_ms=words[-1].end_ms if end_ms is None and words else end_ms,
            words=words,
            emotion=_emotion(sentence),
        )
        outputs: list[Output] = []
        if self._sentence_text is None and text and final.start_ms is not None:
            outputs.append(SpeechStarted(offset_ms=final.start_ms))
        if (self._sentence_text is not None or text) and final.end_ms is not None:
            outputs.append(SpeechEnded(offset_ms=final.end_ms))
        self._sentence_text = None
        if self._state is not _State.COMMITTING:
            return [*outputs, final]
        # Of several sentences that end now the commit is answered with the last.
        held, self._held_final = self._held_final, final
        return [*outputs, held] if held else outputs

    def _task_finished(self) -> Sequence[Output]:
        if self._state is not _State.COMMITTING:
            return [Finished(billed_ms=self._billed_ms)]
        answer = self._commit_answer()
        self._base_ms += self._task_bytes // self._bytes_per_ms
        self._task_bytes = 0
        self._billed_before_ms = self._billed_ms or 0
        return [answer, self._run_task()]

    def _commit_answer(self) -> FinalResult | CommitEmpty:
        final, self._held_final = self._held_final, None
        if final is None:
            return CommitEmpty()
        return FinalResult(
            text=final.text,
            start_ms=final.start_ms,
            end_ms=final.end_ms,
            words=final.words,
            emotion=final.emotion,
            is_forced=True,
        )

    def _count(self, payload: Json) -> None:
        """Remember what the vendor bills: whole seconds of the task so far."""
        usage = payload.get("usage")
        if isinstance(usage, dict) and isinstance(usage.get("duration"), int):
            self._billed_ms = self._billed_before_ms + usage["duration"] * 1000

    def _moment(self, record: Json, name: str) -> int | None:
        """Return a time of the task in the connection's time; the next task on it begins at zero again."""
        value = record.get(name)
        if value is None:
            return None
        if not isinstance(value, int):
            raise UpstreamProtocolError(f"the vendor's {name} is no whole number of milliseconds")
        return self._base_ms + value

    def _words(self, sentence: Json) -> tuple[Word, ...]:
        words = []
        for record in sentence.get("words") or ():
            start_ms, end_ms = self._moment(record, "begin_time"), self._moment(record, "end_time")
            if start_ms is not None and end_ms is not None:
                text, mark = _text(record, "text").strip(), _text(record, "punctuation").strip()
                words.append(Word(text=text, punctuation=mark, start_ms=start_ms, end_ms=max(start_ms, end_ms)))
        return tuple(words)


def _context(adaptation: Adaptation) -> Json:
    """Return ``payload.input``: what was said before, as far as the vendor takes it."""
    messages = [
        {"role": role, "content": [{"type": kind, "text": said.text}]}
        for said in adaptation.context_messages
        for role, kind in (_CONTEXT_ROLES[said.role],)
    ]
    return {"context": messages} if messages else {}


def _parse(message: str) -> tuple[Json, Json]:
    """Return header and payload."""
    try:
        record = json.loads(message)
    except ValueError as error:
        raise UpstreamProtocolError("the vendor sent text that is no JSON") from error
    if not isinstance(record, dict):
        raise UpstreamProtocolError("the vendor sent JSON that is no object")
    payload = record.get("payload")
    return _member(record, "header"), payload if isinstance(payload, dict) else {}


def _member(record: Json, name: str) -> Json:
    member = record.get(name)
    if not isinstance(member, dict):
        raise UpstreamProtocolError(f"the vendor's message lacks {name!r}")
    return member


def _text(record: Json, name: str) -> str:
    value = record.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UpstreamProtocolError(f"the vendor's {name} is no text")
    return value


def _fixed_prefix(sentence: Json, text: str) -> str:
    """Return the part of the text whose words the vendor says it will not change; empty where it says nothing."""
    fixed = ""
    for word in sentence.get("words") or ():
        if not word.get("fixed"):
            break
        fixed += _text(word, "text") + _text(word, "punctuation")
    fixed = fixed.strip()
    return fixed if text.startswith(fixed) else ""


def _emotion(sentence: Json) -> Emotion | None:
    label = sentence.get("emo_tag")
    if not isinstance(label, str) or not label:
        return None
    confidence = sentence.get("emo_confidence")
    return Emotion(label=label, confidence=confidence if isinstance(confidence, float) else None)
