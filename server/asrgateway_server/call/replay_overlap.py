"""Takes apart results that a replay gives again. Pure.

Only times say what was delivered, never a text: a second "yes" is a second "yes".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeVar

from asrgateway_server.events import FinalResult, InterimResult, Word

ResultEvent = TypeVar("ResultEvent", InterimResult, FinalResult)

#: The times of one word differ by less from one task to another; no word is shorter.
TOLERANCE_MS: Final = 100


def without_delivered(event: ResultEvent, delivered_ms: int) -> ResultEvent | None:
    """Return a result without what earlier results had; None if they had all of it.

    Args:
        event: On the client's clock.
        delivered_ms: Where the last final result ended.
    """
    until_ms = delivered_ms + TOLERANCE_MS
    if event.end_ms is not None and event.end_ms <= until_ms:
        return None
    known = sum(word.end_ms <= until_ms for word in event.words)
    if event.words and known == len(event.words):
        return None
    start_ms = event.words[known].start_ms if known else event.start_ms
    # The next result begins where the last one ended, or later.
    if start_ms is not None:
        start_ms = max(start_ms, delivered_ms)
    if not known:
        return replace(event, start_ms=start_ms)
    cut = _length_of(event.text, event.words[:known])
    changes = {"text": event.text[cut:].lstrip(), "words": event.words[known:], "start_ms": start_ms}
    if isinstance(event, InterimResult):
        changes["committed"] = event.committed[cut:].lstrip()
    return replace(event, **changes)  # type: ignore[arg-type] # each of its field


def agreed(before: InterimResult, now: InterimResult) -> FinalResult | None:
    """Return the words on which two texts of one utterance agree, as a final result; None if there are none.

    The last word of each is left out: its speaker may have been in the middle of it.
    """
    count = 0
    for old, new in zip(before.words[:-1], now.words[:-1], strict=False):
        if old.text != new.text:
            break
        count += 1
    if not count:
        return None
    words = now.words[:count]
    return FinalResult(
        text=now.text[: _length_of(now.text, words)].rstrip(),
        start_ms=now.start_ms,
        end_ms=words[-1].end_ms,
        words=words,
        language_code=now.language_code,
        is_forced=True,
    )


def _length_of(text: str, words: Sequence[Word]) -> int:
    """Return how much of a text its first words take; those that the text writes otherwise count with the next one."""
    length = 0
    for word in words:
        for part in (word.text.strip(), word.punctuation):
            found = text.find(part, length) if part else -1
            length = length if found < 0 else found + len(part)
    return length
