"""What a decoder hears between two short silences, joined into the sentences that a client asked for."""

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


def test_segments_parted_by_less_than_the_silence_are_one_sentence() -> None:
    sentences = SentenceBuilder(800, 0)
    sentences.segment(segment("please open", 0, 200, final=True))
    assert sentences.silence(900) == []
    sentences.segment(segment("the door", 950, 1200, final=True))
    (final,) = sentences.silence(2000)
    assert (final.text, final.begin_ms, final.end_ms) == ("please open the door", 0, 1200)
    assert final.is_final
    assert sentences.silence(9000) == []


def test_a_longer_silence_parts_them_and_the_end_shows_how_the_next_begins() -> None:
    sentences = SentenceBuilder(800, 0)
    sentences.segment(segment("please open", 0, 200, final=True))
    final, interim = sentences.segment(segment("the door", 1100, 1300))
    assert (final.text, final.is_final, final.stash and final.stash.text) == ("please open", True, "the door")
    assert (interim.text, interim.is_final, interim.begin_ms) == ("the door", False, 1100)


def test_speech_that_goes_on_is_no_silence() -> None:
    sentences = SentenceBuilder(800, 0)
    sentences.segment(segment("please", 0, 100))
    assert sentences.silence(5000) == []


def test_a_commit_ends_what_is_held_open() -> None:
    sentences = SentenceBuilder(6000, 0)
    sentences.segment(segment("please open", 0, 200, final=True))
    assert [final.text for final in sentences.commit()] == ["please open"]
    assert sentences.commit() == []


def test_another_silence_counts_from_now_on() -> None:
    sentences = SentenceBuilder(6000, 0)
    sentences.segment(segment("please open", 0, 200, final=True))
    assert sentences.silence(1000) == []
    sentences.silence_ms = 500
    assert [final.text for final in sentences.silence(1000)] == ["please open"]


def test_a_pause_fixes_the_words_before_it() -> None:
    sentences = SentenceBuilder(800, 0)
    sentences.segment(segment("please open", 0, 200, final=True))
    (heard,) = sentences.segment(segment("the", 600, 700))
    assert (heard.text, fixed(heard)) == ("please open the", "please open")


def test_a_word_is_fixed_once_it_has_been_the_same_for_long_enough() -> None:
    sentences = SentenceBuilder(800, 1000)
    texts = [("peas", 150), ("please open", 250), ("please open a", 900), ("please open the door", 1300)]
    heard = [sentences.segment(segment(text, 0, end_ms))[0] for text, end_ms in texts]
    assert [fixed(item) for item in heard] == ["", "", "", "please open"]


def test_what_is_fixed_stays_whatever_the_decoder_comes_to_think() -> None:
    sentences = SentenceBuilder(800, 500)
    texts = [("please open", 250), ("please open the", 900), ("peas hoping the old door", 1000), ("these", 1500)]
    heard = [sentences.segment(segment(text, 0, end_ms))[0] for text, end_ms in texts]
    (final,) = sentences.commit()
    shown = [*map(fixed, heard), final.text]
    assert shown[1] == "please open"
    assert heard[2].text == "please open the old door"
    assert all(after.startswith(before) for before, after in pairwise(shown))
