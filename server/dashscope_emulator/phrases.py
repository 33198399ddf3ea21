"""The phrase lists of the emulated account: hot words of the first Paraformer models. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dashscope_emulator.rest import RestError, invalid

_MAX_PHRASES: Final = 500
_WEIGHTS: Final = frozenset((1, 2, 3, 4, 5, -6, -5, -4, -3, -2, -1))


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseList:
    """One compiled list.

    Attributes:
        phrase_id: ``<model>-ft-<hex>``.
        job_id: Of the job that compiled it.
        model: The model it works with.
        created: When, as the vendor writes times.
        phrases: Weight of each.
    """

    phrase_id: str
    job_id: str
    model: str
    created: str
    phrases: Mapping[str, int]


class PhraseLists:
    """All phrase lists of the account."""

    def __init__(self) -> None:
        self._lists: dict[str, PhraseList] = {}

    def compile(self, model: str, phrases: object, created: str, phrase_id: str | None = None) -> PhraseList:
        """Compile a new list, or replace the one of that id.

        Raises:
            RestError: The phrases break a limit.
            RestError: There is no list of that id.
        """
        if phrase_id is not None:
            self.query(phrase_id)
        job = uuid.uuid4().hex[:16]
        compiled = PhraseList(
            phrase_id=phrase_id or f"{model}-ft-{job}",
            job_id=f"ft-{job}",
            model=model,
            created=created,
            phrases=_checked(phrases),
        )
        self._lists[compiled.phrase_id] = compiled
        return compiled

    def query(self, phrase_id: str) -> PhraseList:
        """Find a list.

        Raises:
            RestError: There is no such list.
        """
        if phrase_id not in self._lists:
            raise RestError(404)
        return self._lists[phrase_id]

    def words(self, phrase_id: str, model: str) -> Mapping[str, int]:
        """Return the weights of a list's phrases; none if there is no such list, or it is for another model."""
        found = self._lists.get(phrase_id)
        return found.phrases if found and found.model == model else {}

    def delete(self, phrase_id: str) -> None:
        """Remove a list.

        Raises:
            RestError: There is no such list.
        """
        self.query(phrase_id)
        del self._lists[phrase_id]

    def page(self, number: int, size: int) -> list[PhraseList]:
        """Return a page of the lists, from the oldest on; pages count from 1."""
        return list(self._lists.values())[(number - 1) * size : number * size]

    def __len__(self) -> int:
        """Count the lists."""
        return len(self._lists)


def _checked(phrases: object) -> dict[str, int]:
    """Source: Model Studio, "Paraformer phrase manager", limits."""
    if not isinstance(phrases, dict) or not 1 <= len(phrases) <= _MAX_PHRASES:
        raise invalid(f"phrase_list must have 1 to {_MAX_PHRASES} phrases")
    if not all(type(weight) is int and weight in _WEIGHTS for weight in phrases.values()):
        raise invalid("a weight must be from 1 to 5 or from -6 to -1")
    return {str(text): weight for text, weight in phrases.items()}
