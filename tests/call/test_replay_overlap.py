"""What is new in a result that a replay gives again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asrgateway_server.call.replay_overlap import TOLERANCE_MS, agreed, without_delivered
from asrgateway_server.events import FinalResult, InterimResult, Word


def words(*texts: str, start_ms: int = 0) -> tuple[Word, ...]:
    """One word after the other, each 400 ms long; a mark at its end is its punctuation."""
    return tuple(
        Word(
            text=text.rstrip(".,"),
            punctuation=text[len(text.rstrip(".,")) :],
            start_ms=start_ms + 400 * number,
            end_ms=start_ms + 400 * (number + 1),
        )
        for number, text in enumerate(texts)
    )


def final(*texts: str) -> FinalResult:
    return FinalResult(text=" ".join(texts), words=words(*texts), start_ms=0, end_ms=400 * len(texts))


def interim(*texts: str, committed: str = "") -> InterimResult:
    return InterimResult(
        text=" ".join(texts), committed=committed, words=words(*texts), start_ms=0, end_ms=400 * len(texts)
    )


# What was delivered -------------------------------------------------------------------------------------------------


def test_a_result_after_what_was_delivered_stays_as_it_is() -> None:
    assert without_delivered(final("one", "two"), 0) == final("one", "two")


@pytest.mark.parametrize("delivered_ms", [800, 800 - TOLERANCE_MS, 900])
def test_a_result_that_ends_where_another_one_did_is_a_repeat(delivered_ms: int) -> None:
    assert without_delivered(final("one", "two"), delivered_ms) is None


def test_words_that_were_delivered_are_cut_off_with_their_punctuation() -> None:
    assert without_delivered(final("One,", "two", "three."), 400) == FinalResult(
        text="two three.", words=words("two", "three.", start_ms=400), start_ms=400, end_ms=1200
    )


@pytest.mark.parametrize(("moved_ms", "rest"), [(-TOLERANCE_MS, "two"), (TOLERANCE_MS, "two")])
def test_times_of_a_word_may_differ_by_the_tolerance(moved_ms: int, rest: str) -> None:
    found = without_delivered(final("one", "two"), 400 + moved_ms)
    assert found is not None
    assert found.text == rest


def test_a_word_that_ends_later_than_the_tolerance_is_new() -> None:
    found = without_delivered(final("one", "two"), 399 - TOLERANCE_MS)
    assert found is not None
    assert found.text == "one two"


@pytest.mark.parametrize("delivered_ms", [299, 310, 450])
def test_what_is_left_begins_where_the_last_result_ended(delivered_ms: int) -> None:
    found = without_delivered(final("one", "two"), delivered_ms)
    assert found is not None
    assert found.start_ms == max(delivered_ms, found.words[0].start_ms)


def test_an_interim_result_keeps_its_promise_of_the_rest() -> None:
    found = without_delivered(interim("one", "two", "three", committed="one two"), 400)
    assert isinstance(found, InterimResult)
    assert (found.text, found.committed, found.start_ms) == ("two three", "two", 400)


def test_a_promise_of_delivered_words_alone_is_none() -> None:
    found = without_delivered(interim("one", "two", committed="one"), 400)
    assert isinstance(found, InterimResult)
    assert (found.text, found.committed) == ("two", "")


def test_the_same_word_again_is_told_apart_by_its_time() -> None:
    found = without_delivered(final("yes", "yes", "yes"), 400)
    assert found is not None
    assert (found.text, len(found.words), found.start_ms) == ("yes yes", 2, 400)


def test_without_words_a_result_is_kept_whole_or_not_at_all() -> None:
    bare = FinalResult(text="one two", start_ms=0, end_ms=800)
    assert without_delivered(bare, 400) == replace(bare, start_ms=400)
    assert without_delivered(bare, 800) is None


def test_a_result_without_an_end_is_a_repeat_if_all_its_words_are() -> None:
    endless = InterimResult(text="one", words=words("one"), start_ms=0)
    assert without_delivered(endless, 400) is None
    assert without_delivered(endless, 0) == endless


def test_chinese_is_cut_without_blanks() -> None:
    """Words of a text that has no blanks between them."""
    result = FinalResult(text="今天,天气好。", words=words("今天,", "天气", "好"), start_ms=0, end_ms=1200)
    found = without_delivered(result, 400)
    assert found is not None
    assert found.text == "天气好。"


def test_a_word_that_the_text_writes_otherwise_counts_with_the_next_one() -> None:
    """The vendor makes digits of numerals in the text, and leaves the words as they were spoken."""
    spoken = FinalResult(text="20 ships sail", words=words("twenty", "ships", "sail"), start_ms=0, end_ms=1200)
    found = without_delivered(spoken, 800)
    assert found is not None
    assert found.text == "sail"


# What two texts agree on --------------------------------------------------------------------------------------------


def test_words_of_both_texts_are_final_but_for_the_last_of_each() -> None:
    assert agreed(interim("one", "two", "three"), interim("one", "two", "three", "four")) == FinalResult(
        text="one two", words=words("one", "two"), start_ms=0, end_ms=800, is_forced=True
    )


@pytest.mark.parametrize(
    ("before", "now"),
    [((), ("one", "two")), (("one",), ("one", "two")), (("one", "two"), ("one",)), (("a", "b"), ("one", "two"))],
)
def test_texts_that_agree_on_no_whole_word_make_no_result(before: tuple[str, ...], now: tuple[str, ...]) -> None:
    assert agreed(interim(*before), interim(*now)) is None


def test_they_agree_up_to_the_first_word_that_differs() -> None:
    found = agreed(interim("one", "too", "three", "four"), interim("one", "two", "three", "four"))
    assert found is not None
    assert found.text == "one"


def test_punctuation_and_language_are_those_of_the_newer_text() -> None:
    now = InterimResult(text="One, two", words=words("One,", "two"), start_ms=0, end_ms=800, language_code="en")
    found = agreed(interim("One", "two"), now)
    assert found is not None
    assert (found.text, found.language_code) == ("One,", "en")
