from __future__ import annotations

from dataclasses import replace

import pytest

from asrgateway_server.config import AudioFormat, RecognitionConfig
from asrgateway_server.errors import UnsupportedOption
from asrgateway_server.events import Notice, NoticeCode
from asrgateway_server.models import EMBEDDED
from asrgateway_server.recognition.wishes import unmet


def config(
    *wishes: str, options: tuple[str, ...] = (), languages: tuple[str, ...] = (), is_strict: bool = False
) -> RecognitionConfig:
    model = replace(EMBEDDED, name="some", options=frozenset(options), language_codes=("en-US", "zh"))
    return RecognitionConfig(
        model=model, audio=AudioFormat(), wishes=wishes, language_codes=languages, is_strict=is_strict
    )


def test_who_wishes_nothing_misses_nothing() -> None:
    assert unmet(config()) == ()


def test_an_option_that_the_model_lacks_is_told() -> None:
    assert unmet(config("features.enable_emotion=true")) == (
        Notice(
            code=NoticeCode.OPTION_IGNORED,
            field="streaming_config.features.enable_emotion",
            message="the model 'some' does not honour features.enable_emotion=true",
        ),
    )


def test_every_option_that_the_model_lacks_is_told() -> None:
    notices = unmet(config("endpointing.semantic=", "adaptation.context", "vendor_parameters"))
    assert [notice.field for notice in notices] == [
        "streaming_config.endpointing.semantic",
        "streaming_config.adaptation.context",
        "streaming_config.vendor_parameters",
    ]


@pytest.mark.parametrize(
    ("wish", "option"),
    [
        ("features.enable_emotion=true", "features.enable_emotion=true"),
        ("features.enable_emotion=false", "features.enable_emotion"),
        ("features.enable_emotion=true", "features"),
        ("endpointing.server_vad.silence", "endpointing"),
        ("endpointing.server_vad.silence", "endpointing.server_vad"),
        ("endpointing.server_vad=", "endpointing.server_vad="),
        ("keep_alive.policy", "keep_alive"),
    ],
)
def test_a_model_honours_its_options_and_what_is_below_them(wish: str, option: str) -> None:
    assert unmet(config(wish, options=(option,))) == ()


@pytest.mark.parametrize(
    ("wish", "option"),
    [
        ("features.enable_emotion=true", "features.enable_emotion=false"),
        ("features.enable_emotion=true", "features.enable_emotio"),
        ("features.enable_emotion=true", "feature"),
        ("endpointing.server_vad.silence", "endpointing.server_vad="),
        ("endpointing.server_vad=", "endpointing.server_vad.silence"),
    ],
)
def test_a_model_does_not_honour_what_merely_resembles_its_options(wish: str, option: str) -> None:
    assert len(unmet(config(wish, options=(option,)))) == 1


@pytest.mark.parametrize(
    "languages", [(), ("en-US",), ("en",), ("EN",), ("en-GB",), ("zh-CN",), ("fr", "en"), ("fr", "de", "zh-Hans-CN")]
)
def test_a_language_is_known_by_its_first_part(languages: tuple[str, ...]) -> None:
    assert unmet(config(languages=languages)) == ()


@pytest.mark.parametrize("languages", [("fr",), ("e",), ("eng",), ("",), ("fr-FR", "de-DE")])
def test_languages_none_of_which_the_model_knows_are_told(languages: tuple[str, ...]) -> None:
    assert unmet(config(languages=languages)) == (
        Notice(
            code=NoticeCode.LANGUAGE_UNSUPPORTED,
            field="streaming_config.language_codes",
            message="the model 'some' knows en-US, zh only",
        ),
    )


def test_a_strict_call_fails_on_the_first_unmet_wish() -> None:
    with pytest.raises(
        UnsupportedOption, match=r"does not honour adaptation\.context, and the call is strict"
    ) as caught:
        unmet(config("adaptation.context", "vendor_parameters", is_strict=True))
    assert caught.value.field == "streaming_config.adaptation.context"


def test_a_strict_call_fails_on_an_unknown_language() -> None:
    with pytest.raises(UnsupportedOption) as caught:
        unmet(config(languages=("fr",), is_strict=True))
    assert caught.value.field == "streaming_config.language_codes"


def test_a_strict_call_whose_wishes_are_met_is_fine() -> None:
    assert unmet(config("keep_alive.policy", options=("keep_alive",), languages=("en",), is_strict=True)) == ()
