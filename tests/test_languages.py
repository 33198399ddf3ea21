"""A call's languages, as each model is told them."""

from __future__ import annotations

import pytest

from asrgateway_server.config import AudioFormat, RecognitionConfig
from asrgateway_server.languages import (
    RequestedLanguage,
    knows_any,
    language_hints,
    requested_languages,
    vendor_code,
)
from catalogues import WITH_KEY

MODELS = WITH_KEY
PARAFORMER, FUN_ASR, QWEN3 = "paraformer-realtime-v2", "fun-asr-realtime", "qwen3-asr-flash-realtime"
QWEN_AUDIO, MESSAGE = "qwen-audio-3.0-asr-flash-streaming", "qwen-audio-3.1-asr-flash-message"
KNOWN = ("zh", "yue", "en", "no", "id", "ro", "ar", "ms")


def call(model: str, *codes: str) -> RecognitionConfig:
    return RecognitionConfig(model=MODELS.find(model), audio=AudioFormat(), language_codes=codes)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("en", "en"),
        ("EN-us", "en"),
        ("zh-CN", "zh"),
        ("zh-TW", "zh"),
        ("zh-Hans-CN", "zh"),
        ("cmn-Hans-CN", "zh"),
        ("zh-cmn-Hans-HK", "zh"),
        ("wuu", "zh"),
        ("nan-TW", "zh"),
        ("zh-HK", "yue"),
        ("zh-Hant-HK", "yue"),
        ("zh-MO", "yue"),
        ("zh-yue", "yue"),
        ("yue-Hant-HK", "yue"),
        ("nb-NO", "no"),
        ("nn", "no"),
        ("in-ID", "id"),
        ("mo", "ro"),
        ("arb", "ar"),
        ("zsm", "ms"),
        ("eo", ""),
        ("", ""),
        ("english", ""),
        ("en_US", ""),
    ],
)
def test_a_language_has_one_name_with_the_vendor(code: str, found: str) -> None:
    assert vendor_code(code, KNOWN) == (found, True)


@pytest.mark.parametrize("code", ["tl", "fil", "fil-PH"])
@pytest.mark.parametrize(("model", "found"), [(FUN_ASR, "tl"), (QWEN3, "fil"), (MESSAGE, "fil")])
def test_filipino_has_two(code: str, model: str, found: str) -> None:
    assert vendor_code(code, MODELS.find(model).language_codes) == (found, True)


def test_where_there_is_no_cantonese_it_is_told_as_chinese() -> None:
    assert vendor_code("zh-HK", ("zh", "en")) == ("zh", False)
    assert vendor_code("zh-HK", ("en",)) == ("", False)
    assert vendor_code("yue", ("zh", "en")) == ("", True)


@pytest.mark.parametrize(
    ("model", "codes", "hints"),
    [
        (PARAFORMER, ("zh-HK", "en-US", "en-GB"), ["yue", "en"]),
        (FUN_ASR, ("ja", "en"), ["ja"]),
        (FUN_ASR, ("eo", "en"), ["en"]),
        (FUN_ASR, ("zh-HK",), ["zh"]),
        (QWEN_AUDIO, ("zh", "en", "ja", "ko", "fr"), ["zh", "en", "ja", "ko"]),
        (QWEN3, ("zh-HK",), ["yue"]),
        (QWEN3, ("en-US", "en-GB", "eo"), ["en"]),
        (QWEN3, ("zh-HK", "zh-CN"), []),
        (MESSAGE, ("zh",), []),
        ("embedded", ("en",), []),
    ],
)
def test_a_model_is_told_what_it_takes(model: str, codes: tuple[str, ...], hints: list[str]) -> None:
    assert language_hints(call(model, *codes)) == hints


def test_every_language_has_its_fate() -> None:
    assert requested_languages(call(FUN_ASR, "eo", "zh-HK", "en", "zh")) == (
        RequestedLanguage(hint="", is_known=False, is_exact=True),
        RequestedLanguage(hint="zh", is_known=True, is_exact=False),
        RequestedLanguage(hint="", is_known=True, is_exact=True),
        RequestedLanguage(hint="zh", is_known=True, is_exact=True),
    )


@pytest.mark.parametrize("model", MODELS.models.values(), ids=lambda model: model.name)
def test_every_language_of_the_catalogue_is_known_by_its_own_name(model: object) -> None:
    row = MODELS.find(getattr(model, "name", ""))
    assert [code for code in row.language_codes if vendor_code(code, row.language_codes)[0] != code] in ([], ["en-US"])


@pytest.mark.parametrize(
    ("model", "codes", "expected"),
    [
        ("embedded", ("en",), True),
        ("embedded", ("zh", "en-GB"), True),
        ("embedded", ("zh",), False),
        ("embedded", (), False),
        (PARAFORMER, ("zh-HK",), True),
        (FUN_ASR, ("zh-HK",), True),
        (PARAFORMER, ("tlh", "x"), False),
    ],
)
def test_a_model_may_know_one_of_several_languages(model: str, codes: tuple[str, ...], *, expected: bool) -> None:
    assert knows_any(MODELS.find(model), codes) == expected
