"""What is spoken in a Qwen3-ASR session: its items, told one after the other in the order in which they began."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from asrgateway_server.events import FinalResult, InterimResult

# The vendor promises no order between the finals of two items. So many may wait for the one before them.
_MOST_WAITING: Final = 4
# Of items that have ended nothing more is told, whatever is said twice or too late.
_REMEMBERED: Final = 64


@dataclass(slots=True, kw_only=True)
class Item:
    """One utterance. Times are the connection's, without the silence that was put in.

    Attributes:
        item_id: The vendor's name for it.
        start_ms: Where speech began; None if that was not told.
        end_ms: Where speech ended; None if it has not, or that was not told.
        committed: Text that will not change.
        language_code: The language heard last; empty if none was told.
        has_text: There was some text of it, changing or not.
        is_over: No more audio belongs to it.
        is_promised: The vendor said that a text will come.
        news: The last text that was not told yet.
        final: How it ended.
        is_blank: It ended without a word, and none was ever shown.
    """

    item_id: str
    start_ms: int | None = None
    end_ms: int | None = None
    committed: str = ""
    language_code: str = ""
    has_text: bool = False
    is_over: bool = False
    is_promised: bool = False
    news: InterimResult | None = None
    final: FinalResult | None = None
    is_blank: bool = False

    def broken_off(self) -> FinalResult:
        """Return the end of an item whose text never came: what was promised, and nothing made up."""
        return FinalResult(
            text=self.committed, start_ms=self.start_ms, end_ms=self.end_ms, language_code=self.language_code
        )


class Items:
    """The items of a session that have not been told to their end."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._ended: deque[str] = deque(maxlen=_REMEMBERED)

    @property
    def waiting(self) -> tuple[Item, ...]:
        """Those that have not been told to their end, in order."""
        return tuple(self._items.values())

    def find(self, item_id: str) -> Item | None:
        """Return the item of that name, a new one if there is none; None if it was told to its end."""
        if item_id in self._ended:
            return None
        return self._items.setdefault(item_id, Item(item_id=item_id))

    def spoken(self) -> Item | None:
        """Return the item that is being spoken, as far as is known."""
        return next((item for item in reversed(self._items.values()) if not item.is_over), None)

    def take_news(self) -> InterimResult | None:
        """Return the latest text of the item whose turn it is, once."""
        first = next(iter(self._items.values()), None)
        if first is None:
            return None
        news, first.news = first.news, None
        return news

    def take_ended(self) -> list[Item]:
        """Return the items whose end may be told now, in order."""
        ended = []
        while self._items:
            first, *later = self._items.values()
            if first.final is None and not _is_given_up(first, later):
                break
            ended.append(self._end(first))
        return ended

    def take_all(self) -> list[Item]:
        """Return all items: nothing more will be heard of them."""
        return [self._end(item) for item in self.waiting]

    def _end(self, item: Item) -> Item:
        del self._items[item.item_id]
        self._ended.append(item.item_id)
        return item


def _is_given_up(first: Item, later: list[Item]) -> bool:
    """Whether later items need not wait: a noise that the vendor dropped, or a text that should have come by now."""
    if sum(item.final is not None for item in later) > _MOST_WAITING:
        return True
    is_a_noise = first.is_over and not first.is_promised and not first.has_text
    return is_a_noise and any(item.final is not None for item in later)
