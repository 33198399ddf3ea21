from __future__ import annotations

import pytest

from asrgateway_server.call.responses import Result
from asrgateway_server.call.results import ResultNumbering
from asrgateway_server.events import FinalResult, InterimResult, Word

WORDS = (Word(text="good", start_ms=0, end_ms=200),)


def numbered(*events: InterimResult | FinalResult, next_index: int = 0) -> list[Result | None]:
    numbering = ResultNumbering(next_index)
    return [
        numbering.interim(event) if isinstance(event, InterimResult) else numbering.final(event) for event in events
    ]


def places(results: list[Result | None]) -> list[tuple[int, int, bool] | None]:
    return [(result.index, result.revision, result.is_final) if result else None for result in results]


def interim(text: str, committed: str = "") -> InterimResult:
    return InterimResult(text=text, committed=committed)


def final(text: str) -> FinalResult:
    return FinalResult(text=text)


def test_texts_of_an_utterance_share_its_index_and_count_their_revisions() -> None:
    results = numbered(interim("a"), interim("a b"), final("a b c"), interim("d"), final("d"))
    assert places(results) == [(0, 1, False), (0, 2, False), (0, 3, True), (1, 1, False), (1, 2, True)]


def test_an_utterance_without_interim_results_has_one_revision() -> None:
    assert places(numbered(final("a"), final("b"))) == [(0, 1, True), (1, 1, True)]


def test_numbers_go_on_where_an_earlier_call_stopped() -> None:
    assert places(numbered(interim("a"), final("a"), final("b"), next_index=7)) == [
        (7, 1, False),
        (7, 2, True),
        (8, 1, True),
    ]


def test_a_noise_of_which_nothing_was_told_takes_no_number() -> None:
    assert places(numbered(final(""), final("a"))) == [None, (0, 1, True)]


def test_an_utterance_that_was_begun_is_ended_though_nothing_is_left_of_it() -> None:
    assert places(numbered(interim("a"), final(""), final("b"))) == [(0, 1, False), (0, 2, True), (1, 1, True)]


def test_a_commit_is_answered_though_there_was_no_word() -> None:
    assert places(numbered(FinalResult(text="", is_forced=True))) == [(0, 1, True)]


def test_finals_are_counted_as_they_are_numbered() -> None:
    numbering = ResultNumbering(5)
    numbering.final(final("a"))
    numbering.final(final(""))
    numbering.final(final("b"))
    assert numbering.finals == 2


def test_everything_that_was_heard_is_passed_on() -> None:
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
    assert last is not None
    assert last.stability == stability


def test_a_first_text_has_no_stability() -> None:
    assert [result and result.stability for result in numbered(interim("a"), final("a"), interim("a"))] == [None] * 3


def test_stability_is_not_told_where_the_backend_promises_a_beginning() -> None:
    *_, last = numbered(interim("a b"), interim("a b c", committed="a "))
    assert last is not None
    assert (last.committed, last.stability) == ("a ", None)


def committed(*events: InterimResult | FinalResult) -> list[str | None]:
    return [result.committed if result else None for result in numbered(*events)]


def test_what_was_promised_stays_so_though_a_later_text_does_not_say_it_again() -> None:
    assert committed(interim("a b", "a"), interim("a c", ""), interim("a c d", "a c")) == ["a", "a", "a c"]


def test_a_late_text_that_lacks_what_was_promised_is_no_revision() -> None:
    assert places(numbered(interim("a b", "a b"), interim("a"), interim("a b c"))) == [
        (0, 1, False),
        None,
        (0, 2, False),
    ]


def test_a_promise_ends_with_its_utterance() -> None:
    assert committed(interim("a b", "a"), final("x"), interim("c")) == ["a", "x", ""]


def test_nothing_is_committed_that_was_not_promised() -> None:
    (result,) = numbered(interim("a b"))
    assert result is not None
    assert result.committed == ""
