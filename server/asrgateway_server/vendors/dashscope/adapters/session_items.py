"""The items of a session: one utterance each, sent on one after the other in the order in which they began."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from asrgateway_server.audio.inserted_silence import InsertedSilence
from asrgateway_server.events import BackendEvent, Emotion, FinalResult, InterimResult, SpeechEnded, SpeechStarted
from asrgateway_server.vendors.dashscope.adapters import session_messages as messages

# The vendor promises no order between the finals of two items. So many may wait for the one before them.
_MOST_WAITING: Final = 4
# Of items that have ended nothing more is sent on, whatever comes twice or too late.
_REMEMBERED: Final = 64


class Stage(IntEnum):
    """How far an item is; it never goes back."""

    OPEN = 0
    #: No more audio belongs to it.
    OVER = 1
    #: The vendor said that its text will come.
    PROMISED = 2
    #: It has its final.
    ENDED = 3


@dataclass(slots=True, kw_only=True)
class Item:
    """One utterance. Times are the task's, without the silence that was put in.

    Attributes:
        item_id: The vendor's name for it.
        stage: How far it is.
        start_ms: Where speech began; None where the vendor does not say.
        end_ms: Where speech ended; None if it has not, or where the vendor does not say.
        committed: Text that will not change.
        language_code: The language of its last text; empty where the vendor does not say.
        has_text: Some text of it came, changing or not.
        news: The last text that was not sent on yet.
        final: How it ended.
        is_blank: It ended without a word, and none was ever sent on.
    """

    item_id: str
    stage: Stage = Stage.OPEN
    start_ms: int | None = None
    end_ms: int | None = None
    committed: str = ""
    language_code: str = ""
    has_text: bool = False
    news: InterimResult | None = None
    final: FinalResult | None = None
    is_blank: bool = False

    def reach(self, stage: Stage) -> None:
        """Go on to a stage, if it is not beyond it."""
        self.stage = max(self.stage, stage)

    def begin(self, start_ms: int | None) -> Sequence[BackendEvent]:
        """Note where speech began, once."""
        if start_ms is None or self.start_ms is not None:
            return []
        self.start_ms = start_ms
        return [SpeechStarted(offset_ms=start_ms)]

    def stop(self, end_ms: int | None) -> Sequence[BackendEvent]:
        """Note where speech ended, once."""
        self.reach(Stage.OVER)
        if end_ms is None or self.end_ms is not None:
            return []
        self.end_ms = max(end_ms, self.start_ms or 0)
        return [SpeechEnded(offset_ms=self.end_ms)]

    def say(self, message: messages.TranscriptionText) -> None:
        """Note a text that may change."""
        confirmed = message.text or ""
        text = (confirmed + (message.stash or "")).strip()
        if not text:
            return
        confirmed = confirmed.strip()
        if confirmed.startswith(self.committed):  # Else the message is late.
            self.committed = confirmed
        self.has_text = True
        self.language_code = message.language or ""
        self.news = InterimResult(
            text=text, committed=confirmed, start_ms=self.start_ms, language_code=self.language_code
        )

    def complete(self, message: messages.TranscriptionCompleted) -> None:
        """End it with its final text."""
        text = (message.transcript or "").strip()
        self.is_blank = not text and not self.has_text
        self.end(
            FinalResult(
                text=text,
                start_ms=self.start_ms,
                end_ms=self.end_ms,
                language_code=message.language or "",
                emotion=Emotion(label=message.emotion) if message.emotion else None,
            )
        )

    def end(self, final: FinalResult) -> None:
        """Note how it ended, once."""
        self.reach(Stage.ENDED)
        self.final = self.final or final

    def end_or_break_off(self) -> FinalResult:
        """Return how it ended; where its text never came, what was promised of it, and nothing made up."""
        return self.final or FinalResult(
            text=self.committed, start_ms=self.start_ms, end_ms=self.end_ms, language_code=self.language_code
        )


class Items:
    """The items of a session whose end was not sent on yet.

    Args:
        inserted: The silence that the vendor's times include.
    """

    def __init__(self, inserted: InsertedSilence) -> None:
        self._inserted = inserted
        self._items: dict[str, Item] = {}
        self._ended: deque[str] = deque(maxlen=_REMEMBERED)

    @property
    def waiting(self) -> tuple[Item, ...]:
        """All of them, in order."""
        return tuple(self._items.values())

    @property
    def promised(self) -> int:
        """How many of them have a text, or will have one."""
        return sum(item.stage >= Stage.PROMISED for item in self._items.values())

    def receive(self, message: messages.ItemMessage) -> Sequence[BackendEvent]:
        """Note news of an item, which is a new one if its name is; return what can be sent on at once."""
        if message.item_id in self._ended:
            return []
        item = self._items.setdefault(message.item_id, Item(item_id=message.item_id))
        match message:
            case messages.SpeechStarted():
                return item.begin(self._moment(message.audio_start_ms))
            case messages.SpeechStopped():
                return item.stop(self._moment(message.audio_end_ms))
            case messages.Committed():
                item.reach(Stage.PROMISED)
            case messages.TranscriptionText():
                item.say(message)
            case messages.TranscriptionCompleted():
                item.complete(message)
            case messages.TranscriptionFailed():
                item.end(item.end_or_break_off())
        return []

    def spoken(self) -> Item | None:
        """Return the item that is being spoken, as far as is known."""
        return next((item for item in reversed(self._items.values()) if item.stage is Stage.OPEN), None)

    def take_news(self) -> InterimResult | None:
        """Return the latest text of the item whose turn it is, once."""
        first = next(iter(self._items.values()), None)
        if first is None:
            return None
        news, first.news = first.news, None
        return news

    def take_ended(self) -> list[Item]:
        """Return the items whose end may be sent on now, in order."""
        ended = []
        while self._items:
            first, *later = self._items.values()
            if first.final is None and not _is_given_up(first, later):
                break
            ended.append(self._take(first))
        return ended

    def take_all(self) -> list[Item]:
        """Return all items: nothing more will come of them."""
        return [self._take(item) for item in self.waiting]

    def _take(self, item: Item) -> Item:
        del self._items[item.item_id]
        self._ended.append(item.item_id)
        return item

    def _moment(self, vendors_ms: int | None) -> int | None:
        return None if vendors_ms is None else self._inserted.without(vendors_ms)


def _is_given_up(first: Item, later: list[Item]) -> bool:
    """Whether later items need not wait: a noise that the vendor dropped, or a text that should have come by now."""
    ended = sum(item.final is not None for item in later)
    is_a_noise = first.stage is Stage.OVER and not first.has_text
    return ended > _MOST_WAITING or (is_a_noise and ended > 0)
