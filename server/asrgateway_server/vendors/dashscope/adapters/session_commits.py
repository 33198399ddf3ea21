"""Commits of a session, and what answers them: so many commits, so many answers.

+--------+-----------------------------------+-----------------------------------------------------------------+
| mode   | what happens                      | what it means for the commits without an answer                 |
+========+===================================+=================================================================+
| manual | an item ends                      | it answers the oldest                                           |
|        | a commit is refused by its name   | it found nothing; if it has its answer already, another one did |
|        | a commit is refused without name  | the oldest that no promised item will answer found nothing      |
+--------+-----------------------------------+-----------------------------------------------------------------+
| VAD    | the item that was spoken ends     | it answers the commit that closed it                            |
|        | another item ends                 | it answers the first commit that lies within it                 |
|        | a probe is answered               | its commit found nothing if no item lies there                  |
+--------+-----------------------------------+-----------------------------------------------------------------+
| both   | the session ends                  | all found nothing                                               |
+--------+-----------------------------------+-----------------------------------------------------------------+

Items and refusals may come late, twice and in any order; each counts once. The answers leave in the order of the
commits: one that found nothing is answered after those before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from asrgateway_server.events import CommitEmpty, FinalResult
from asrgateway_server.vendors.dashscope.adapters.session_items import Item

# A refusal that comes twice is passed over, as long as so few commits were sent since.
_REMEMBERED: Final = 64


class ManualCommits:
    """Commits in manual mode, each of which is a request of its own unless there was no audio for it."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._empty: set[str] = set()
        self._unrefused: deque[str] = deque(maxlen=_REMEMBERED)
        self._of_the_end = ""

    @property
    def are_open(self) -> bool:
        """Whether one has no answer yet."""
        return bool(self._open)

    def add(self, event_id: str, *, is_end: bool = False) -> None:
        """Note a request; at the end it is for the audio that is left, and nobody waits for an answer."""
        self._open.append(event_id)
        self._unrefused.append(event_id)
        if is_end:
            self._of_the_end = event_id

    def add_empty(self, event_id: str) -> None:
        """Note a commit that is not requested, because there was no audio for it; see ``take_empty``."""
        self._open.append(event_id)
        self._empty.add(event_id)

    def may_be(self, refused: str, promised: int) -> bool:
        """Whether a refusal is about a commit.

        Args:
            refused: The request that it names; empty if it names none.
            promised: So many items will answer one each.
        """
        return refused in self._unrefused if refused else len(self._waiting) > promised

    def refuse(self, refused: str, promised: int) -> None:
        """Note that a commit found too little audio to make an item of; see ``may_be`` and ``take_empty``."""
        if refused in self._unrefused:
            self._unrefused.remove(refused)
        waiting = self._waiting
        if refused not in waiting:
            if len(waiting) <= promised:
                return
            refused = waiting[promised]
        if refused == self._of_the_end:
            self._open.remove(refused)
        else:
            self._empty.add(refused)

    def answer(self, item: Item) -> FinalResult | CommitEmpty | None:
        """Return the answer that an ended item is; None if nobody waits for one."""
        if not self._open or self._open.pop(0) == self._of_the_end:
            return None
        return _answer(item)

    def take_empty(self) -> Sequence[CommitEmpty]:
        """Answer the commits that found nothing, up to the first that may still find something."""
        count = 0
        while self._open and self._open[0] in self._empty:
            self._empty.remove(self._open.pop(0))
            count += 1
        return [CommitEmpty() for _ in range(count)]

    def end(self) -> Sequence[CommitEmpty]:
        """Answer all that are left."""
        left = [event_id for event_id in self._open if event_id != self._of_the_end]
        self._open.clear()
        self._empty.clear()
        return [CommitEmpty() for _ in left]

    @property
    def _waiting(self) -> Sequence[str]:
        """The requests that an item or a refusal will answer."""
        return [event_id for event_id in self._open if event_id not in self._empty]


@dataclass(slots=True, kw_only=True)
class _Commit:
    """A commit in VAD mode.

    Attributes:
        position_ms: Where it is, in the task's audio without the silence that was put in.
        item_id: The item that it closes; empty if none was known to be spoken.
        probe: The request whose answer shows that the server has read all audio before it; empty if there is none.
        is_passed: The probe was answered.
    """

    position_ms: int
    item_id: str
    probe: str
    is_passed: bool = False


class VadCommits:
    """Commits in VAD mode.

    Args:
        silence_ms: So much silence closes an utterance.
    """

    def __init__(self, silence_ms: int) -> None:
        self._silence_ms = silence_ms
        self._open: list[_Commit] = []

    def add(self, position_ms: int, *, closes: Item | None = None, probe: str = "") -> None:
        """Note a commit, and the item that it closes or the request that shows that there was none.

        Without either there was no audio for it.
        """
        item_id = closes.item_id if closes else ""
        is_passed = not item_id and not probe
        self._open.append(_Commit(position_ms=position_ms, item_id=item_id, probe=probe, is_passed=is_passed))

    def is_answered_by(self, item: Item) -> bool:
        """Whether the item will answer a commit."""
        return self._answered_by(item) is not None

    def answer(self, item: Item) -> FinalResult | CommitEmpty | None:
        """Return the answer that an ended item is; None if nobody waits for one."""
        commit = self._answered_by(item)
        if commit is None:
            return None
        self._open.remove(commit)
        return _answer(item)

    def pass_before(self, item: Item) -> None:
        """Note that the server has read all audio before the commit that an ended item answers."""
        if commit := self._answered_by(item):
            for earlier in self._open[: self._open.index(commit)]:
                earlier.is_passed = True

    def probed(self, probe: str) -> None:
        """Note that a probe was answered."""
        for commit in self._open:
            commit.is_passed = commit.is_passed or commit.probe == probe

    def take_empty(self, items: Sequence[Item]) -> Sequence[CommitEmpty]:
        """Answer the commits that were passed while no item was open, up to the first that was not."""
        count = 0
        while self._open and self._open[0].is_passed and not any(self._lies_in(self._open[0], item) for item in items):
            self._open.pop(0)
            count += 1
        return [CommitEmpty() for _ in range(count)]

    def end(self) -> Sequence[CommitEmpty]:
        """Answer all that are left."""
        left, self._open = self._open, []
        return [CommitEmpty() for _ in left]

    def _answered_by(self, item: Item) -> _Commit | None:
        return next((commit for commit in self._open if self._lies_in(commit, item)), None)

    def _lies_in(self, commit: _Commit, item: Item) -> bool:
        if commit.item_id:
            return commit.item_id == item.item_id
        has_begun = item.start_ms is None or item.start_ms < commit.position_ms
        return has_begun and (item.end_ms is None or item.end_ms + self._silence_ms > commit.position_ms)


def _answer(item: Item) -> FinalResult | CommitEmpty:
    return CommitEmpty() if item.is_blank else replace(item.end_or_break_off(), is_forced=True)
