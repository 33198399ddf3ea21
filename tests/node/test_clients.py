from collections import Counter

import pytest

from node.clients import RECORDINGS, Tally


def test_words_that_come_twice_or_not_at_all_are_counted() -> None:
    tally = Tally()
    said = RECORDINGS[0].words
    tally.count(said, [*said[2:], *said[-3:]])
    assert (tally.words, tally.lost, tally.doubled) == (24, 2, 3)


@pytest.mark.parametrize(
    ("tally", "message"),
    [
        (Tally(calls=29), "fewer than 30 calls"),
        (Tally(calls=30, failures=Counter({"UNAVAILABLE: no": 1})), "1 of 30 calls failed"),
        (Tally(calls=30, words=720, lost=1), "1 words lost"),
        (Tally(calls=30, words=720, doubled=1), "1 doubled of 720"),
    ],
)
def test_calls_that_did_not_go_well_are_an_error(tally: Tally, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        tally.check(30)


def test_calls_that_went_well_are_none() -> None:
    Tally(calls=30, words=720, continued=[1.0]).check(30)
