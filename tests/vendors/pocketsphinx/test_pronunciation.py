"""How words that stand in no dictionary are said."""

from __future__ import annotations

import pytest

from asrgateway_server.vendors.pocketsphinx.pronunciation import (
    _ENGLISH_VOWELS,
    MAX_CHARACTERS,
    _by_rule,
    is_speakable,
    pronunciations,
)
from cpu_time import cpu_seconds

DICTIONARY = {"oak": "OW K", "tree": "T R IY", "chart": "CH AA R T", "helm": "HH EH L M"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("oak", "OW K"),
        ("Oak", "OW K"),
        ("kestrel", "K EH S T R EH L"),
        ("Knave", "N EY V"),
        ("prune", "P R UW N"),
        ("Zhu", "ZH UW"),
        ("Qwen", "K W EH N"),
        ("ASR", "EY EH S AA R"),
        ("gRPC", "JH IY AA R P IY S IY"),
        ("Helm-chart", "HH EH L M CH AA R T"),
        ("Mississippi", "M IH S IH S IH P IY"),
    ],
)
def test_a_word_is_said_by_the_dictionary_or_else_by_rules(text: str, said: str) -> None:
    assert pronunciations(text, DICTIONARY.get)[0] == (said,)


def test_a_name_is_also_said_with_the_vowels_of_other_languages() -> None:
    assert pronunciations("Okonjo", DICTIONARY.get) == (("AA K AA N JH OW",), ("OW K OW N JH OW",))


def test_a_phrase_is_said_part_by_part() -> None:
    assert pronunciations("oak tree", DICTIONARY.get) == (("OW K", "T R IY"),)


@pytest.mark.parametrize("text", ["", " ", "红隼", "B2B", "café", "'", "a_b"])
def test_what_is_not_written_in_english_letters_is_not_said(text: str) -> None:
    assert not is_speakable(text)
    assert pronunciations(text, DICTIONARY.get) == ()


@pytest.mark.parametrize("text", ["a-", "a.", "o'", "x y", "e", "ee", "ette", "Yvonne", "rhythm", "queue", "a - b"])
def test_any_spelling_has_sounds_or_none(text: str) -> None:
    for way in pronunciations(text, DICTIONARY.get):
        assert len(way) == len(text.split())
        assert all(sounds.split() for sounds in way)


@pytest.mark.parametrize("spelling", ["ba", "ab", "e", "bab"])
def test_rules_cost_time_in_proportion(spelling: str) -> None:
    def seconds(count: int) -> float:
        return cpu_seconds(lambda: _by_rule(spelling * count, _ENGLISH_VOWELS))

    assert seconds(20_000) < 40 * seconds(2_000)  # What grows with the square takes 100 times as long.


def test_what_is_longer_than_any_phrase_is_not_said() -> None:
    assert pronunciations("ba" * (MAX_CHARACTERS // 2), DICTIONARY.get) != ()
    assert pronunciations("ba" * (MAX_CHARACTERS // 2) + "b", DICTIONARY.get) == ()
