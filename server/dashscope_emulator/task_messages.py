"""The server's events of dialect A, as JSON text. Pure but for request ids."""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Mapping
from typing import Final

from dashscope_emulator.knobs import Knobs
from dashscope_emulator.models import Model, Shape
from dashscope_emulator.recognizers.base import Sentence

_CACHED_SENTENCES: Final = 4096


class TaskMessages:
    """Writes the events of one task."""

    def __init__(self, task_id: str, knobs: Knobs) -> None:
        self._task_id = json.dumps(task_id, ensure_ascii=False)
        self._attributes = knobs.header_attributes
        self._request_id = f',"request_id":"{uuid.uuid4()}"' if knobs.has_request_id else ""
        self._generated = self._header("result-generated")

    def started(self) -> str:
        """Return ``task-started``."""
        return self._event("task-started", "{}")

    def finished(self, usage: str = "null") -> str:
        """Return ``task-finished``; the vendor's SDK does not see the end if its payload is empty."""
        return self._event("task-finished", f'{{"output":{{}},"usage":{usage}}}')

    def failed(self, code: str, message: str) -> str:
        """Return ``task-failed``, which has code and message in its header."""
        more = f',"error_code":{json.dumps(code)},"error_message":{json.dumps(message, ensure_ascii=False)}'
        return f'{{"header":{self._header("task-failed", more)},"payload":{{}}}}'

    def unknown(self, padding: int) -> str:
        """Return an event that no manual knows, with so many characters of padding."""
        return self._event("task-progress", f'{{"padding":"{"x" * padding}"}}')

    def result(self, sentence: Sentence, model: Model, sentence_id: int, usage: str) -> str:
        """Return ``result-generated``; ``usage`` is JSON."""
        text = _sentence_json(sentence, model, sentence_id)
        if model.shape is Shape.QWEN_AUDIO_TOKENS and sentence.is_final:
            return self._result(_nested(text, sentence.text, self._task_id, usage), usage)
        return self._result(f'{{"sentence":{text}}}', usage)

    def sentence_begin(self, begin_ms: int, model: Model, sentence_id: int) -> str:
        """Return ``result-generated`` without text: a sentence begins."""
        return self._empty_result(begin_ms, model, sentence_id, "sentence_begin")

    def heartbeat(self, at_ms: int, model: Model) -> str:
        """Return ``result-generated`` that only says that the task is alive."""
        return self._empty_result(at_ms, model, 0, "heartbeat")

    def _empty_result(self, at_ms: int, model: Model, sentence_id: int, flag: str) -> str:
        fields = _fields(Sentence(words=(), begin_ms=at_ms, end_ms=at_ms, is_final=False), model, sentence_id)
        return self._result(json.dumps({"sentence": {**fields, flag: True}}), "null")

    def _result(self, output: str, usage: str) -> str:
        return f'{{"header":{self._generated},"payload":{{"output":{output},"usage":{usage}}}}}'

    def _event(self, event: str, payload: str) -> str:
        return f'{{"header":{self._header(event)},"payload":{payload}}}'

    def _header(self, event: str, more: str = "") -> str:
        return (
            f'{{"task_id":{self._task_id},"event":"{event}"{more},"attributes":{self._attributes}{self._request_id}}}'
        )


def usage(model: Model, seconds: int, words: int) -> str:
    """Return ``payload.usage`` of a final: seconds so far, and tokens where the model is billed by them."""
    if model.shape is not Shape.QWEN_AUDIO_TOKENS:
        return f'{{"duration":{seconds}}}'
    audio = 13 * seconds
    tokens = {"input_tokens": audio, "output_tokens": words, "total_tokens": audio + words}
    return json.dumps({"duration": seconds, **tokens})


@functools.lru_cache(maxsize=_CACHED_SENTENCES)
def _sentence_json(sentence: Sentence, model: Model, sentence_id: int) -> str:
    """Return the sentence as JSON; many tasks on one script share it."""
    return json.dumps(_fields(sentence, model, sentence_id), ensure_ascii=False, separators=(",", ":"))


def _fields(sentence: Sentence, model: Model, sentence_id: int) -> dict[str, object]:
    return {
        **_identity(model, sentence_id),
        "begin_time": sentence.begin_ms,
        "end_time": sentence.end_ms if sentence.is_final else None,
        "text": sentence.text,
        "heartbeat": False,
        "sentence_end": sentence.is_final,
        "words": _words(sentence),
        **({"emo_tag": "neutral", "emo_confidence": 0.75} if model.has_emotion and sentence.is_final else {}),
        **_stash(sentence, model, sentence_id + 1),
    }


def _words(sentence: Sentence) -> list[dict[str, object]]:
    return [
        {
            "begin_time": word.begin_ms,
            "end_time": word.end_ms,
            "text": word.text,
            "punctuation": word.punctuation,
            "fixed": word.is_fixed,
        }
        for word in sentence.words
    ]


def _stash(sentence: Sentence, model: Model, sentence_id: int) -> dict[str, object]:
    """Source: Model Studio, Qwen-Audio server events: a result may have the beginning of the next sentence."""
    stash = sentence.stash
    if stash is None or not model.is_qwen_audio:
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
