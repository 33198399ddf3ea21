"""The items of a session of dialect B: what becomes of a recogniser's sentences, as events. Pure but for ids."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from dashscope_emulator.faults import FailItem
from dashscope_emulator.knobs import Knobs
from dashscope_emulator.recognizers.base import Sentence
from dashscope_emulator.session_messages import SessionMessages


@dataclass(slots=True, kw_only=True)
class _Item:
    """The item that is being spoken.

    Attributes:
        item_id: Ours.
        begin_ms: Where it begins.
        confirmed: The text that will not change; it only grows.
    """

    item_id: str
    begin_ms: int
    confirmed: str = ""


class SessionItems:
    """Makes the events of items; with turn detection a sentence is an item, otherwise a commit is."""

    def __init__(self, messages: SessionMessages, knobs: Knobs) -> None:
        self.failures: deque[FailItem] = deque()  # of the next items
        self.finals: list[str] = []  # that wait for a commit
        self._messages = messages
        self._knobs = knobs
        self._open: _Item | None = None
        self._previous_id = knobs.session_first_previous_item

    @property
    def begin_ms(self) -> int | None:
        """Where the open item begins; None when none is open."""
        return self._open.begin_ms if self._open else None

    def keep(self, sentence: Sentence) -> None:
        """Keep a final until the client commits."""
        if sentence.is_final and sentence.words:
            self.finals.append(sentence.text)

    def update(self, sentence: Sentence, language: str, seconds: int) -> Iterator[str]:
        """Yield the events for the state of a sentence; ``seconds`` of audio have come."""
        item = self._open
        if item is None:
            item = self._open = _Item(item_id=_new_id(), begin_ms=sentence.begin_ms)
            yield self._messages.speech_started(item.item_id, sentence.begin_ms)
        if not sentence.is_final:
            if not self._knobs.session_text_after_item:
                yield self._text(item, sentence, language)
            return
        self._open = None
        yield self._messages.speech_stopped(item.item_id, sentence.end_ms)
        yield from self._messages.committed(item.item_id, self._previous_id)
        if self._knobs.session_text_after_item:
            yield self._text(item, sentence, language)
        yield self._completed(item.item_id, language, sentence.text, seconds)

    def commit(self, language: str, seconds: int) -> Iterator[str]:
        """Yield the events of an item that the client commits: all finals so far."""
        transcript, self.finals = " ".join(self.finals), []
        item_id = _new_id()
        yield from self._messages.committed(item_id, self._previous_id)
        yield self._messages.text(item_id, language, transcript, "")
        yield self._completed(item_id, language, transcript, seconds)

    def clear(self) -> None:
        """Forget what is neither committed nor completed."""
        self.finals, self._open = [], None

    def _text(self, item: _Item, sentence: Sentence, language: str) -> str:
        fixed = "".join(word.text + word.punctuation for word in sentence.words if word.is_fixed)
        item.confirmed = max(item.confirmed, fixed, key=len)
        return self._messages.text(item.item_id, language, item.confirmed, sentence.text[len(item.confirmed) :])

    def _completed(self, item_id: str, language: str, transcript: str, seconds: int) -> str:
        self._previous_id = item_id
        if self.failures:
            failure = self.failures.popleft()
            return self._messages.failed(item_id, failure.code, failure.message)
        return self._messages.completed(item_id, language, transcript, seconds)


def _new_id() -> str:
    return f"item_{uuid.uuid4().hex[:20]}"
