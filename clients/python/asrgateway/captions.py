"""Captions from final results: which words are on the screen, and when."""
# ruff: noqa: RUF001 - Chinese punctuation marks are meant, not their Latin likes

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from google.protobuf.duration_pb2 import Duration
from rich.cells import cell_len

from asrgateway.v1.recognition_pb2 import RecognitionResult, WordInfo

LINE_COLUMNS: Final = 42
"""Of a caption's line; a Chinese character takes two."""
MAX_LINES: Final = 2
MAX_MS: Final = 7000
PAUSE_MS: Final = 1000
"""So long a pause between two words ends a caption."""
MIN_MS: Final = 100
VTT_HEADER: Final = ("WEBVTT", "")

_READING_MS_PER_COLUMN: Final = 60
_WIDE: Final = "\u2e80-\u2fff\u3001-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"  # Written without blanks.
_OPENING: Final = "（「『【《〈“‘("
_CLOSING: Final = "、。，．！？：；）」』】》〉”’…"
# What stays together in a line: a word with its punctuation, or one Chinese character with its own.
_PIECE: Final = re.compile(rf"\s*[{_OPENING}]*(?:[{_WIDE}]|[^\s{_WIDE}]+)[{_CLOSING}]*|\s*\S+")
_SENTENCE_END: Final = re.compile(r"[.?!。？！．][\"'”’」』)）]*\s*$")
_SPOKEN: Final = re.compile(r"\w")
_ENDS_WIDE: Final = re.compile(rf"[{_WIDE}]$")
_BEGINS_WIDE: Final = re.compile(rf"[{_WIDE}]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """What is on the screen for a while.

    Attributes:
        start_ms: Counted from the first audio; never before the end of the caption before it.
        end_ms: After ``start_ms``.
        lines: At least one, none of them empty.
    """

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    """A piece of text that is not divided, with the blanks around it, and its time."""

    text: str
    start_ms: int
    end_ms: int


class Captions:
    """Makes the captions of one recording, result after result."""

    def __init__(self) -> None:
        self._end_ms = 0

    def of(self, result: RecognitionResult, finalized_ms: int) -> list[Caption]:
        """Return the captions of one final result; none if it has no text.

        Args:
            result: Final; the results come in order.
            finalized_ms: The cursor's ``finalized``: where the utterance ends if the model does not say.
        """
        return [self._caption(group) for group in _groups(self._units(result, finalized_ms))]

    def _units(self, result: RecognitionResult, finalized_ms: int) -> list[_Unit]:
        words = [word for word in result.words if word.word.strip()]
        if words:
            texts = _texts_of_words(result.transcript, words)
            return [part for text, word in zip(texts, words, strict=True) for part in _divided(_unit(text, word))]
        start_ms = _ms(result.start_offset) if result.HasField("start_offset") else self._end_ms
        end_ms = _ms(result.end_offset) if result.HasField("end_offset") else finalized_ms
        if end_ms <= start_ms:
            end_ms = start_ms + _READING_MS_PER_COLUMN * cell_len(result.transcript)
        return _spread(_Unit(text=result.transcript, start_ms=start_ms, end_ms=end_ms))

    def _caption(self, group: Sequence[_Unit]) -> Caption:
        start_ms = max(self._end_ms, group[0].start_ms)
        self._end_ms = max(start_ms + MIN_MS, group[-1].end_ms)
        return Caption(start_ms=start_ms, end_ms=self._end_ms, lines=tuple(_lines(unit.text for unit in group)))


def srt(number: int, caption: Caption) -> list[str]:
    """Return the lines of a SubRip caption; ``number`` counts from 1."""
    times = f"{_time(caption.start_ms, ',')} --> {_time(caption.end_ms, ',')}"
    return [str(number), times, *(line.replace("-->", "->") for line in caption.lines), ""]


def vtt(caption: Caption) -> list[str]:
    """Return the lines of a WebVTT caption.

    Source: W3C, "WebVTT: The Web Video Text Tracks Format", section 4.2.2: which characters must be escaped.
    """
    escaped = (line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in caption.lines)
    return [f"{_time(caption.start_ms, '.')} --> {_time(caption.end_ms, '.')}", *escaped, ""]


def _texts_of_words(transcript: str, words: Sequence[WordInfo]) -> list[str]:
    """Return the text of each word with what follows it; from the transcript, if the words are found there."""
    starts = _positions(transcript, words)
    if starts is None:
        return _joined(words)
    return [transcript[start:end] for start, end in pairwise([0, *starts[1:], len(transcript)])]


def _positions(transcript: str, words: Sequence[WordInfo]) -> list[int] | None:
    """Find each word in the transcript; None if one is missing, or one of the transcript's is left over."""
    starts: list[int] = []
    end = 0
    for word in words:
        text = word.word.strip()
        start = transcript.find(text, end)
        if start < 0 or _SPOKEN.search(transcript, end, start):
            return None
        starts.append(start)
        end = start + len(text)
    return None if _SPOKEN.search(transcript, end) else starts


def _joined(words: Sequence[WordInfo]) -> list[str]:
    texts = [word.word.strip() + word.punctuation.strip() for word in words]
    blanks = ["" if _ENDS_WIDE.search(one) or _BEGINS_WIDE.match(next_) else " " for one, next_ in pairwise(texts)]
    return [text + blank for text, blank in zip(texts, [*blanks, ""], strict=True)]


def _unit(text: str, word: WordInfo) -> _Unit:
    start_ms = _ms(word.start_offset)
    return _Unit(text=text, start_ms=start_ms, end_ms=max(start_ms, _ms(word.end_offset)))


def _divided(unit: _Unit) -> list[_Unit]:
    """Divide a word that is longer than a line."""
    return [unit] if cell_len(unit.text.strip()) <= LINE_COLUMNS else _spread(unit)


def _spread(unit: _Unit) -> list[_Unit]:
    """Divide a text into pieces, each with a share of the time that fits its length."""
    pieces = [part for found in _PIECE.findall(unit.text) for part in _chopped(found)]
    total = max(1, sum(map(cell_len, pieces)))
    units = []
    done = 0
    for piece in pieces:
        start, done = done, done + cell_len(piece)
        span_ms = unit.end_ms - unit.start_ms
        units.append(
            _Unit(
                text=piece,
                start_ms=unit.start_ms + span_ms * start // total,
                end_ms=unit.start_ms + span_ms * done // total,
            )
        )
    return units


def _chopped(piece: str) -> list[str]:
    """Chop what does not fit into a line at all, such as an address of the web."""
    size = LINE_COLUMNS if cell_len(piece) == len(piece) else LINE_COLUMNS // 2
    return [piece[start : start + size] for start in range(0, len(piece), size)]


def _groups(units: Iterable[_Unit]) -> Iterator[list[_Unit]]:
    """Yield the units of each caption."""
    group: list[_Unit] = []
    for unit in units:
        if group and _is_full(group, unit):
            yield group
            group = []
        group.append(unit)
    if group:
        yield group


def _is_full(group: Sequence[_Unit], unit: _Unit) -> bool:
    """Whether a caption ends before this unit."""
    text = "".join(one.text for one in group)
    return (
        unit.start_ms - group[-1].end_ms >= PAUSE_MS
        or unit.end_ms - group[0].start_ms > MAX_MS
        or (_SENTENCE_END.search(text) is not None and cell_len(text) >= LINE_COLUMNS // 2)
        or len(_lines([*(one.text for one in group), unit.text])) > MAX_LINES
    )


def _lines(texts: Iterable[str]) -> list[str]:
    """Fill lines with texts that are not divided."""
    lines: list[str] = []
    for text in texts:
        if lines and cell_len((lines[-1] + text).strip()) <= LINE_COLUMNS:
            lines[-1] += text
        else:
            lines.append(text)
    return [line.strip() for line in lines]


def _time(ms: int, separator: str) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{separator}{ms:03}"


def _ms(duration: Duration) -> int:
    return duration.ToMilliseconds()
