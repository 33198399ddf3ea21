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
# Scripts without spaces between words, and their marks. Hangul has spaces.
_HAS_NO_SPACES: Final = re.compile(
    "[\u3000-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
)


class Results:
    """Makes Riva's results of one call.

    Riva's clients join texts without a separator, so a text that follows another one begins with its space.
    """

    def __init__(self) -> None:
        #: The last character of each channel's last final text.
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
            self._last[result.channel] = text[-1]
        return f" {text}" if last and needs_space(last, text[0]) else text


def needs_space(before: str, after: str) -> bool:
    """Say whether a space belongs between two characters."""
    return not (_HAS_NO_SPACES.match(before) and _HAS_NO_SPACES.match(after))


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
