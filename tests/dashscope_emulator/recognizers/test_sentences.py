"""Segments of the decoder, joined into sentences."""

from __future__ import annotations

from itertools import pairwise

from dashscope_emulator.recognizers.base import Sentence, Word
from dashscope_emulator.recognizers.sentences import Segment, SentenceBuilder


def segment(text: str, begin_ms: int, end_ms: int, *, final: bool = False) -> Segment:
    """Words of 100 ms each from `begin_ms` on."""
    words = tuple(
        Word(text=word, begin_ms=begin_ms + i * 100, end_ms=begin_ms + i * 100 + 100)
        for i, word in enumerate(text.split())
    )
    return Segment(words=words, begin_ms=begin_ms, end_ms=end_ms, is_final=final)


def fixed(sentence: Sentence) -> str:
    return "".join(word.text for word in sentence.words if word.is_fixed)


def test_segments_with_a_shorter_pause_are_one_sentence() -> None:
    sentences = SentenceBuilder(800, 0)
    sentences.segment(segment("please open", 0, 200, final=True))
    assert sentences.silence(900) == []
    sentences.segment(segment("the door", 950, 1200, final=True))
    (final,) = sentences.silence(2000)
    assert (final.text, final.begin_ms, final.end_ms) == ("please open the door", 0, 1200)
    assert final.is_final
    assert sentences.silence(9000) == []


def test_a_longer_silence_ends_a_sentence_and_shows_how_the_next_begins() -> None:
    sentences = SentenceBuilder(800, 0)
    sentences.segment(segment("please open", 0, 200, final=True))
    final, interim = sentences.segment(segment("the door", 1100, 1300))
    assert (final.text, final.is_final, final.stash and final.stash.text) == ("please open", True, "the door")
    assert (interim.text, interim.is_final, interim.begin_ms) == ("the door", False, 1100)


def test_an_open_segment_is_no_silence() -> None:
    sentences = SentenceBuilder(800, 0)
    sentences.segment(segment("please", 0, 100))
    assert sentences.silence(5000) == []


def test_a_commit_ends_the_open_sentence() -> None:
    sentences = SentenceBuilder(6000, 0)
    sentences.segment(segment("please open", 0, 200, final=True))
    assert [final.text for final in sentences.commit()] == ["please open"]
    assert sentences.commit() == []


def test_a_new_silence_counts_at_once() -> None:
    sentences = SentenceBuilder(6000, 0)
    sentences.segment(segment("please open", 0, 200, final=True))
    assert sentences.silence(1000) == []
    sentences.silence_ms = 500
    assert [final.text for final in sentences.silence(1000)] == ["please open"]


def test_a_pause_fixes_the_words_before_it() -> None:
    sentences = SentenceBuilder(800, 0)
    sentences.segment(segment("please open", 0, 200, final=True))
    (changed,) = sentences.segment(segment("the", 600, 700))
    assert (changed.text, fixed(changed)) == ("please open the", "please open")


def test_a_word_is_fixed_once_it_has_been_the_same_for_long_enough() -> None:
    sentences = SentenceBuilder(800, 1000)
    texts = [("peas", 150), ("please open", 250), ("please open a", 900), ("please open the door", 1300)]
    changed = [sentences.segment(segment(text, 0, end_ms))[0] for text, end_ms in texts]
    assert [fixed(item) for item in changed] == ["", "", "", "please open"]


def test_fixed_words_stay_although_the_decoder_changes_them() -> None:
    sentences = SentenceBuilder(800, 500)
    texts = [("please open", 250), ("please open the", 900), ("peas hoping the old door", 1000), ("these", 1500)]
    changed = [sentences.segment(segment(text, 0, end_ms))[0] for text, end_ms in texts]
    (final,) = sentences.commit()
    shown = [*map(fixed, changed), final.text]
    assert shown[1] == "please open"
    assert changed[2].text == "please open the old door"
    assert all(after.startswith(before) for before, after in pairwise(shown))
