"""The content of a hot-word table, and the name by which every gateway knows it. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from asrgateway_server.config import Hotword

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_NAME_DIGITS: Final = 8
#: Prefixes that only we make: foreign tables are never touched.
OUR_PREFIX: Final = re.compile(r"g[0-9a-z]{8}")
_ID: Final = re.compile(r"vocab-([0-9a-z]{1,10})-.+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One word of a table."""

    text: str = field(repr=False)
    weight: int
    language: str

    def as_json(self) -> dict[str, object]:
        """Return it as the vendor takes it."""
        shown: dict[str, object] = {"text": self.text, "weight": self.weight}
        return shown | ({"lang": self.language} if self.language else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a table is for and holds.

    Attributes:
        model: The model it is compiled for.
        entries: Its words, sorted, so that the same words in another order are the same content.
    """

    model: str
    entries: tuple[Entry, ...]

    @property
    def prefix(self) -> str:
        """The prefix of its table: ``g`` and eight digits of base 36 that its hash decides."""
        rows = [[entry.text, entry.weight, entry.language] for entry in self.entries]
        digest = hashlib.sha256(json.dumps([self.model, rows]).encode()).digest()
        number = int.from_bytes(digest, "big")
        digits = []
        for _ in range(_NAME_DIGITS):
            number, digit = divmod(number, len(_DIGITS))
            digits.append(_DIGITS[digit])
        return "g" + "".join(digits)

    def matches(self, target_model: object, vocabulary: Any) -> bool:  # Any: the vendor's JSON
        """Whether a table that the vendor shows is this one."""
        if target_model != self.model or not isinstance(vocabulary, list):
            return False
        shown = [
            (row.get("text"), row.get("weight"), row.get("lang") or "") for row in vocabulary if isinstance(row, dict)
        ]
        wanted = {(entry.text, entry.weight, entry.language) for entry in self.entries}
        return len(shown) == len(vocabulary) == len(wanted) and set(shown) == wanted


def content_of(model: str, words: Iterable[Hotword]) -> Content:
    """Return the content of a table that holds a call's hot words."""
    entries = (
        Entry(text=word.text.strip(), weight=word.weight, language=word.language_code.partition("-")[0].lower())
        for word in words
    )
    return Content(model=model, entries=_sorted(entries))


def prefix_of(vocabulary_id: str) -> str:
    """Return the prefix within a table's id; empty if it has none."""
    found = _ID.fullmatch(vocabulary_id)
    return found[1] if found else ""


def is_ours(vocabulary_id: str) -> bool:
    """Whether only a gateway can have made a table."""
    return OUR_PREFIX.fullmatch(prefix_of(vocabulary_id)) is not None


def _sorted(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=lambda entry: (entry.text, entry.language, entry.weight)))
