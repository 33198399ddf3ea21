"""The contract's results to Riva's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from google.protobuf.duration_pb2 import Duration

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.riva_api import asr_pb2 as asr

# 1.0 means that an end of utterance was found for the first time, and clients leave such a text out.
_MOST_STABLE: Final = 0.99
# Letters of scripts without spaces between words. Hangul has spaces.
_LETTER: Final = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3041-\u309f\u30a1-\u30fa\u30fc-\u312f\u31a0-\u31bf"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uff9f"
    "\uffe0-\uffe6\U00020000-\U0003ffff"
)
# Marks that are as wide as a letter of these, and so have their space in them.
_WIDE_MARK: Final = (
    "\u3000-\u3004\u3008-\u3020\u302a-\u3030\u3036-\u3040\u30a0\u30fb\ufe10-\ufe1f\ufe30-\ufe6f\uff01-\uff0f"
    "\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
)
# Marks of every script, wide beside such a letter: quotes, dashes, ellipses, the middle dot.
_MARK: Final = "\u00b7\u2014\u2015\u2018\u2019\u201c\u201d\u2025\u2026"
#: Stands between two texts.
_SEAM: Final = "\0"
_HAS_NO_SPACE: Final = re.compile(
    f"[{_WIDE_MARK}]{_SEAM}|{_SEAM}[{_WIDE_MARK}]"
    f"|[{_LETTER}{_WIDE_MARK}][{_MARK}]+{_SEAM}|{_SEAM}[{_MARK}]+[{_LETTER}{_WIDE_MARK}]"
    f"|[{_LETTER}]{_SEAM}[{_LETTER}{_MARK}]|[{_MARK}]{_SEAM}[{_LETTER}]"
)
# So much of a text says what its edge is: a letter behind a few marks.
_EDGE: Final = 8


class Results:
    """Makes Riva's results of one call.

    Riva's clients join texts without a separator, so a text that follows another one begins with its space.
    """

    def __init__(self) -> None:
        #: The end of each channel's last final text.
        self._last: dict[int, str] = {}

    def fill(
        self, target: asr.StreamingRecognitionResult | asr.SpeechRecognitionResult, message: pb.RecognizeResponse
    ) -> None:
        """Fill what results of both methods have."""
        result = message.result
        alternative = target.alternatives.add()
        alternative.transcript = self._spaced(result)
        target.channel_tag = result.channel + 1
        end = result.end_offset if result.HasField("end_offset") else message.cursor.sent_upstream
        target.audio_processed = end.seconds + end.nanos / 1e9
        if result.language_code:
            alternative.language_code.append(result.language_code)
        if result.is_final:
            _add_words(alternative, result.words, result.language_code)

    def fill_streamed(self, target: asr.StreamingRecognitionResult, message: pb.RecognizeResponse) -> None:
        """Fill a result of live audio."""
        self.fill(target, message)
        if message.result.is_final:
            target.is_final = True
        else:
            target.stability = min(message.result.stability, _MOST_STABLE)

    def _spaced(self, result: pb.RecognitionResult) -> str:
        text = result.transcript
        if not text:
            return text
        last = self._last.get(result.channel, "")
        if result.is_final:
            self._last[result.channel] = text[-_EDGE:]
        return f" {text}" if last and needs_space(last, text) else text


def needs_space(before: str, after: str) -> bool:
    """Say whether a space belongs between two texts."""
    return not _HAS_NO_SPACE.search(f"{before[-_EDGE:]}{_SEAM}{after[:_EDGE]}")


def _add_words(alternative: asr.SpeechRecognitionAlternative, words: Iterable[pb.WordInfo], language_code: str) -> None:
    for word in words:
        alternative.words.add(
            word=word.word + word.punctuation,
            start_time=_ms(word.start_offset),
            end_time=_ms(word.end_offset),
            language_code=language_code,
        )


def _ms(duration: Duration) -> int:
    return duration.seconds * 1000 + duration.nanos // 1_000_000
