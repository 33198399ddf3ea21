"""Numbers results, and answers commits. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum, auto

from asrgateway_server.call.responses import Result
from asrgateway_server.events import CommitEmpty, FinalResult, InterimResult


class CommitOrigin(Enum):
    """Who asked for a commit."""

    CLIENT = auto()
    GATEWAY = auto()


class Results:
    """Gives each utterance an index, each text of it a revision, and each commit one answer.

    The answer to a commit comes from the task, or is the last final result before the task's end. In the second case
    each final result is held until it is known whether another one follows.
    """

    def __init__(self, next_index: int) -> None:
        self._index = next_index
        self._revision = 0
        self._committed = ""
        self._last_words: list[str] = []
        self._commits: deque[CommitOrigin] = deque()
        self._ending: CommitOrigin | None = None
        self._held: FinalResult | None = None

    # Commits ----------------------------------------------------------------------------------------------------

    @property
    def has_open_commit(self) -> bool:
        """Whether a commit has no answer yet."""
        return bool(self._commits) or self._ending is not None

    def commit(self, origin: CommitOrigin) -> None:
        """Expect an answer from the current task."""
        self._commits.append(origin)

    def end_by_commit(self, origin: CommitOrigin) -> None:
        """Expect the end of the current task as the answer."""
        self._ending = origin

    def commit_empty(self) -> bool:
        """Take the answer that no utterance was open; return whether the commit was the client's."""
        return not self._commits or self._commits.popleft() is CommitOrigin.CLIENT

    def task_ended(self) -> Sequence[Result | CommitEmpty]:
        """Return the answers to all commits that are open at the end of a task."""
        origin, self._ending = self._ending, None
        origins = [*self._commits] if origin is None else [origin, *self._commits]
        self._commits.clear()
        held, self._held = self._held, None
        if held is None:
            return [CommitEmpty() for open_one in origins if open_one is CommitOrigin.CLIENT]
        return [*self._numbered(replace(held, is_forced=True))]

    # Texts ------------------------------------------------------------------------------------------------------

    def speech_started(self) -> Sequence[Result]:
        """Return the held final result, if any: another utterance follows it."""
        held, self._held = self._held, None
        return self._numbered(held) if held else ()

    def interim(self, event: InterimResult) -> Sequence[Result]:
        """Return the next revision of the open utterance; none for a late text that lacks what is committed."""
        released = self.speech_started()
        if not event.text.startswith(self._committed):
            return released
        if len(event.committed) > len(self._committed):
            self._committed = event.committed
        words = event.text.split()
        stability = None if self._committed else _share_kept(self._last_words, words)
        self._revision += 1
        self._last_words = words
        result = Result(
            index=self._index,
            revision=self._revision,
            is_final=False,
            text=event.text,
            committed=self._committed,
            stability=stability,
            start_ms=event.start_ms,
            end_ms=event.end_ms,
            words=event.words,
            language_code=event.language_code,
        )
        return (*released, result) if released else (result,)

    def final(self, event: FinalResult) -> Sequence[Result]:
        """Return the last revision of the utterance; none if the utterance has had no text."""
        if event.is_forced and self._commits:
            self._commits.popleft()
        if self._ending is None:
            return self._numbered(event)
        released = self.speech_started()
        self._held = event
        return released

    def _numbered(self, event: FinalResult) -> Sequence[Result]:
        if not (event.text or event.is_forced or self._revision):
            return ()
        result = Result(
            index=self._index,
            revision=self._revision + 1,
            is_final=True,
            text=event.text,
            committed=event.text,
            start_ms=event.start_ms,
            end_ms=event.end_ms,
            words=event.words,
            language_code=event.language_code,
            emotion=event.emotion,
            is_forced=event.is_forced,
        )
        self._index += 1
        self._revision = 0
        self._committed = ""
        self._last_words = []
        return (result,)


def _share_kept(before: list[str], now: list[str]) -> float | None:
    """Return the share of the earlier words that are still in the same place."""
    if not before:
        return None
    return sum(old == new for old, new in zip(before, now, strict=False)) / len(before)
