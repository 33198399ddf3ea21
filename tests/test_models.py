from __future__ import annotations

import pytest

from asrgateway_server.errors import UnknownModel
from asrgateway_server.models import EMBEDDED, Catalogue, Feature, Model, catalogue

SERVED = catalogue(default_model="", has_key=False)


@pytest.mark.parametrize("name", ["", "default", "embedded"])
def test_without_a_key_everything_means_the_embedded_model(name: str) -> None:
    assert SERVED.find(name) is EMBEDDED


@pytest.mark.parametrize("name", ["Embedded", "paraformer-realtime-v2", "embedded ", "x" * 10_000])
def test_an_unknown_model_names_those_that_are_known(name: str) -> None:
    with pytest.raises(UnknownModel, match="known are: default, embedded") as caught:
        SERVED.find(name)
    assert caught.value.field == "streaming_config.model"
    assert len(caught.value.message) < 200


def test_with_a_key_the_vendors_models_are_served_too() -> None:
    served = catalogue(default_model="", has_key=True)
    assert {"embedded", "paraformer-realtime-v2"} <= set(served.models)
    assert served.find("").name == "paraformer-realtime-v2"


def test_the_operator_may_choose_the_default() -> None:
    assert catalogue(default_model="embedded", has_key=True).find("") is EMBEDDED


def test_a_default_that_is_not_served_is_refused_at_once() -> None:
    with pytest.raises(UnknownModel, match="paraformer-realtime-v2"):
        catalogue(default_model="paraformer-realtime-v2", has_key=False)


@pytest.mark.parametrize("served", [SERVED, catalogue(default_model="", has_key=True)])
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


def test_the_embedded_model_tells_words_and_the_bounds_of_speech() -> None:
    assert EMBEDDED.features == {
        Feature.INTERIM_RESULTS,
        Feature.WORD_TIME_OFFSETS,
        Feature.VOICE_ACTIVITY_EVENTS,
    }
    assert not EMBEDDED.is_remote
