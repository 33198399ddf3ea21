"""Numbers results, and tells how steady they are."""

from __future__ import annotations

from asrgateway_server.call.responses import Result
from asrgateway_server.events import FinalResult, InterimResult


class ResultNumbering:
    """Gives every utterance the next index, and every text of it the next revision.

    Attributes:
        finals: How many final results were numbered.
    """

    def __init__(self, next_index: int) -> None:
        self.finals = 0
        self._index = next_index
        self._revision = 0
        self._committed = ""
        self._last_words: list[str] = []

    def interim(self, event: InterimResult) -> Result | None:
        """Return the text as the next revision of the open utterance; None if it takes a promise back: it is late."""
        if not event.text.startswith(self._committed):
            return None
        if len(event.committed) > len(self._committed):
            self._committed = event.committed
        words = event.text.split()
        stability = None if self._committed else _share_kept(self._last_words, words)
        self._revision += 1
        self._last_words = words
        return Result(
            index=self._index,
            revision=self._revision,
            is_final=False,
            text=event.text,
            committed=self._committed,
            stability=stability,
            start_ms=event.start_ms,
            end_ms=event.end_ms,
            words=event.words,
            language_code=event.language_code,
        )

    def final(self, event: FinalResult) -> Result | None:
        """Return the text as the last revision of the utterance; None for a noise of which nothing was told."""
        if not (event.text or event.is_forced or self._revision):
            return None
        result = Result(
            index=self._index,
            revision=self._revision + 1,
            is_final=True,
            text=event.text,
            committed=event.text,
            start_ms=event.start_ms,
            end_ms=event.end_ms,
            words=event.words,
            language_code=event.language_code,
            emotion=event.emotion,
            is_forced=event.is_forced,
        )
        self.finals += 1
        self._index += 1
        self._revision = 0
        self._committed = ""
        self._last_words = []
        return result


def _share_kept(before: list[str], now: list[str]) -> float | None:
    """Return the share of the words before that stand at the same place now."""
    if not before:
        return None
    return sum(old == new for old, new in zip(before, now, strict=False)) / len(before)
