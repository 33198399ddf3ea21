from __future__ import annotations

import pytest

from asrgateway_server.errors import UnknownModel
from asrgateway_server.models import Catalogue, Feature, Model
from asrgateway_server.vendors.pocketsphinx.catalogue import EMBEDDED
from catalogues import WITH_KEY, WITHOUT_KEY, served


@pytest.mark.parametrize("name", ["", "default", "embedded"])
def test_without_a_key_everything_means_the_embedded_model(name: str) -> None:
    assert WITHOUT_KEY.find(name) is EMBEDDED


@pytest.mark.parametrize("name", ["Embedded", "paraformer-realtime-v2", "embedded ", "x" * 10_000])
def test_an_unknown_model_names_those_that_are_known(name: str) -> None:
    with pytest.raises(UnknownModel, match="known are: default, embedded") as caught:
        WITHOUT_KEY.find(name)
    assert caught.value.field == "streaming_config.model"
    assert len(caught.value.message) < 200


def test_with_a_key_the_vendors_models_are_served_too() -> None:
    assert {"embedded", "paraformer-realtime-v2"} <= set(WITH_KEY.models)
    assert WITH_KEY.find("").name == "fun-asr-realtime"


def test_the_operator_may_choose_the_default() -> None:
    assert served(dashscope_api_key="sk-1", default_model="embedded").find("") is EMBEDDED


@pytest.mark.parametrize("served", [WITHOUT_KEY, WITH_KEY])
def test_every_model_is_found_by_its_own_name(served: Catalogue) -> None:
    assert {name: model.name for name, model in served.models.items()} == {name: name for name in served.models}


def model(*options: str, rates: tuple[int, ...] = (8_000, 16_000)) -> Model:
    return Model(
        name="some", backend="some", language_codes=("en",), sample_rates_hertz=rates, options=frozenset(options)
    )


@pytest.mark.parametrize(
    ("given", "heard"), [(None, 16_000), (4_000, 8_000), (8_000, 8_000), (8_001, 16_000), (48_000, 16_000)]
)
def test_a_model_is_given_the_rate_that_loses_least(given: int | None, heard: int) -> None:
    assert model().rate_for(given) == heard


@pytest.mark.parametrize(
    ("option", "features"),
    [
        ("features.enable_emotion", {Feature.EMOTION}),
        ("features.enable_emotion=true", {Feature.EMOTION}),
        ("features.enable_emotion=false", set()),
        ("vendor_parameters", set()),
    ],
)
def test_features_follow_from_options(option: str, features: set[Feature]) -> None:
    assert model(option).features == {Feature.INTERIM_RESULTS, *features}


EVERY_TASK = {
    Feature.INTERIM_RESULTS,
    Feature.WORD_TIME_OFFSETS,
    Feature.VOICE_ACTIVITY_EVENTS,
    Feature.INVERSE_TEXT_NORMALIZATION,
    Feature.STORED_VOCABULARY,
    Feature.HOTWORDS,
}
CONTEXT = {Feature.TEXT_CONTEXT, Feature.MESSAGE_CONTEXT}
FUN_ASR = EVERY_TASK | {
    Feature.AUTOMATIC_PUNCTUATION,
    Feature.DISFLUENCY_REMOVAL,
    Feature.SENSITIVE_WORD_FILTER,
    Feature.SEMANTIC_ENDPOINTING,
}
QWEN_AUDIO = (
    EVERY_TASK
    | CONTEXT
    | {
        Feature.AUTOMATIC_PUNCTUATION,
        Feature.SEMANTIC_ENDPOINTING,
    }
)
FEATURES = {
    "paraformer-realtime-v2": EVERY_TASK
    | {Feature.AUTOMATIC_PUNCTUATION, Feature.DISFLUENCY_REMOVAL, Feature.SEMANTIC_ENDPOINTING},
    "fun-asr-realtime": FUN_ASR | CONTEXT,
    "fun-asr-realtime-2025-11-07": FUN_ASR | CONTEXT,
    "fun-asr-realtime-2026-02-28": FUN_ASR,
    "fun-asr-realtime-2025-09-15": FUN_ASR,
    "fun-asr-flash-8k-realtime": FUN_ASR,
    "fun-asr-flash-8k-realtime-2026-01-28": FUN_ASR,
    "qwen-audio-3.0-asr-flash-streaming": QWEN_AUDIO,
    "qwen-audio-3.1-asr-flash-streaming": QWEN_AUDIO,
    "qwen-audio-3.1-asr-flash-message": EVERY_TASK | CONTEXT | {Feature.DISFLUENCY_REMOVAL},
    "qwen3-asr-flash-realtime": {
        Feature.INTERIM_RESULTS,
        Feature.VOICE_ACTIVITY_EVENTS,
        Feature.AUTOMATIC_PUNCTUATION,
        Feature.EMOTION,
        Feature.HOTWORDS,
        Feature.TEXT_CONTEXT,
        Feature.MANUAL_ENDPOINTING,
    },
}


@pytest.mark.parametrize(("name", "features"), FEATURES.items(), ids=FEATURES)
def test_each_model_of_the_vendor_can_do_what_its_manual_says(name: str, features: set[Feature]) -> None:
    assert WITH_KEY.find(name).features == features


@pytest.mark.parametrize("name", [name for name in WITH_KEY.models if "paraformer" in name or name == "embedded"])
def test_some_models_are_served_in_beijing_only_or_here(name: str) -> None:
    assert WITH_KEY.find(name).regions in ((), ("cn-beijing",))


@pytest.mark.parametrize(
    ("name", "price"),
    [
        ("paraformer-realtime-8k-v1", 0.00024),
        ("fun-asr-realtime", 0.00033),
        ("fun-asr-flash-8k-realtime", 0.00022),
        ("qwen-audio-3.0-asr-flash-streaming", 0.00033),
        ("qwen-audio-3.1-asr-flash-streaming", None),
        ("qwen-audio-3.1-asr-flash-message", None),
        ("qwen3-asr-flash-realtime-2026-02-10", 0.00033),
    ],
)
def test_a_price_is_by_the_second_or_not_told(name: str, price: float | None) -> None:
    assert WITH_KEY.find(name).price_per_second_cny == price


def test_the_embedded_model_tells_words_and_the_bounds_of_speech_and_takes_hot_words() -> None:
    assert EMBEDDED.features == {
        Feature.INTERIM_RESULTS,
        Feature.WORD_TIME_OFFSETS,
        Feature.VOICE_ACTIVITY_EVENTS,
        Feature.HOTWORDS,
    }
    assert not EMBEDDED.is_remote
