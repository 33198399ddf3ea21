"""Which words a task or session has been told to expect, whatever the mechanism; the real recogniser listens. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from asrgateway_server.emulator.models import TASK_MODELS, Shape
from asrgateway_server.emulator.phrases import PhraseLists
from asrgateway_server.emulator.task_requests import RunTask
from asrgateway_server.emulator.vocabularies import Vocabularies

_USUAL_WEIGHT: Final = 4
_LONGEST_NAME_PARTS: Final = 3
_INSTANT_WEIGHTS: Final = frozenset((1, 2, 3, 4, 5, 50))
_INSTANT_SHAPES: Final = (Shape.QWEN_AUDIO, Shape.QWEN_AUDIO_TOKENS)
_SEPARATORS: Final = re.compile(r"[,;:.!?\n，、；：。！？]+")  # noqa: RUF001  (full-width marks are meant)


def of_task(request: RunTask, vocabularies: Vocabularies, phrases: PhraseLists) -> dict[str, int]:
    """Return the words of a task with their weights.

    Source: Model Studio, "improve recognition accuracy" and "custom hot words": a list made for another model has no
    effect, and one instant weight out of range makes all instant words vanish, both without an error.
    """
    words: dict[str, int] = {}
    for text in _context_texts(request.context):
        words |= of_text(text)
    words |= dict(_compiled(request, vocabularies))
    for resource in request.resources:
        phrase_id = resource.get("resource_id") if isinstance(resource, dict) else None
        words |= phrases.words(str(phrase_id), request.model)
    instant = request.parameters.get("vocabulary")
    model = TASK_MODELS.get(request.model)
    if model is not None and model.shape in _INSTANT_SHAPES and isinstance(instant, dict):
        words |= instant if set(instant.values()) <= _INSTANT_WEIGHTS else {}
    return words


def of_text(text: str) -> dict[str, int]:
    """Return the words that a text makes likely: what stands between its marks, and the names in whole sentences."""
    words: dict[str, int] = {}
    for piece in filter(None, map(str.strip, _SEPARATORS.split(text))):
        parts = piece.split()
        names = [piece] if len(parts) <= _LONGEST_NAME_PARTS else [part for part in parts[1:] if part[0].isupper()]
        words |= dict.fromkeys(names, _USUAL_WEIGHT)
    return words


def _compiled(request: RunTask, vocabularies: Vocabularies) -> Iterator[tuple[str, int]]:
    vocabulary_id = request.parameters.get("vocabulary_id")
    if vocabulary_id in vocabularies:
        vocabulary = vocabularies.query(str(vocabulary_id))
        if vocabulary.target_model == request.model:
            yield from ((str(word["text"]), int(str(word["weight"]))) for word in vocabulary.words)


def _context_texts(context: object) -> Iterable[str]:
    messages: Any = context if isinstance(context, list) else []  # Any: whatever JSON the client sent
    for message in messages:
        for part in message.get("content", ()) if isinstance(message, dict) else ():
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                yield part["text"]
