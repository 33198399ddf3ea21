"""What the vendor says in dialect A: its events as JSON text. Pure."""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from dashscope_emulator.knobs import Knobs
from dashscope_emulator.models import Model, Shape
from dashscope_emulator.recognizers.base import Heard

_CACHED_SENTENCES: Final = 4096


class TaskVoice:
    """The events of one task: its id and its model's fields are in each of them."""

    def __init__(self, task_id: str, knobs: Knobs) -> None:
        self._task_id = json.dumps(task_id, ensure_ascii=False)
        self._has_stash = knobs.has_stash
        self._attributes = knobs.header_attributes
        self._request_id = f',"request_id":"{uuid.uuid4()}"' if knobs.has_request_id else ""
        self._generated = self._header("result-generated")

    def started(self) -> str:
        """``task-started``."""
        return self._event("task-started", "{}")

    def finished(self, usage: str = "null") -> str:
        """``task-finished``; its payload is never empty, or the vendor's SDK would not see the end."""
        return self._event("task-finished", f'{{"output":{{}},"usage":{usage}}}')

    def failed(self, code: str, message: str) -> str:
        """``task-failed``: what went wrong stands in the header."""
        more = f',"error_code":{json.dumps(code)},"error_message":{json.dumps(message, ensure_ascii=False)}'
        return f'{{"header":{self._header("task-failed", more)},"payload":{{}}}}'

    def strange(self, padding: int) -> str:
        """An event nobody knows, with so many characters of padding."""
        return self._event("task-progress", f'{{"padding":"{"x" * padding}"}}')

    def result(self, heard: Heard, model: Model, sentence_id: int, usage: str) -> str:
        """``result-generated``."""
        sentence = _sentence(heard if self._has_stash else replace(heard, stash=None), model, sentence_id)
        output = f'{{"sentence":{sentence}}}'
        if model.shape is Shape.QWEN_AUDIO_TOKENS and heard.is_final:
            output = _nested(sentence, heard.text, self._task_id, usage)
        return f'{{"header":{self._generated},"payload":{{"output":{output},"usage":{usage}}}}}'

    def sentence_begin(self, begin_ms: int, model: Model, sentence_id: int) -> str:
        """``result-generated`` without text: a sentence begins."""
        fields = _fields(Heard(words=(), begin_ms=begin_ms, end_ms=begin_ms, is_final=False), model, sentence_id)
        sentence = json.dumps({**fields, "sentence_begin": True})
        return f'{{"header":{self._generated},"payload":{{"output":{{"sentence":{sentence}}},"usage":null}}}}'

    def heartbeat(self, at_ms: int, model: Model) -> str:
        """``result-generated`` that only says the task is alive."""
        fields = _fields(Heard(words=(), begin_ms=at_ms, end_ms=at_ms, is_final=False), model, 0)
        sentence = json.dumps({**fields, "heartbeat": True})
        return f'{{"header":{self._generated},"payload":{{"output":{{"sentence":{sentence}}},"usage":null}}}}'

    def _event(self, event: str, payload: str) -> str:
        return f'{{"header":{self._header(event)},"payload":{payload}}}'

    def _header(self, event: str, more: str = "") -> str:
        return (
            f'{{"task_id":{self._task_id},"event":"{event}"{more},"attributes":{self._attributes}{self._request_id}}}'
        )


def usage(model: Model, seconds: int, words: int) -> str:
    """``payload.usage`` of a final: seconds billed so far, and tokens where the model is paid by them."""
    if model.shape is not Shape.QWEN_AUDIO_TOKENS:
        return f'{{"duration":{seconds}}}'
    heard, said = 13 * seconds, words
    tokens = {"input_tokens": heard, "output_tokens": said, "total_tokens": heard + said}
    return json.dumps({"duration": seconds, **tokens})


@functools.lru_cache(maxsize=_CACHED_SENTENCES)
def _sentence(heard: Heard, model: Model, sentence_id: int) -> str:
    """Many streams on one script say the same: their sentences are written once."""
    return json.dumps(_fields(heard, model, sentence_id), ensure_ascii=False, separators=(",", ":"))


def _fields(heard: Heard, model: Model, sentence_id: int) -> dict[str, object]:
    return {
        **_identity(model, sentence_id),
        "begin_time": heard.begin_ms,
        "end_time": heard.end_ms if heard.is_final else None,
        "text": heard.text,
        "heartbeat": False,
        "sentence_end": heard.is_final,
        "words": _words(heard),
        **({"emo_tag": "neutral", "emo_confidence": 0.75} if model.has_emotion and heard.is_final else {}),
        **_stash(heard, model, sentence_id + 1),
    }


def _words(heard: Heard) -> list[dict[str, object]]:
    return [
        {
            "begin_time": word.begin_ms,
            "end_time": word.end_ms,
            "text": word.text,
            "punctuation": word.punctuation,
            "fixed": word.is_fixed,
        }
        for word in heard.words
    ]


def _stash(heard: Heard, model: Model, sentence_id: int) -> dict[str, object]:
    """Source: Model Studio, Qwen-Audio server events: a result may hold the beginning of the next sentence."""
    stash = heard.stash
    if stash is None or model.shape not in (Shape.QWEN_AUDIO, Shape.QWEN_AUDIO_TOKENS):
        return {}
    begun = {"sentence_id": sentence_id, "text": stash.text, "begin_time": stash.begin_ms}
    return {"stash": {**begun, "current_time": stash.end_ms, "words": _words(stash)}}


def _identity(model: Model, sentence_id: int) -> Mapping[str, object]:
    """Source: Model Studio, server events: Paraformer has no ``sentence_id``, Qwen-Audio has two fields more."""
    match model.shape:
        case Shape.PARAFORMER:
            return {}
        case Shape.FUN_ASR:
            return {"sentence_id": sentence_id}
        case Shape.QWEN_AUDIO | Shape.QWEN_AUDIO_TOKENS:
            return {"sentence_id": sentence_id, "channel_id": 0, "speaker_id": None}


def _nested(sentence: str, text: str, request_id: str, used: str) -> str:
    """Source: Model Studio, Qwen-Audio server events: a final repeats its output one level deeper."""
    same = f'"sentence":{sentence},"text":{json.dumps(text, ensure_ascii=False)},"request_id":{request_id}'
    return f'{{{same},"output":{{{same}}},"usage":{used}}}'
