"""The name of a table follows from what it holds."""

from __future__ import annotations

import re

import pytest

from asrgateway_server.config import Hotword
from asrgateway_server.vendors.dashscope.hotwords.content import content_of, is_ours, prefix_of

KESTREL = Hotword(text="Kestrel", weight=4)
OSPREY = Hotword(text="osprey", weight=2, language_code="en-US")
BIRDS = content_of("fun-asr-realtime", [KESTREL, OSPREY])


def test_a_prefix_is_g_and_eight_digits_of_base_36() -> None:
    assert re.fullmatch("g[0-9a-z]{8}", BIRDS.prefix)


def test_a_prefix_never_changes() -> None:
    assert content_of("fun-asr-realtime", [KESTREL]).prefix == "gy68crzry"


def test_the_order_of_words_makes_no_difference() -> None:
    assert content_of("fun-asr-realtime", [OSPREY, KESTREL]).prefix == BIRDS.prefix


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("paraformer-realtime-v2", [KESTREL, OSPREY]),
        ("fun-asr-realtime", [KESTREL]),
        ("fun-asr-realtime", [Hotword(text="kestrel", weight=4), OSPREY]),
        ("fun-asr-realtime", [Hotword(text="Kestrel", weight=5), OSPREY]),
        ("fun-asr-realtime", [Hotword(text="Kestrel", weight=4, language_code="en"), OSPREY]),
    ],
)
def test_model_words_weights_and_languages_make_a_difference(model: str, words: list[Hotword]) -> None:
    assert content_of(model, words).prefix != BIRDS.prefix


CHINESE = ("zh", "en", "yue")


def test_regions_of_a_language_make_no_difference() -> None:
    """The vendor knows none; two rows alike were never found again."""
    words = [Hotword(text="osprey", weight=weight, language_code=code) for weight, code in ((1, "en-GB"), (2, "en-US"))]
    assert content_of("fun-asr-realtime", [KESTREL, *words]) == BIRDS
    assert content_of("fun-asr-realtime", [*reversed(words), KESTREL]) == BIRDS


@pytest.mark.parametrize(
    ("code", "languages", "language"),
    [("zh-HK", CHINESE, "yue"), ("zh-HK", ("zh", "en"), "zh"), ("cmn-Hans-CN", CHINESE, "zh"), ("sk", (), "sk")],
)
def test_a_language_is_the_vendors(code: str, languages: tuple[str, ...], language: str) -> None:
    (entry,) = content_of("any", [Hotword(text="红隼", language_code=code)], languages).entries
    assert entry.language == language


def test_a_table_is_written_as_the_vendor_takes_it() -> None:
    assert [entry.as_json() for entry in BIRDS.entries] == [
        {"text": "Kestrel", "weight": 4},
        {"text": "osprey", "weight": 2, "lang": "en"},
    ]


VOCABULARY = [{"text": "osprey", "weight": 2, "lang": "en"}, {"text": "Kestrel", "weight": 4, "lang": None}]


@pytest.mark.parametrize(
    ("target_model", "vocabulary", "is_same"),
    [
        ("fun-asr-realtime", VOCABULARY, True),
        ("fun-asr-realtime", [*VOCABULARY, VOCABULARY[0]], True),
        ("paraformer-realtime-v2", VOCABULARY, False),
        ("fun-asr-realtime", VOCABULARY[:1], False),
        ("fun-asr-realtime", [*VOCABULARY, {"text": "kite", "weight": 4}], False),
        ("fun-asr-realtime", None, False),
        ("fun-asr-realtime", [*VOCABULARY, "kite"], False),
        ("fun-asr-realtime", [VOCABULARY[0], {"text": "Kestrel", "weight": "much"}], False),
        (None, VOCABULARY, False),
    ],
)
def test_a_table_is_known_by_what_it_holds(target_model: object, vocabulary: object, is_same: bool) -> None:
    assert BIRDS.matches(target_model, vocabulary) is is_same


@pytest.mark.parametrize(
    ("vocabulary_id", "prefix", "ours"),
    [
        ("vocab-gy68crzry-1a2b", "gy68crzry", True),
        ("vocab-gy68crzr-1a2b", "gy68crzr", False),
        ("vocab-hy68crzry-1a2b", "hy68crzry", False),
        ("vocab-demo1-1a2b", "demo1", False),
        ("vocab-gy68crzry", "", False),
        ("paraformer-realtime-v1-ft-1a2b", "", False),
        ("", "", False),
    ],
)
def test_our_tables_are_known_by_their_ids(vocabulary_id: str, prefix: str, ours: bool) -> None:
    assert prefix_of(vocabulary_id) == prefix
    assert is_ours(vocabulary_id) is ours


def test_words_stand_in_no_repr() -> None:
    assert "estrel" not in repr(BIRDS)
    assert "estrel" not in repr(KESTREL)
