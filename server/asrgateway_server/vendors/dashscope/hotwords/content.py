"""The content of a hot-word table, and the name by which every gateway knows it. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from asrgateway_server.config import Hotword
from asrgateway_server.languages import vendor_code

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
        if not all(isinstance(row, dict) for row in vocabulary):
            return False
        # As sets: whether the vendor keeps a row that stands twice is not documented.
        shown = {(str(row.get("text")), row.get("weight"), row.get("lang") or "") for row in vocabulary}
        return shown == {(entry.text, entry.weight, entry.language) for entry in self.entries}


def content_of(model: str, words: Iterable[Hotword], languages: Collection[str] = ()) -> Content:
    """Return the content of a table that holds a call's hot words.

    What is one word to the vendor, which knows no regions, is one entry: it has the greatest of the weights.

    Args:
        model: The vendor's name.
        words: The call's.
        languages: Those that a word may have, as the vendor names them; empty: any.
    """
    entries: dict[tuple[str, str], Entry] = {}
    for word in words:
        entry = Entry(text=word.text.strip(), weight=word.weight, language=_language(word.language_code, languages))
        key = (entry.text, entry.language)
        if key not in entries or entries[key].weight < entry.weight:
            entries[key] = entry
    return Content(model=model, entries=_sorted(entries.values()))


def _language(code: str, languages: Collection[str]) -> str:
    primary = code.partition("-")[0].lower()
    return vendor_code(code, languages or (primary,))[0] or primary


def prefix_of(vocabulary_id: str) -> str:
    """Return the prefix within a table's id; empty if it has none."""
    found = _ID.fullmatch(vocabulary_id)
    return found[1] if found else ""


def is_ours(vocabulary_id: str) -> bool:
    """Whether only a gateway can have made a table."""
    return OUR_PREFIX.fullmatch(prefix_of(vocabulary_id)) is not None


def _sorted(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=lambda entry: (entry.text, entry.language, entry.weight)))
