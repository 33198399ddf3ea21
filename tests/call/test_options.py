from __future__ import annotations

from dataclasses import replace

import pytest

from asrgateway_server.call.options import is_supported, unsupported_in_update, unsupported_options
from asrgateway_server.config import Adaptation, AudioFormat, RecognitionConfig, Update
from asrgateway_server.errors import InvalidRequest, UnsupportedOption
from asrgateway_server.events import OptionWarning, WarningCode
from asrgateway_server.vendors.pocketsphinx.catalogue import EMBEDDED
from catalogues import WITH_KEY

MODELS = WITH_KEY


def config(
    *options_set: str, options: tuple[str, ...] = (), languages: tuple[str, ...] = (), is_strict: bool = False
) -> RecognitionConfig:
    model = replace(
        EMBEDDED, name="some", options=frozenset(options), language_codes=("en-US", "zh"), max_language_hints=2
    )
    return RecognitionConfig(
        model=model, audio=AudioFormat(), options_set=options_set, language_codes=languages, is_strict=is_strict
    )


def test_a_call_without_options_gives_no_warning() -> None:
    assert unsupported_options(config()) == ()


def test_an_unsupported_option_gives_a_warning() -> None:
    assert unsupported_options(config("features.enable_emotion=true")) == (
        OptionWarning(
            code=WarningCode.OPTION_IGNORED,
            field="streaming_config.features.enable_emotion",
            message="the model 'some' does not honour features.enable_emotion=true",
        ),
    )


def test_every_unsupported_option_gives_a_warning() -> None:
    warnings = unsupported_options(config("endpointing.semantic=", "adaptation.context", "vendor_parameters"))
    assert [warning.field for warning in warnings] == [
        "streaming_config.endpointing.semantic",
        "streaming_config.adaptation.context",
        "streaming_config.vendor_parameters",
    ]


@pytest.mark.parametrize(
    ("option_set", "option"),
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
def test_a_model_honours_its_options_and_what_is_below_them(option_set: str, option: str) -> None:
    assert unsupported_options(config(option_set, options=(option,))) == ()


@pytest.mark.parametrize(
    ("option_set", "option"),
    [
        ("features.enable_emotion=true", "features.enable_emotion=false"),
        ("features.enable_emotion=true", "features.enable_emotio"),
        ("features.enable_emotion=true", "feature"),
        ("endpointing.server_vad.silence", "endpointing.server_vad="),
        ("endpointing.server_vad=", "endpointing.server_vad.silence"),
    ],
)
def test_a_model_does_not_honour_what_merely_resembles_its_options(option_set: str, option: str) -> None:
    assert len(unsupported_options(config(option_set, options=(option,)))) == 1


@pytest.mark.parametrize(
    "languages", [(), ("en-US",), ("en",), ("EN",), ("en-GB",), ("zh-CN",), ("en-US", "en-GB", "zh-Hans-CN")]
)
def test_a_language_is_known_by_its_first_part(languages: tuple[str, ...]) -> None:
    assert unsupported_options(config(languages=languages)) == ()


@pytest.mark.parametrize("language", ["fr", "e", "eng", "fr-FR", ""])
def test_an_unknown_language_gives_a_warning(language: str) -> None:
    assert unsupported_options(config(languages=("en", language, "zh"))) == (
        OptionWarning(
            code=WarningCode.LANGUAGE_UNSUPPORTED,
            field="streaming_config.language_codes[1]",
            message="the model 'some' recognises only en-US, zh",
        ),
    )


def test_every_unknown_language_gives_a_warning() -> None:
    assert [warning.field for warning in unsupported_options(config(languages=("fr", "en", "de")))] == [
        "streaming_config.language_codes[0]",
        "streaming_config.language_codes[2]",
    ]


#: By model: languages, and for each warning its code, position and a part of its message.
IGNORED, CHANGED = WarningCode.OPTION_IGNORED, WarningCode.OPTION_CHANGED
DROPPED: list[tuple[str, tuple[str, ...], list[tuple[WarningCode, int, str]]]] = [
    ("fun-asr-realtime", ("ja", "en", "ko"), [(IGNORED, 1, "gets the first"), (IGNORED, 2, "gets the first")]),
    ("fun-asr-realtime", ("zh-HK",), [(CHANGED, 0, "does not distinguish Cantonese from Chinese")]),
    ("qwen3-asr-flash-realtime", ("zh-HK",), []),
    ("qwen3-asr-flash-realtime", ("en", "zh"), [(IGNORED, 0, "it gets none"), (IGNORED, 1, "it gets none")]),
    ("qwen-audio-3.0-asr-flash-streaming", ("zh", "en", "ja", "ko", "fr"), [(IGNORED, 4, "4 of the call's")]),
    ("qwen-audio-3.1-asr-flash-message", ("zh",), [(IGNORED, 0, "takes no language hint")]),
    ("paraformer-realtime-v2", ("zh-HK", "en", "ja"), []),
    ("paraformer-realtime-v1", ("zh-CN",), []),
    ("embedded", ("en-GB",), []),
]


@pytest.mark.parametrize(("model", "languages", "expected"), DROPPED)
def test_every_language_without_a_hint_is_a_warning(
    model: str, languages: tuple[str, ...], expected: list[tuple[WarningCode, int, str]]
) -> None:
    call = replace(config(languages=languages), model=MODELS.find(model))
    warnings = unsupported_options(call)
    assert [(warning.code, warning.field) for warning in warnings] == [
        (code, f"streaming_config.language_codes[{position}]") for code, position, _ in expected
    ]
    assert all(part in warning.message for warning, (_, _, part) in zip(warnings, expected, strict=True))
    if expected:
        with pytest.raises(UnsupportedOption) as caught:
            unsupported_options(replace(call, is_strict=True))
        assert caught.value.field == warnings[0].field


# Updates ----------------------------------------------------------------------------------------------------------

CLEARING = Update(adaptation=Adaptation())


@pytest.mark.parametrize("model", ["fun-asr-realtime", "qwen3-asr-flash-realtime"])
def test_an_empty_update_removes_the_adaptation(model: str) -> None:
    call = replace(config(), model=MODELS.find(model))
    assert unsupported_in_update(call, CLEARING) == ()
    assert is_supported(call.model, CLEARING)


@pytest.mark.parametrize("model", ["embedded", "paraformer-realtime-v2"])
def test_a_model_without_updates_keeps_its_adaptation(model: str) -> None:
    call = replace(config(), model=MODELS.find(model))
    (warning,) = unsupported_in_update(call, CLEARING)
    assert (warning.code, warning.field) == (WarningCode.OPTION_IGNORED, "update.adaptation")
    assert not is_supported(call.model, CLEARING)
    with pytest.raises(UnsupportedOption):
        unsupported_in_update(replace(call, is_strict=True), CLEARING)


# Vendor parameters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_strict", [True, False])
def test_parameters_that_the_gateway_sets_are_refused(is_strict: bool) -> None:
    call = replace(
        config(is_strict=is_strict), model=MODELS.find("fun-asr-realtime"), vendor_parameters={"format": "wav"}
    )
    with pytest.raises(InvalidRequest) as caught:
        unsupported_options(call)
    assert caught.value.field == "streaming_config.vendor_parameters.format"


def test_a_strict_call_fails_on_the_first_unsupported_option() -> None:
    with pytest.raises(
        UnsupportedOption, match=r"does not honour adaptation\.context, and the call is strict"
    ) as caught:
        unsupported_options(config("adaptation.context", "vendor_parameters", is_strict=True))
    assert caught.value.field == "streaming_config.adaptation.context"


def test_a_strict_call_fails_on_an_unknown_language() -> None:
    with pytest.raises(UnsupportedOption) as caught:
        unsupported_options(config(languages=("fr",), is_strict=True))
    assert caught.value.field == "streaming_config.language_codes[0]"


def test_a_strict_call_without_warnings_succeeds() -> None:
    assert (
        unsupported_options(config("keep_alive.policy", options=("keep_alive",), languages=("en",), is_strict=True))
        == ()
    )
