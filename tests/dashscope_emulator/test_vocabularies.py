"""The vendor's limits of hot-word lists."""

from __future__ import annotations

import pytest

from dashscope_emulator.rest import RestError
from dashscope_emulator.vocabularies import Vocabularies


def word(text: str, weight: int = 4) -> dict[str, object]:
    return {"text": text, "weight": weight}


LIMITS: dict[str, tuple[str, list[dict[str, object]], bool]] = {
    "500 words": ("paraformer-realtime-v2", [word("a")] * 500, True),
    "501 words": ("paraformer-realtime-v2", [word("a")] * 501, False),
    "2000 words": ("fun-asr-realtime", [word("a")] * 2000, True),
    "2001 words": ("fun-asr-realtime", [word("a")] * 2001, False),
    "7 parts": ("fun-asr-realtime", [word("a b c d e f g")], True),
    "8 parts": ("fun-asr-realtime", [word("a b c d e f g h")], False),
    "15 characters": ("fun-asr-realtime", [word("语" * 15)], True),
    "16 characters": ("fun-asr-realtime", [word("语" * 16)], False),
    "weight 0": ("fun-asr-realtime", [word("a", 0)], False),
    "weight 6": ("fun-asr-realtime", [word("a", 6)], False),
    "weight 50": ("fun-asr-realtime", [word("a", 50)], False),
    "50 super words": ("qwen-audio-3.0-asr-flash-streaming", [word("a", 50)] * 50, True),
    "51 super words": ("qwen-audio-3.0-asr-flash-streaming", [word("a", 50)] * 51, False),
    "no text": ("fun-asr-realtime", [word(" ")], False),
}


@pytest.mark.parametrize(("model", "words", "is_accepted"), LIMITS.values(), ids=LIMITS.keys())
def test_the_documented_limits_hold(model: str, words: list[dict[str, object]], is_accepted: bool) -> None:
    vocabularies = Vocabularies(limit=10)
    if is_accepted:
        assert vocabularies.create("a", model, words).vocabulary_id in vocabularies
    else:
        with pytest.raises(RestError):
            vocabularies.create("a", model, words)
