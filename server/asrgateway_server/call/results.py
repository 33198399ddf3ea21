"""Numbers results, answers commits and updates, and knows what was delivered when a task is lost. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from asrgateway_server.call.audio_log import Mark
from asrgateway_server.call.replay_overlap import TOLERANCE_MS, ResultEvent, agreed, without_delivered
from asrgateway_server.call.responses import Result
from asrgateway_server.events import CommitEmpty, FinalResult, InterimResult, SpeechEnded, SpeechStarted

# A replay begins so long before the end of the last final result: times of words are not exact.
_MARGIN_MS: Final = 300
# The words of an utterance are made final by the gateway after so many tasks that gave a text and were lost.
_MOST_TRIES: Final = 3


class CommitOrigin(Enum):
    """Who asked for a commit."""

    CLIENT = auto()
    GATEWAY = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCommit:
    """A commit without an answer.

    Attributes:
        at_ms: Its place on the client's clock.
        mark: Its place in the log; None for one of the gateway's own.
    """

    at_ms: int
    mark: Mark | None = None

    @property
    def origin(self) -> CommitOrigin:
        """Who asked for it."""
        return CommitOrigin.GATEWAY if self.mark is None else CommitOrigin.CLIENT


class Results:
    """Gives each utterance an index, each text of it a revision, and each commit one answer.

    The answer to a commit comes from the task, or is the last final result before the task's end. In the second case
    each final result is held until it is known whether another one follows. All times are on the client's clock.

    Attributes:
        delivered_ms: Where the last final result ended.

    Args:
        indexes: Gives each utterance of the call the next number, with its first text; channels share them.
        start_ms: Where the call begins.
    """

    def __init__(self, indexes: Iterator[int], start_ms: int) -> None:
        self.delivered_ms = start_ms
        self._margin_ms = 0
        self._exact_ms = start_ms
        self._indexes = indexes
        self._index: int | None = None
        self._revision = 0
        self._has_text = False
        self._committed = ""
        self._last_words: list[str] = []
        self._commits: deque[OpenCommit] = deque()
        self._ending: OpenCommit | None = None
        self._held: tuple[FinalResult, int] | None = None
        self._updates: deque[Mark] = deque()
        self._applied_number = 0
        self._is_replay = False
        self._tries: list[InterimResult] = []
        self._boundaries_ms: dict[type, int] = {}

    # Commits and updates ----------------------------------------------------------------------------------------

    @property
    def has_open_commit(self) -> bool:
        """Whether a commit has no answer yet."""
        return bool(self._commits) or self._ending is not None

    def commit(self, commit: OpenCommit) -> None:
        """Expect an answer from the current task."""
        self._commits.append(commit)

    def end_by_commit(self, commit: OpenCommit) -> None:
        """Expect the end of the current task as the answer."""
        self._ending = commit

    def commit_empty(self) -> Sequence[CommitEmpty]:
        """Take the answer that no utterance was open; return what the client gets of it."""
        if not self._commits:
            return (CommitEmpty(),)
        # It says nothing of an utterance that ended by itself, whose final result may still come.
        return _empty_answers(self._commits.popleft())

    def update(self, mark: Mark) -> None:
        """Expect that an update takes effect."""
        self._updates.append(mark)

    def update_applied(self) -> bool:
        """Take the answer to an update; return whether the client gets it, who gets one only."""
        if not self._updates:
            return True
        number = self._updates.popleft().number
        is_new = number > self._applied_number
        self._applied_number = max(self._applied_number, number)
        return is_new

    # The ends of tasks ------------------------------------------------------------------------------------------

    def task_ended(self) -> Sequence[Result | CommitEmpty]:
        """Return the answers to all commits that are open at the end of a task."""
        ending, self._ending = self._ending, None
        held, self._held = self._held, None
        commits = [*self._commits] if ending is None else [ending, *self._commits]
        self._commits.clear()
        self._updates.clear()
        if held is None:
            answers: list[Result | CommitEmpty] = [answer for commit in commits for answer in _empty_answers(commit)]
        else:
            event, until_ms = held
            answers = [*self._numbered(replace(event, is_forced=True), until_ms)]
        if ending is not None:
            self.deliver_until(ending.at_ms)
        return answers

    def task_lost(self, last: InterimResult | None) -> Sequence[Result]:
        """Note that a task is lost; return what becomes final, because it was recognized again and again.

        Args:
            last: The last text of the open utterance; None if the task gave none.
        """
        self._held = None
        self._committed = ""
        self._last_words = []
        text = last and self._without_delivered(last)
        if text is None:
            return ()
        self._tries.append(text)
        if len(self._tries) < _MOST_TRIES:
            return ()
        *_, before, now = self._tries
        certain = agreed(before, now)
        return self._numbered(certain, certain.end_ms or 0) if certain else ()

    def begin_replay(self) -> Sequence[Mark]:
        """Begin a task that takes over from a lost one; return the marks that it has to read again."""
        self._is_replay = True
        commits = [*self._commits] if self._ending is None else [self._ending, *self._commits]
        marks = [commit.mark for commit in commits if commit.mark]
        marks += [mark for mark in self._updates if mark.number > self._applied_number]
        self._ending = None
        self._commits.clear()
        self._updates.clear()
        return marks

    def deliver_until(self, at_ms: int) -> None:
        """Note that nothing before a time is open any more, and that no task has to recognize it again."""
        if at_ms >= self.delivered_ms:
            self.delivered_ms = self._exact_ms = at_ms
            self._margin_ms = 0

    def expect_no_words(self) -> None:
        """Let the next task begin where the last final result ended: without words nothing could be cut."""
        self._margin_ms = 0

    @property
    def replay_from_ms(self) -> int:
        """Where a task begins that takes over from a lost one."""
        return max(self.delivered_ms - self._margin_ms, self._exact_ms)

    @property
    def has_open_utterance(self) -> bool:
        """Whether there were texts of an utterance that is not final."""
        return self._has_text or self._held is not None

    # Texts ------------------------------------------------------------------------------------------------------

    def speech_started(self) -> Sequence[Result]:
        """Return the held final result, if any: another utterance follows it."""
        held, self._held = self._held, None
        return self._numbered(*held) if held else ()

    def is_new(self, boundary: SpeechStarted | SpeechEnded) -> bool:
        """Return whether a begin or end of speech is none that a replay gives again."""
        last_ms = self._boundaries_ms.get(type(boundary))
        if self._is_replay and last_ms is not None and boundary.offset_ms <= last_ms + TOLERANCE_MS:
            return False
        self._boundaries_ms[type(boundary)] = boundary.offset_ms
        return True

    def hidden_interim(self) -> Sequence[Result]:
        """Note a text that the client does not want; return what ``speech_started`` does."""
        released = self.speech_started()
        self._has_text = True
        return released

    def interim(self, event: InterimResult) -> Sequence[Result]:
        """Return the next revision of the open utterance; none for a late text that lacks what is committed."""
        released = self.hidden_interim()
        new = self._without_delivered(event)
        if new is None or not new.text.startswith(self._committed):
            return released
        if len(new.committed) > len(self._committed):
            self._committed = new.committed
        words = new.text.split()
        stability = None if self._committed else _share_kept(self._last_words, words)
        self._revision += 1
        self._last_words = words
        result = Result(
            index=self._numbered_index(),
            revision=self._revision,
            is_final=False,
            text=new.text,
            committed=self._committed,
            stability=stability,
            start_ms=new.start_ms,
            end_ms=new.end_ms,
            words=new.words,
            language_code=new.language_code,
        )
        return (*released, result) if released else (result,)

    def final(self, event: FinalResult, until_ms: int) -> Sequence[Result | CommitEmpty]:
        """Return the last revision of the utterance, or the answer to a commit whose words were delivered before.

        Args:
            event: On the client's clock.
            until_ms: Where it ends, as far as that is known.
        """
        commit = self._commits.popleft() if event.is_forced and self._commits else None
        if commit and event.end_ms is None:
            until_ms = min(until_ms, commit.at_ms)
        new = self._without_delivered(event)
        if new is None:
            return _empty_answers(commit) if commit else ()
        self._is_replay = False
        if self._ending is not None:
            released = self.speech_started()
            self._held = new, until_ms
            return released
        results = self._numbered(new, until_ms)
        if commit:
            self.deliver_until(commit.at_ms)
        return results

    def _without_delivered(self, event: ResultEvent) -> ResultEvent | None:
        # Without a margin nothing is recognized twice.
        has_overlap = self._is_replay and self._margin_ms
        return without_delivered(event, self.delivered_ms) if has_overlap else event

    def _numbered_index(self) -> int:
        """Return the number of the open utterance, which it has from its first text to its last."""
        if self._index is None:
            self._index = next(self._indexes)
        return self._index

    def _numbered(self, event: FinalResult, until_ms: int) -> Sequence[Result]:
        self._tries.clear()
        self._has_text = False
        if until_ms > self.delivered_ms:
            self.delivered_ms = until_ms
            self._margin_ms = _MARGIN_MS if event.words else 0
        if not (event.text or event.is_forced or self._revision):
            return ()
        result = Result(
            index=self._numbered_index(),
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
        self._index = None
        self._revision = 0
        self._committed = ""
        self._last_words = []
        return (result,)


def _empty_answers(commit: OpenCommit) -> Sequence[CommitEmpty]:
    return (CommitEmpty(),) if commit.origin is CommitOrigin.CLIENT else ()


def _share_kept(before: list[str], now: list[str]) -> float | None:
    """Return the share of the earlier words that are still in the same place."""
    if not before:
        return None
    return sum(old == new for old, new in zip(before, now, strict=False)) / len(before)
