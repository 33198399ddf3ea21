"""What each family of the vendor's models takes as hot words, as data.

Source: Model Studio manual, "custom hot words", "improve recognition accuracy", "Paraformer phrase manager".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from asrgateway_server.models import HotwordLimits, Length


def _parts(text: str) -> int:
    return len(text.split())


def _has_ascii_letters(text: str) -> bool:
    return any(sign.isascii() and sign.isalpha() for sign in text)


_TABLE_LENGTHS: Final = (
    Length(applies=str.isascii, measure=_parts, limit=7, unit="blank-separated parts"),
    Length(applies=bool, measure=len, limit=15, unit="characters"),
)

PHRASES: Final = HotwordLimits(
    weights=frozenset((*range(1, 6), *range(-6, 0))),
    weights_text="1 to 5, or -6 to -1 for words to avoid",
    lengths=(
        Length(applies=_has_ascii_letters, measure=_parts, limit=5, unit="words"),
        Length(applies=bool, measure=len, limit=10, unit="characters"),
    ),
    languages=frozenset(("zh", "en")),
)
PARAFORMER_TABLE: Final = HotwordLimits(
    lengths=_TABLE_LENGTHS, languages=frozenset(("zh", "en", "ja", "yue", "ko", "de", "fr", "ru"))
)
SMALL_FUN_ASR_TABLE: Final = HotwordLimits(lengths=_TABLE_LENGTHS, languages=frozenset(("zh", "en", "ja")))
FUN_ASR_TABLE: Final = replace(SMALL_FUN_ASR_TABLE, max_words=2000)
INSTANT: Final = HotwordLimits(
    max_words=2000,
    weights=frozenset((*range(1, 6), 50)),
    weights_text="1 to 5, or 50 for super hot words",
    super_weight=50,
    max_super_words=50,
    lengths=_TABLE_LENGTHS,
)
#: A text, which has a limit of its own.
CORPUS: Final = HotwordLimits(max_words=10_000)
