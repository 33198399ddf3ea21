"""What each family of models takes as hot words, and how much of it, as data."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from asrgateway_server.models import Model
from asrgateway_server.vendors.pocketsphinx.pronunciation import MAX_CHARACTERS, is_speakable

OPTION: Final = "adaptation.hotwords"


class Mechanism(Enum):
    """What hot words become."""

    TABLE = auto()
    PHRASES = auto()
    INSTANT = auto()
    CORPUS = auto()
    DICTIONARY = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """How long a word may be.

    Attributes:
        applies: Whether this rule is for a word.
        measure: Returns a word's length.
        limit: The longest that is taken.
        unit: What is counted, for the caller.
    """

    applies: Callable[[str], bool]
    measure: Callable[[str], int]
    limit: int
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Models that take hot words alike.

    Attributes:
        names: Matches the names of its models.
        mechanism: What hot words become.
        max_words: Words of a call.
        weights: Those that are allowed.
        weights_told: The same for the caller.
        super_weight: Of super hot words; None where there are none.
        max_super_words: How many of those.
        max_characters: The longest text that is looked at.
        lengths: The first rule that applies to a word holds.
        languages: Primary language codes that a word may have; empty: any.
        is_writable: Whether a text can be taken at all.
        writing_told: The same for the caller.
    """

    names: re.Pattern[str]
    mechanism: Mechanism
    max_words: int = 500
    weights: frozenset[int] = frozenset(range(1, 6))
    weights_told: str = "1 to 5"
    super_weight: int | None = None
    max_super_words: int = 0
    max_characters: int = 200
    lengths: tuple[Length, ...] = ()
    languages: frozenset[str] = frozenset()
    is_writable: Callable[[str], bool] = bool
    writing_told: str = ""


def _parts(text: str) -> int:
    return len(text.split())


def _has_ascii_letters(text: str) -> bool:
    return any(sign.isascii() and sign.isalpha() for sign in text)


_TABLE_LENGTHS: Final = (
    Length(applies=str.isascii, measure=_parts, limit=7, unit="blank-separated parts"),
    Length(applies=bool, measure=len, limit=15, unit="characters"),
)
_PHRASE_LENGTHS: Final = (
    Length(applies=_has_ascii_letters, measure=_parts, limit=5, unit="words"),
    Length(applies=bool, measure=len, limit=10, unit="characters"),
)

# Source: Model Studio manual, "custom hot words", "improve recognition accuracy", "Paraformer phrase manager".
_FAMILIES: Final = (
    Family(
        names=re.compile(r"paraformer-.*-v1"),
        mechanism=Mechanism.PHRASES,
        weights=frozenset((*range(1, 6), *range(-6, 0))),
        weights_told="1 to 5, or -6 to -1 for words to avoid",
        lengths=_PHRASE_LENGTHS,
        languages=frozenset(("zh", "en")),
    ),
    Family(
        names=re.compile(r"paraformer-.*"),
        mechanism=Mechanism.TABLE,
        lengths=_TABLE_LENGTHS,
        languages=frozenset(("zh", "en", "ja", "yue", "ko", "de", "fr", "ru")),
    ),
    Family(
        names=re.compile(r"fun-asr-flash-8k-.*"),
        mechanism=Mechanism.TABLE,
        lengths=_TABLE_LENGTHS,
        languages=frozenset(("zh", "en", "ja")),
    ),
    Family(
        names=re.compile(r"fun-asr-.*"),
        mechanism=Mechanism.TABLE,
        max_words=2000,
        lengths=_TABLE_LENGTHS,
        languages=frozenset(("zh", "en", "ja")),
    ),
    Family(
        names=re.compile(r"qwen-audio-3\..*"),
        mechanism=Mechanism.INSTANT,
        max_words=2000,
        weights=frozenset((*range(1, 6), 50)),
        weights_told="1 to 5, or 50 for super hot words",
        super_weight=50,
        max_super_words=50,
        lengths=_TABLE_LENGTHS,
    ),
    # A text, which has a limit of its own.
    Family(names=re.compile(r"qwen3-asr-.*"), mechanism=Mechanism.CORPUS, max_words=10_000),
    Family(
        names=re.compile(r"embedded"),
        mechanism=Mechanism.DICTIONARY,
        max_characters=MAX_CHARACTERS,
        lengths=(Length(applies=bool, measure=_parts, limit=7, unit="blank-separated parts"),),
        languages=frozenset(("en",)),
        is_writable=is_speakable,
        writing_told="English letters, hyphens, dots, apostrophes and blanks",
    ),
)


def family_of(model: Model) -> Family | None:
    """Return what a model takes as hot words; None if it takes none."""
    if OPTION not in model.options:
        return None
    return next((family for family in _FAMILIES if family.names.fullmatch(model.kind)), None)
