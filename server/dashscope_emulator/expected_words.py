"""The words that a task or session makes likely: hot words by any mechanism, and context. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from dashscope_emulator.models import TASK_MODELS
from dashscope_emulator.phrases import PhraseLists
from dashscope_emulator.task_requests import RunTask
from dashscope_emulator.vocabularies import Vocabularies

_USUAL_WEIGHT: Final = 4
_LONGEST_NAME_PARTS: Final = 3
_INSTANT_WEIGHTS: Final = frozenset((1, 2, 3, 4, 5, 50))
# Source: Model Studio, "improve recognition accuracy": more than that is dropped without an error.
_MAX_MESSAGES: Final = 5
_MAX_MESSAGE_CHARACTERS: Final = 400
_MAX_WORDS: Final = 2000
_MAX_PARTS: Final = 7
_MAX_CHARACTERS: Final = 100
_SEPARATORS: Final = re.compile(r"[,;:.!?\n，、；：。！？]+")  # noqa: RUF001  (full-width marks are meant)


def of_task(request: RunTask, vocabularies: Vocabularies, phrases: PhraseLists) -> dict[str, int]:
    """Return the words of a task with their weights.

    Source: Model Studio, "improve recognition accuracy" and "custom hot words": a list made for another model has no
    effect, and one instant weight out of range makes all instant words vanish, both without an error.
    """
    words = _of_context(request.context)
    words |= dict(_compiled(request, vocabularies))
    for resource in request.resources:
        phrase_id = resource.get("resource_id") if isinstance(resource, dict) else None
        words |= phrases.words(str(phrase_id), request.model)
    model = TASK_MODELS.get(request.model)
    if model is not None and model.is_qwen_audio:
        words |= _instant(request.parameters.get("vocabulary"))
    return _usable(words)


def _of_context(context: object) -> dict[str, int]:
    words: dict[str, int] = {}
    for text in _context_texts(context):
        words |= of_text(text)
    return words


def of_text(text: str) -> dict[str, int]:
    """Return the words that a text makes likely: the terms between its marks, and the names in whole sentences."""
    words: dict[str, int] = {}
    for piece in filter(None, map(str.strip, _SEPARATORS.split(text))):
        parts = piece.split()
        names = [piece] if len(parts) <= _LONGEST_NAME_PARTS else [part for part in parts[1:] if part[0].isupper()]
        words |= dict.fromkeys(names, _USUAL_WEIGHT)
    return _usable(words)


def _usable(words: dict[str, int]) -> dict[str, int]:
    """Return the words within the vendor's limits that a decoder can take."""
    usable = {text: weight for text, weight in words.items() if text.strip() and _is_usable(text)}
    return dict(islice(usable.items(), _MAX_WORDS))


def _is_usable(text: str) -> bool:
    return text.isprintable() and len(text) <= _MAX_CHARACTERS and len(text.split()) <= _MAX_PARTS


def _instant(words: object) -> dict[str, int]:
    if not isinstance(words, dict) or not all(type(weight) is int for weight in words.values()):
        return {}
    return words if set(words.values()) <= _INSTANT_WEIGHTS else {}


def _compiled(request: RunTask, vocabularies: Vocabularies) -> Iterator[tuple[str, int]]:
    vocabulary_id = request.parameters.get("vocabulary_id")
    if vocabulary_id in vocabularies:
        vocabulary = vocabularies.query(str(vocabulary_id))
        if vocabulary.target_model == request.model:
            yield from ((str(word["text"]), int(str(word["weight"]))) for word in vocabulary.words)


def _context_texts(context: object) -> Iterable[str]:
    messages: Any = context if isinstance(context, list) else []  # Any: whatever JSON the client sent
    for role in ("user", "assistant"):
        of_role = [message for message in messages if message.get("role", "user") == role]
        for message in of_role[-_MAX_MESSAGES:]:
            yield " ".join(part["text"] for part in message["content"])[:_MAX_MESSAGE_CHARACTERS]
