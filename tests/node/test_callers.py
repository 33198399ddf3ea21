from node.callers import RECORDINGS, Tally


def test_words_that_come_twice_or_not_at_all_are_counted() -> None:
    tally = Tally()
    said = RECORDINGS[0].words
    tally.count(said, [*said[2:], *said[-3:]])
    assert (tally.words, tally.lost, tally.doubled) == (24, 2, 3)
