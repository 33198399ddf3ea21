"""The hot-word lists of the emulated account, and the vendor's limits of them. Pure."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from dashscope_emulator.rest import RestError, invalid

_PREFIX: Final = re.compile(r"[0-9a-z]{1,10}")
_MAX_WORDS: Final = 500
_MAX_WORDS_OF_LARGE_MODELS: Final = 2000
_MAX_CHARACTERS: Final = 15
_MAX_PARTS: Final = 7
_SUPER_WEIGHT: Final = 50
_MAX_SUPER_WORDS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """One compiled list.

    Attributes:
        vocabulary_id: ``vocab-<prefix>-<hex>``.
        prefix: Chosen by the client.
        target_model: The model it works with.
        words: As the client wrote them.
        created: When, as the vendor writes times.
        modified: When last.
    """

    vocabulary_id: str
    prefix: str
    target_model: str
    words: tuple[dict[str, object], ...]
    created: str
    modified: str


class Vocabularies:
    """All hot-word lists of the account.

    Args:
        limit: How many there may be.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lists: dict[str, Vocabulary] = {}

    def __contains__(self, vocabulary_id: object) -> bool:
        """Whether there is a list of that id."""
        return vocabulary_id in self._lists

    def create(self, prefix: str, target_model: str, words: list[dict[str, object]]) -> Vocabulary:
        """Compile a list.

        Raises:
            RestError: The words break a limit, or there are too many lists.
        """
        if not _PREFIX.fullmatch(prefix):
            raise invalid("prefix must be at most 10 digits and lowercase letters")
        _check(words, target_model)
        if len(self._lists) >= self._limit:
            raise RestError(400, "Throttling.AllocationQuota", "Free allocated quota exceeded.")
        now = _now()
        vocabulary = Vocabulary(
            vocabulary_id=f"vocab-{prefix}-{uuid.uuid4().hex[:20]}",
            prefix=prefix,
            target_model=target_model,
            words=tuple(words),
            created=now,
            modified=now,
        )
        self._lists[vocabulary.vocabulary_id] = vocabulary
        return vocabulary

    def query(self, vocabulary_id: str) -> Vocabulary:
        """Find a list.

        Raises:
            RestError: There is no such list.
        """
        if vocabulary_id not in self._lists:
            raise RestError(400, "BadRequest.ResourceNotExist", "The required resource not exist.")
        return self._lists[vocabulary_id]

    def update(self, vocabulary_id: str, words: list[dict[str, object]]) -> None:
        """Replace the words of a list.

        Raises:
            RestError: There is no such list, or the words break a limit.
        """
        vocabulary = self.query(vocabulary_id)
        _check(words, vocabulary.target_model)
        self._lists[vocabulary_id] = replace(vocabulary, words=tuple(words), modified=_now())

    def delete(self, vocabulary_id: str) -> None:
        """Remove a list.

        Raises:
            RestError: There is no such list.
        """
        self.query(vocabulary_id)
        del self._lists[vocabulary_id]

    def page(self, prefix: str | None, index: int, size: int) -> list[Vocabulary]:
        """Return a page of the lists of a prefix, or of all, from the oldest on; pages count from 0."""
        found = [item for item in self._lists.values() if not prefix or item.prefix == prefix]
        return found[index * size : (index + 1) * size]


def _check(words: list[dict[str, object]], target_model: str) -> None:
    """Source: Model Studio, "Custom hot words", limits."""
    is_large = target_model.startswith(("qwen-audio-3", "fun-asr-realtime"))
    limit = _MAX_WORDS_OF_LARGE_MODELS if is_large else _MAX_WORDS
    if not 1 <= len(words) <= limit:
        raise invalid(f"a vocabulary has 1 to {limit} words")
    for word in words:
        _check_word(word, takes_super=target_model.startswith("qwen-audio-3"))
    if sum(word.get("weight") == _SUPER_WEIGHT for word in words) > _MAX_SUPER_WORDS:
        raise invalid(f"at most {_MAX_SUPER_WORDS} words may weigh {_SUPER_WEIGHT}")


def _check_word(word: dict[str, object], *, takes_super: bool) -> None:
    text, weight = word.get("text"), word.get("weight")
    if not isinstance(text, str) or not text.strip():
        raise invalid("a word needs a text")
    if text.isascii() and len(text.split()) > _MAX_PARTS:
        raise invalid(f"a word has at most {_MAX_PARTS} parts")
    if not text.isascii() and len(text) > _MAX_CHARACTERS:
        raise invalid(f"a word has at most {_MAX_CHARACTERS} characters")
    if type(weight) is not int:  # neither true nor 4.0
        raise invalid("weight must be an integer")
    if weight not in (1, 2, 3, 4, 5) and not (takes_super and weight == _SUPER_WEIGHT):
        raise invalid("weight must be from 1 to 5")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
