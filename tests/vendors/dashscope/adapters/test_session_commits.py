"""Commits of a session and their answers, each case a row."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from asrgateway_server.events import CommitEmpty, FinalResult
from asrgateway_server.vendors.dashscope.adapters.session_commits import ManualCommits, VadCommits
from asrgateway_server.vendors.dashscope.adapters.session_items import Item

EMPTY = CommitEmpty()
SILENCE_MS = 400


def item(name: str = "a", start_ms: int | None = None, end_ms: int | None = None, *, is_blank: bool = False) -> Item:
    final = FinalResult(text=name, start_ms=start_ms, end_ms=end_ms)
    return Item(item_id=name, start_ms=start_ms, end_ms=end_ms, final=final, is_blank=is_blank)


def forced(name: str = "a", start_ms: int | None = None, end_ms: int | None = None) -> FinalResult:
    return FinalResult(text=name, start_ms=start_ms, end_ms=end_ms, is_forced=True)


# Manual mode ----------------------------------------------------------------------------------------------------

#: What happens after commits 1, 2 and, at the end, 3: an item, or a refusal with the request that it names and how
#: many items are promised; and the answers.
MANUAL: dict[str, tuple[tuple[Item | tuple[str, int], ...], list[FinalResult | CommitEmpty | None]]] = {
    "items answer in their order": ((item("a"), item("b")), [forced("a"), forced("b")]),
    "an item at the end answers nobody": ((item("a"), item("b"), item("c")), [forced("a"), forced("b"), None]),
    "so does one more than there are commits": (
        (item("a"), item("b"), item("c"), item("d")),
        [forced("a"), forced("b"), None, None],
    ),
    "an item without a word is no news": ((item("a", is_blank=True),), [EMPTY]),
    "a refusal by name": ((("1", 0), item("a"), item("b")), [EMPTY, forced("a"), None]),
    "a refusal before the answer to an earlier commit": ((("2", 0), item("a"), item("b")), [forced("a"), EMPTY, None]),
    "a refusal by name that comes twice": ((("1", 0), ("1", 0), item("a")), [EMPTY, forced("a")]),
    "a refusal without a name": ((("", 0), item("a")), [EMPTY, forced("a")]),
    "a refusal of what an item answered": ((item("a"), ("1", 0), item("b")), [forced("a"), EMPTY, None]),
    "a refusal at the end": ((("3", 0), item("a"), item("b")), [forced("a"), forced("b")]),
    "a refusal behind promised items": ((("", 2), item("a"), item("b")), [forced("a"), forced("b")]),
}


@pytest.mark.parametrize("case", MANUAL)
def test_a_manual_commit_has_one_answer(case: str) -> None:
    happens, answers = MANUAL[case]
    commits = ManualCommits()
    commits.add("1")
    commits.add("2")
    commits.add("3", is_end=True)
    given: list[FinalResult | CommitEmpty | None] = []
    for event in happens:
        if isinstance(event, Item):
            given.append(commits.answer(event))
        elif commits.may_be(*event):
            commits.refuse(*event)
        given += commits.take_empty()
    assert given == answers


def test_a_commit_without_audio_is_answered_after_those_before_it() -> None:
    commits = ManualCommits()
    commits.add("1")
    commits.add_empty("2")
    assert commits.take_empty() == []
    assert not commits.may_be("", 1)
    assert commits.answer(item("a")) == forced("a")
    assert commits.take_empty() == [EMPTY]
    assert not commits.are_open


@pytest.mark.parametrize(
    ("refused", "promised", "may_be"),
    [("1", 0, True), ("1", 1, True), ("other", 0, False), ("", 0, True), ("", 1, False)],
)
def test_a_refusal_may_be_about_a_commit(refused: str, promised: int, may_be: bool) -> None:
    commits = ManualCommits()
    commits.add("1")
    assert commits.may_be(refused, promised) is may_be


def test_a_refusal_when_all_have_answers_is_no_news() -> None:
    commits = ManualCommits()
    commits.add("1")
    commits.answer(item())
    commits.refuse("1", 0)
    assert commits.take_empty() == []


def test_the_end_of_a_session_answers_the_clients_commits() -> None:
    commits = ManualCommits()
    commits.add("1")
    commits.add("2")
    commits.add("3", is_end=True)
    assert commits.are_open
    assert commits.end() == [EMPTY, EMPTY]
    assert not commits.are_open


# VAD mode -------------------------------------------------------------------------------------------------------

#: An item that ends after a commit at 1000 ms which nobody was known to speak at, and whether it is the answer.
LIES_WITHIN: dict[str, tuple[Item, bool]] = {
    "no times": (item(), True),
    "began before": (item(start_ms=900), True),
    "ended there": (item(start_ms=100, end_ms=1000), True),
    "ended in the silence": (item(start_ms=100, end_ms=700), True),
    "ended by itself": (item(start_ms=100, end_ms=600), False),
    "began later": (item(start_ms=1000), False),
}


@pytest.mark.parametrize("case", LIES_WITHIN)
def test_an_item_answers_a_commit_that_lies_within_it(case: str) -> None:
    ended, is_answer = LIES_WITHIN[case]
    commits = VadCommits(SILENCE_MS)
    commits.add(1000, probe="p")
    assert commits.is_answered_by(ended) is is_answer
    assert commits.answer(ended) == (forced("a", ended.start_ms, ended.end_ms) if is_answer else None)


def test_an_item_that_a_commit_closes_is_its_answer_wherever_it_ends() -> None:
    commits = VadCommits(SILENCE_MS)
    commits.add(1000, closes=item("b", start_ms=0))
    assert commits.answer(item("a")) is None
    assert commits.answer(item("b", 0, 9000)) == forced("b", 0, 9000)
    assert commits.answer(item("b", 0, 9000)) is None


def test_a_noise_answers_as_nothing() -> None:
    commits = VadCommits(SILENCE_MS)
    commits.add(1000, probe="p")
    assert commits.answer(item(is_blank=True)) == EMPTY


@pytest.mark.parametrize(
    ("probed", "items", "answers"),
    [
        ("q", [], []),
        ("p", [], [EMPTY]),
        ("p", [item(start_ms=100)], []),
        ("p", [item(start_ms=2000)], [EMPTY]),
    ],
    ids=["another probe", "nothing open", "something open", "only what began later"],
)
def test_a_commit_found_nothing_if_nothing_was_open_when_its_probe_is_answered(
    probed: str, items: Sequence[Item], answers: list[CommitEmpty]
) -> None:
    commits = VadCommits(SILENCE_MS)
    commits.add(1000, probe="p")
    commits.add(1500, closes=item("b"))
    commits.probed(probed)
    assert commits.take_empty(items) == answers
    assert len(commits.end()) == 2 - len(answers)


def test_commits_that_found_nothing_are_answered_after_those_before_them() -> None:
    commits = VadCommits(SILENCE_MS)
    spoken = item("a", start_ms=0, end_ms=1000)
    commits.add(1000, closes=spoken)
    commits.add(1000)
    commits.add(1500, probe="p")
    commits.probed("p")
    assert commits.take_empty([spoken]) == []
    assert commits.answer(spoken) == forced("a", 0, 1000)
    assert commits.take_empty([]) == [EMPTY, EMPTY]


def test_an_item_that_answers_a_commit_shows_that_those_before_it_found_nothing() -> None:
    commits = VadCommits(SILENCE_MS)
    spoken = item("b", start_ms=1200, end_ms=2000)
    commits.add(1000, probe="p")
    commits.add(2000, closes=spoken)
    commits.pass_before(spoken)
    assert commits.take_empty([]) == [EMPTY]
    assert commits.answer(spoken) == forced("b", 1200, 2000)
