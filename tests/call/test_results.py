from __future__ import annotations

from itertools import count

import pytest

from asrgateway_server.backends.base import Commit
from asrgateway_server.call.audio_log import Mark
from asrgateway_server.call.responses import Result
from asrgateway_server.call.results import OpenCommit, Results
from asrgateway_server.events import CommitEmpty, FinalResult, InterimResult, Word

CLIENT = OpenCommit(at_ms=0, mark=Mark(position_samples=0, number=1, item=Commit()))
GATEWAY = OpenCommit(at_ms=0)
WORDS = (Word(text="good", start_ms=0, end_ms=200),)


def numbered(*events: InterimResult | FinalResult, next_index: int = 0) -> list[Result]:
    results = Results(count(next_index), 0)
    return [
        result
        for event in events
        for result in (results.interim(event) if isinstance(event, InterimResult) else finished(results, event))
    ]


def finished(results: Results, event: FinalResult) -> list[Result]:
    """The results that a final result gives; none of them is the empty answer to a commit."""
    answers = results.final(event, event.end_ms or 0)
    assert not any(isinstance(answer, CommitEmpty) for answer in answers)
    return [answer for answer in answers if isinstance(answer, Result)]


def places(results: list[Result]) -> list[tuple[int, int, bool]]:
    return [(result.index, result.revision, result.is_final) for result in results]


def interim(text: str, committed: str = "") -> InterimResult:
    return InterimResult(text=text, committed=committed)


def final(text: str) -> FinalResult:
    return FinalResult(text=text)


def test_texts_of_an_utterance_share_its_index_and_count_their_revisions() -> None:
    results = numbered(interim("a"), interim("a b"), final("a b c"), interim("d"), final("d"))
    assert places(results) == [(0, 1, False), (0, 2, False), (0, 3, True), (1, 1, False), (1, 2, True)]


def test_an_utterance_without_interim_results_has_one_revision() -> None:
    assert places(numbered(final("a"), final("b"))) == [(0, 1, True), (1, 1, True)]


def test_indexes_continue_after_an_earlier_call() -> None:
    assert places(numbered(interim("a"), final("a"), final("b"), next_index=7)) == [
        (7, 1, False),
        (7, 2, True),
        (8, 1, True),
    ]


def test_a_noise_without_a_text_takes_no_index() -> None:
    assert places(numbered(final(""), final("a"))) == [(0, 1, True)]


def test_an_utterance_with_an_interim_result_gets_a_final_one_even_without_text() -> None:
    assert places(numbered(interim("a"), final(""), final("b"))) == [(0, 1, False), (0, 2, True), (1, 1, True)]


def test_a_commit_is_answered_though_there_was_no_word() -> None:
    assert places(numbered(FinalResult(text="", is_forced=True))) == [(0, 1, True)]


def test_all_fields_of_an_event_are_passed_on() -> None:
    event = FinalResult(text="good", start_ms=10, end_ms=200, words=WORDS, is_forced=True)
    assert numbered(event) == [
        Result(
            index=0,
            revision=1,
            is_final=True,
            text="good",
            committed="good",
            start_ms=10,
            end_ms=200,
            words=WORDS,
            is_forced=True,
        )
    ]


# Stability --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "now", "stability"),
    [
        ("a b c d", "a b c d e", 1.0),
        ("a b c d", "a b x d", 0.75),
        ("a b c d", "x", 0.0),
        ("a b", "b a", 0.0),
        ("a b", "", 0.0),
        ("", "a", None),
    ],
)
def test_stability_is_the_share_of_words_that_stayed_in_place(before: str, now: str, stability: float | None) -> None:
    *_, last = numbered(interim(before), interim(now))
    assert last.stability == stability


def test_a_first_text_has_no_stability() -> None:
    assert [result.stability for result in numbered(interim("a"), final("a"), interim("a"))] == [None] * 3


def test_there_is_no_stability_where_text_is_committed() -> None:
    *_, last = numbered(interim("a b"), interim("a b c", committed="a "))
    assert (last.committed, last.stability) == ("a ", None)


def committed(*events: InterimResult | FinalResult) -> list[str]:
    return [result.committed for result in numbered(*events)]


def test_committed_text_stays_committed_in_later_revisions() -> None:
    assert committed(interim("a b", "a"), interim("a c", ""), interim("a c d", "a c")) == ["a", "a", "a c"]


def test_a_late_text_that_lacks_committed_text_is_no_revision() -> None:
    assert places(numbered(interim("a b", "a b"), interim("a"), interim("a b c"))) == [
        (0, 1, False),
        (0, 2, False),
    ]


def test_committed_text_ends_with_its_utterance() -> None:
    assert committed(interim("a b", "a"), final("x"), interim("c")) == ["a", "x", ""]


def test_only_promised_text_is_committed() -> None:
    (result,) = numbered(interim("a b"))

    assert result.committed == ""


# Commits ----------------------------------------------------------------------------------------------------------


def test_a_forced_result_answers_a_commit() -> None:
    results = Results(count(), 0)
    results.commit(CLIENT)
    assert results.has_open_commit
    assert places([*finished(results, FinalResult(text="a", is_forced=True))]) == [(0, 1, True)]
    assert not results.has_open_commit


@pytest.mark.parametrize(("commit", "is_shown"), [(CLIENT, True), (GATEWAY, False)])
def test_only_a_commit_of_the_client_gets_an_empty_answer(commit: OpenCommit, is_shown: bool) -> None:
    results = Results(count(), 0)
    results.commit(commit)
    assert [*results.commit_empty()] == [CommitEmpty()] * is_shown
    assert not results.has_open_commit


def test_commits_are_answered_in_order() -> None:
    results = Results(count(), 0)
    results.commit(GATEWAY)
    results.commit(CLIENT)
    finished(results, FinalResult(text="a", is_forced=True))
    assert [*results.commit_empty()] == [CommitEmpty()]


def test_the_end_of_a_task_answers_with_its_last_final_result() -> None:
    results = Results(count(), 0)
    results.end_by_commit(CLIENT)
    assert results.has_open_commit
    assert finished(results, final("a")) == []
    (first,) = finished(results, final("b"))
    assert (first.text, first.is_forced) == ("a", False)
    (answer,) = results.task_ended()
    assert isinstance(answer, Result)
    assert (answer.text, answer.is_forced) == ("b", True)
    assert not results.has_open_commit


def test_a_held_result_is_sent_before_the_next_text() -> None:
    results = Results(count(), 0)
    results.end_by_commit(CLIENT)
    finished(results, final("a"))
    assert places([*results.interim(interim("b"))]) == [(0, 1, True), (1, 1, False)]
    assert [*results.task_ended()] == [CommitEmpty()]


def test_a_held_result_is_sent_when_speech_begins_again() -> None:
    results = Results(count(), 0)
    results.end_by_commit(CLIENT)
    finished(results, final("a"))
    assert places([*results.speech_started()]) == [(0, 1, True)]


@pytest.mark.parametrize(("commit", "answers"), [(CLIENT, [CommitEmpty()]), (GATEWAY, [])])
def test_the_end_of_a_task_without_results_is_an_empty_answer(commit: OpenCommit, answers: list[CommitEmpty]) -> None:
    results = Results(count(), 0)
    results.end_by_commit(commit)
    assert [*results.task_ended()] == answers


def test_a_task_that_ends_leaves_no_commit_without_an_answer() -> None:
    results = Results(count(), 0)
    results.commit(CLIENT)
    results.commit(CLIENT)
    assert [*results.task_ended()] == [CommitEmpty(), CommitEmpty()]
    assert not results.has_open_commit


# Replays ----------------------------------------------------------------------------------------------------------


def test_an_empty_answer_to_a_commit_leaves_a_result_open_that_still_comes() -> None:
    results = Results(count(), 0)
    results.interim(interim("a b"))
    results.commit(OpenCommit(at_ms=3_000, mark=CLIENT.mark))
    results.commit_empty()
    assert (results.replay_from_ms, results.has_open_utterance) == (0, True)


def test_a_text_that_the_client_does_not_want_opens_an_utterance_too() -> None:
    results = Results(count(), 0)
    results.hidden_interim()
    assert results.has_open_utterance
    finished(results, final("a"))
    assert not results.has_open_utterance
