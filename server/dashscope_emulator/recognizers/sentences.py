"""Sentences made of a real decoder's segments, which end after 0.3 s of silence; a client chooses its own. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dashscope_emulator.recognizers.base import Sentence, Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Speech between two short silences, as far as the decoder has recognised it.

    Attributes:
        words: The words so far, with their blanks; they replace those of the state before.
        begin_ms: Where it begins, counted from the first audio of the task.
        end_ms: Where it ends, or how far it has been recognised.
        is_final: The decoder will not change it again.
    """

    words: tuple[Word, ...]
    begin_ms: int
    end_ms: int
    is_final: bool


class SentenceBuilder:
    """Joins segments until the silence between them is long enough, and decides which words will not change again.

    The decoder itself may change any word of a segment until its end. A word is called fixed once it is over and has
    been the same for ``fixed_ms``; from then on it stays, whatever the decoder says.

    Args:
        silence_ms: The silence that ends a sentence; below 300 the decoder's own counts.
        fixed_ms: After how much audio a word is fixed; 0 = only at the end of its segment.
    """

    def __init__(self, silence_ms: int, fixed_ms: int) -> None:
        self.silence_ms = silence_ms
        self._fixed_ms = fixed_ms
        self._begin_ms: int | None = None
        self._end_ms = 0
        self._closed: list[Word] = []
        self._open: list[Word] = []
        self._since_ms: list[int] = []  # for each open word, since when it is the same
        self._is_segment_open = False

    def segment(self, segment: Segment) -> list[Sentence]:
        """Take the next state of the open segment, or the first of a new one; return the sentences that changed."""
        changed = []
        if not self._is_segment_open and self._is_over(segment.begin_ms):
            changed.append(self._final(segment))
        if self._begin_ms is None:
            self._begin_ms = segment.begin_ms
        self._end_ms = segment.end_ms
        self._is_segment_open = not segment.is_final
        self._take(segment)
        return [*changed, self._sentence(is_final=False)]

    def silence(self, audio_ms: int) -> list[Sentence]:
        """Return the sentence if it is over now that so much audio has come."""
        return [self._final()] if not self._is_segment_open and self._is_over(audio_ms) else []

    def commit(self) -> list[Sentence]:
        """End the open sentence, if there is one; the decoder has ended its segment already."""
        return [] if self._begin_ms is None else [self._final()]

    def _is_over(self, at_ms: int) -> bool:
        return self._begin_ms is not None and at_ms - self._end_ms >= self.silence_ms

    def _take(self, segment: Segment) -> None:
        words = self._with_fixed(segment.words)
        same = next((i for i, pair in enumerate(zip(words, self._open, strict=False)) if not _agree(*pair)), None)
        kept = min(len(words), len(self._open)) if same is None else same
        self._since_ms = [*self._since_ms[:kept], *(segment.end_ms for _ in words[kept:])]
        self._open = [
            replace(word, is_fixed=word.is_fixed or self._is_stable(word, since_ms, segment.end_ms))
            for word, since_ms in zip(words, self._since_ms, strict=True)
        ]
        if segment.is_final:
            self._closed += (replace(word, is_fixed=True) for word in self._open)
            self._open, self._since_ms = [], []

    def _with_fixed(self, words: Sequence[Word]) -> list[Word]:
        """Return the new words, without those that come before the last fixed one."""
        fixed = [word for word in self._open if word.is_fixed]
        if not fixed:
            return list(words)
        if len(words) >= len(fixed) and all(map(_agree, fixed, words)):
            return [*(replace(word, is_fixed=True) for word in words[: len(fixed)]), *words[len(fixed) :]]
        return [*fixed, *(word for word in words if word.begin_ms >= fixed[-1].end_ms)]

    def _is_stable(self, word: Word, since_ms: int, now_ms: int) -> bool:
        return 0 < self._fixed_ms <= min(now_ms - word.end_ms, now_ms - since_ms)

    def _final(self, following: Segment | None = None) -> Sentence:
        final = self._sentence(is_final=True)
        self._begin_ms = None
        self._closed, self._open, self._since_ms = [], [], []
        self._is_segment_open = False
        if following is None or not following.words:
            return final
        stash = Sentence(
            words=_joined(following.words), begin_ms=following.begin_ms, end_ms=following.end_ms, is_final=False
        )
        return replace(final, stash=stash)

    def _sentence(self, *, is_final: bool) -> Sentence:
        words = _joined([*self._closed, *self._open])
        fixed = len(words) if is_final else _fixed_count(words)
        words = tuple(replace(word, is_fixed=i < fixed) for i, word in enumerate(words))
        return Sentence(words=words, begin_ms=self._begin_ms or 0, end_ms=self._end_ms, is_final=is_final)


def _agree(one: Word, other: Word) -> bool:
    return one.text.strip() == other.text.strip()


def _joined(words: Sequence[Word]) -> tuple[Word, ...]:
    """Return the words with a blank before all but the first."""
    return tuple(
        replace(word, text=word.text.strip() if i == 0 else f" {word.text.strip()}") for i, word in enumerate(words)
    )


def _fixed_count(words: Sequence[Word]) -> int:
    """Count the fixed words from the first on: one behind a word that may change may change too."""
    return next((i for i, word in enumerate(words) if not word.is_fixed), len(words))
