"""The recogniser itself, on speech made for this project."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from asrgateway_server.vendors.pocketsphinx.decoder import Hypothesis, SpeechDecoder
from asrgateway_server.vendors.pocketsphinx.pronunciation import MAX_CHARACTERS
from calls import pcm, silence

MOTHER = "please call my mother tomorrow morning"
BOY = "the boy was there when the sun rose"
#: Ends inside `mother`, while the speaker still speaks.
MID_UTTERANCE_BYTES = 40_000


@pytest.fixture(scope="module")
def loaded() -> SpeechDecoder:
    return SpeechDecoder()


@pytest.fixture
def decoder(loaded: SpeechDecoder) -> SpeechDecoder:
    """The recogniser at the beginning of a stream, whatever the last test left behind."""
    loaded.reset()
    return loaded


def finals(decoder: SpeechDecoder, audio: bytes, size: int | None = None) -> list[Hypothesis]:
    """Hear ``audio`` in pieces of ``size`` bytes, to the end of the stream."""
    step = size or len(audio)
    told = [
        hypothesis for start in range(0, len(audio), step) for hypothesis in decoder.feed(audio[start : start + step])
    ]
    last = decoder.finish()
    return [hypothesis for hypothesis in [*told, *([last] if last else [])] if hypothesis.is_final]


def texts(hypotheses: list[Hypothesis]) -> list[str]:
    return [hypothesis.text for hypothesis in hypotheses]


@pytest.mark.parametrize("size", [None, 2, 959, 3200, 32_000])
def test_words_do_not_depend_on_how_the_audio_is_cut(decoder: SpeechDecoder, mother: bytes, size: int | None) -> None:
    assert texts(finals(decoder, mother, size)) == [MOTHER]


def test_times_do_not_depend_on_how_the_audio_is_cut(decoder: SpeechDecoder, boy: bytes) -> None:
    whole = finals(decoder, boy)
    decoder.reset()
    assert finals(decoder, boy, 777) == whole


def test_a_stream_leaves_no_trace_in_the_next_one(decoder: SpeechDecoder, mother: bytes, boy: bytes) -> None:
    first = finals(decoder, mother)
    decoder.reset()
    finals(decoder, boy)
    decoder.reset()
    assert finals(decoder, mother) == first


def test_an_abandoned_stream_leaves_no_trace_in_the_next_one(decoder: SpeechDecoder, mother: bytes, boy: bytes) -> None:
    first = finals(decoder, boy)
    decoder.reset()
    decoder.feed(mother[: MID_UTTERANCE_BYTES + 1])
    decoder.reset()
    assert finals(decoder, boy) == first


def test_real_speech_leaves_no_trace_either(decoder: SpeechDecoder, real_recordings: Path) -> None:
    first = finals(decoder, pcm(real_recordings / "austen-0880.wav"))
    decoder.reset()
    finals(decoder, pcm(real_recordings / "austen-0920.wav"))
    decoder.reset()
    assert finals(decoder, pcm(real_recordings / "austen-0880.wav")) == first


def test_a_pause_ends_an_utterance(decoder: SpeechDecoder, mother: bytes, boy: bytes) -> None:
    assert texts(finals(decoder, mother + silence(1) + boy)) == [MOTHER, BOY]


def test_utterances_follow_each_other_in_time(decoder: SpeechDecoder, mother: bytes, boy: bytes) -> None:
    first, second = finals(decoder, mother + silence(1) + boy)
    assert 0 <= first.start_ms < first.end_ms <= second.start_ms < second.end_ms


@pytest.mark.parametrize("pause_seconds", [0.0, 0.31, 2.0])
def test_words_stand_in_order_inside_their_utterance(
    decoder: SpeechDecoder, mother: bytes, boy: bytes, pause_seconds: float
) -> None:
    audio = mother + silence(pause_seconds) + boy
    for hypothesis in finals(decoder, audio, 3_200):
        times = [time for word in hypothesis.words for time in (word.start_ms, word.end_ms)]
        assert times == sorted(times)
        assert hypothesis.start_ms <= times[0]
        assert times[-1] <= hypothesis.end_ms <= len(audio) // 32


def test_interim_words_stay_within_what_was_heard(decoder: SpeechDecoder, mother: bytes) -> None:
    for heard in range(3_200, len(mother), 3_200):
        for hypothesis in decoder.feed(mother[heard - 3_200 : heard]):
            assert hypothesis.end_ms <= heard // 32
            assert all(word.end_ms <= hypothesis.end_ms for word in hypothesis.words)


def test_an_interim_hypothesis_is_told_once(decoder: SpeechDecoder, mother: bytes) -> None:
    told = [
        hypothesis for start in range(0, len(mother), 640) for hypothesis in decoder.feed(mother[start : start + 640])
    ]
    assert told
    assert all(before.text != after.text for before, after in pairwise(told))


@pytest.mark.parametrize("seconds", [0.001, 0.03, 1.0])
def test_silence_says_nothing(decoder: SpeechDecoder, seconds: float) -> None:
    assert finals(decoder, silence(seconds)) == []


def test_silence_before_speech_moves_its_times(decoder: SpeechDecoder, mother: bytes) -> None:
    (final,) = finals(decoder, silence(3) + mother)
    assert final.words[0].start_ms == pytest.approx(3_040, abs=150)


# Commit -----------------------------------------------------------------------------------------------------------


def test_a_commit_ends_the_utterance_that_is_spoken(decoder: SpeechDecoder, mother: bytes) -> None:
    decoder.feed(mother[:MID_UTTERANCE_BYTES])
    final = decoder.commit()
    assert final is not None
    assert final.is_final
    assert final.text == "please call my mother"
    assert final.end_ms <= MID_UTTERANCE_BYTES // 32


def test_the_next_utterance_begins_where_a_commit_ended_the_last(decoder: SpeechDecoder, mother: bytes) -> None:
    decoder.feed(mother[:MID_UTTERANCE_BYTES])
    first = decoder.commit()
    assert first is not None
    (second,) = finals(decoder, mother[MID_UTTERANCE_BYTES:])
    assert first.end_ms <= second.start_ms
    assert second.words[-1].text == "morning"
    assert second.end_ms <= len(mother) // 32


@pytest.mark.parametrize("frames", [91, 92, 93])
def test_a_commit_may_come_as_the_utterance_ends(decoder: SpeechDecoder, mother: bytes, frames: int) -> None:
    audio = (mother + silence(1.0))[: frames * 960]
    assert texts(finals(decoder, audio)) == [MOTHER]


def test_a_commit_in_silence_finds_nothing(decoder: SpeechDecoder) -> None:
    decoder.feed(silence(1))
    assert decoder.commit() is None


def test_a_commit_before_any_audio_finds_nothing(decoder: SpeechDecoder) -> None:
    assert decoder.commit() is None


def test_a_second_commit_finds_nothing(decoder: SpeechDecoder, mother: bytes) -> None:
    decoder.feed(mother[:MID_UTTERANCE_BYTES])
    decoder.commit()
    assert decoder.commit() is None


def test_a_commit_in_silence_changes_nothing(decoder: SpeechDecoder, mother: bytes) -> None:
    decoder.feed(silence(1))
    expected = finals(decoder, mother)
    decoder.reset()
    decoder.feed(silence(1))
    decoder.commit()
    assert finals(decoder, mother) == expected


@pytest.mark.parametrize("cut", [MID_UTTERANCE_BYTES + 2, MID_UTTERANCE_BYTES + 958, 960 * 42])
def test_a_commit_may_come_at_any_sample(decoder: SpeechDecoder, mother: bytes, cut: int) -> None:
    decoder.feed(mother[:cut])
    final = decoder.commit()
    assert final is not None
    assert final.end_ms <= cut // 32


# The end ----------------------------------------------------------------------------------------------------------


def test_the_end_of_the_stream_closes_the_open_utterance(decoder: SpeechDecoder, mother: bytes) -> None:
    decoder.feed(mother)
    final = decoder.finish()
    assert final is not None
    assert (final.text, final.is_final) == (MOTHER, True)


def test_a_stream_without_audio_ends_without_words(decoder: SpeechDecoder) -> None:
    assert decoder.finish() is None


def test_the_text_is_its_words(decoder: SpeechDecoder, boy: bytes) -> None:
    (final,) = finals(decoder, boy)
    assert final.text == " ".join(word.text for word in final.words)
    assert replace(final, words=()).text == ""


# Hot words --------------------------------------------------------------------------------------------------------

WITHOUT = "the castro was there when the sun rose"
WITH = "the Kestrel was there when the sun rose"


@pytest.mark.parametrize("size", [None, 959, 3200])
def test_a_hot_word_is_heard_and_written_as_it_was_given(
    decoder: SpeechDecoder, kestrel: bytes, size: int | None
) -> None:
    assert texts(finals(decoder, kestrel, size)) == [WITHOUT]
    decoder.reset({"Kestrel": 4})
    assert texts(finals(decoder, kestrel, size)) == [WITH]


@pytest.mark.parametrize("weight", [1, 2, 3, 4, 5, 50])
def test_a_hot_word_of_any_weight_is_heard(decoder: SpeechDecoder, kestrel: bytes, weight: int) -> None:
    decoder.reset({"Kestrel": weight})
    assert texts(finals(decoder, kestrel)) == [WITH]


def test_hot_words_that_are_not_said_change_nothing(decoder: SpeechDecoder, mother: bytes, boy: bytes) -> None:
    decoder.reset({"Kestrel": 5, "Ophiuchus": 5, "sun dial": 5})
    assert texts(finals(decoder, mother + silence(1) + boy)) == [MOTHER, BOY]


def test_a_hot_phrase_is_heard_as_its_words(decoder: SpeechDecoder, kestrel: bytes) -> None:
    decoder.reset({"Kestrel Was": 5})
    (final,) = finals(decoder, kestrel)
    assert final.text == "the Kestrel Was there when the sun rose"
    times = [time for word in final.words for time in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    assert all(word.start_ms < word.end_ms for word in final.words)


def test_hot_words_leave_no_trace_in_the_next_stream(decoder: SpeechDecoder, kestrel: bytes, mother: bytes) -> None:
    before = finals(decoder, kestrel + silence(1) + mother)
    decoder.reset({"Kestrel": 5, "mutter": 5})
    finals(decoder, kestrel + mother)
    decoder.reset()
    assert finals(decoder, kestrel + silence(1) + mother) == before


def test_the_most_and_longest_hot_words_harm_no_later_stream(decoder: SpeechDecoder, mother: bytes) -> None:
    """A decoder that let go of a word of 1,000,000 letters took its process with it."""
    syllables = [first + vowel for first in "bdfgklmnprstv" for vowel in "aeiou"]
    rng = random.Random(1)
    most = {"".join(rng.choices(syllables, k=MAX_CHARACTERS // 2)): 5 for _ in range(500)}
    decoder.reset(most | {"ba" * 500_000: 4})
    decoder.reset()
    assert texts(finals(decoder, mother)) == [MOTHER]


def test_the_same_hot_words_load_the_model_once(decoder: SpeechDecoder, kestrel: bytes) -> None:
    decoder.reset({"Kestrel": 4})
    first, loaded = finals(decoder, kestrel), decoder._decoder
    decoder.reset({"Kestrel": 4})
    assert finals(decoder, kestrel) == first
    assert decoder._decoder is loaded


@pytest.mark.parametrize("word", ["红隼", "123", "", "!"])
def test_a_hot_word_that_cannot_be_spoken_in_english_is_passed_over(
    decoder: SpeechDecoder, boy: bytes, word: str
) -> None:
    decoder.reset({word: 5})
    assert texts(finals(decoder, boy)) == [BOY]
