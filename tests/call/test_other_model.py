from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from asrgateway_server.call.options import unsupported_options
from asrgateway_server.call.other_model import for_model
from asrgateway_server.config import Adaptation, AudioFormat, ContextMessage, ContextRole, Hotword, RecognitionConfig
from asrgateway_server.errors import UnsupportedOption
from asrgateway_server.models import HotwordLimits, Model

FIRST: Final = Model(
    name="first",
    backend="some",
    language_codes=("en", "zh"),
    sample_rates_hertz=(16_000,),
    options=frozenset(("features", "adaptation", "adaptation.hotwords", "vendor_parameters")),
)
WORDS: Final = tuple(Hotword(text=text) for text in ("Ada", "Byron", "Conway"))
ADAPTATION: Final = Adaptation(
    vocabulary_id="vocab-1",
    hotwords=WORDS,
    context="poets",
    context_messages=(ContextMessage(role=ContextRole.USER, text="who?"),),
)
ALL_OF_IT: Final = tuple(f"adaptation.{name}" for name in ("vocabulary_id", "hotwords", "context", "context_messages"))


def other(**properties: Any) -> Model:
    return replace(FIRST, name="other", **properties)


def config(*options_set: str, **properties: Any) -> RecognitionConfig:
    return RecognitionConfig(model=FIRST, audio=AudioFormat(), options_set=options_set, **properties)


def fields(call: RecognitionConfig, model: Model) -> list[str]:
    return [warning.field.removeprefix("streaming_config.") for warning in for_model(call, model)[1]]


def test_at_a_model_that_takes_all_of_it_a_config_is_the_same_but_for_the_model() -> None:
    call = config("features.enable_emotion=true", "adaptation.hotwords", adaptation=Adaptation(hotwords=WORDS))
    model = other()
    assert for_model(call, model) == (replace(call, model=model), ())


def test_an_option_that_the_model_does_not_honour_is_lost() -> None:
    call = config("features.enable_emotion=true")
    assert fields(call, other(options=frozenset())) == ["features.enable_emotion"]


def test_a_language_that_the_model_does_not_know_is_lost() -> None:
    call = config(language_codes=("en", "zh"))
    assert fields(call, other(language_codes=("en",))) == ["language_codes[1]"]


def test_a_strict_call_does_not_go_where_an_option_is_lost() -> None:
    call = config("features.enable_emotion=true", is_strict=True)
    with pytest.raises(UnsupportedOption, match=r"'other' does not honour .*, and the call is strict") as caught:
        for_model(call, other(options=frozenset()))
    assert caught.value.field == "streaming_config.features.enable_emotion"
    assert for_model(call, other())[1] == ()


def test_a_strict_call_does_not_go_where_a_hot_word_is_left_out() -> None:
    call = config(adaptation=Adaptation(hotwords=WORDS), is_strict=True)
    with pytest.raises(UnsupportedOption, match="takes 2 of 3 hot words"):
        for_model(call, other(hotwords=HotwordLimits(max_words=2)))


# Adaptation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "taken"),
    [
        (HotwordLimits(max_words=2), WORDS[:2]),
        (HotwordLimits(max_words=2, max_characters=4), (WORDS[0],)),
        (HotwordLimits(is_writable=lambda text: text != "Byron"), (WORDS[0], WORDS[2])),
        (HotwordLimits(max_characters=1), ()),
    ],
)
def test_hot_words_that_the_model_does_not_take_are_left_out(limits: HotwordLimits, taken: tuple[Hotword, ...]) -> None:
    call = config("adaptation.hotwords", adaptation=Adaptation(hotwords=WORDS))
    moved, warnings = for_model(call, other(hotwords=limits))
    assert moved.adaptation.hotwords == taken
    assert [warning.message for warning in warnings] == [f"the model 'other' takes {len(taken)} of 3 hot words"]
    assert unsupported_options(moved) == ()


def test_hot_words_that_break_a_limit_together_are_all_left_out() -> None:
    words = tuple(replace(word, weight=50) for word in WORDS)
    limits = HotwordLimits(weights=frozenset((4, 50)), super_weight=50, max_super_words=1)
    moved, _ = for_model(config(adaptation=Adaptation(hotwords=words)), other(hotwords=limits))
    assert moved.adaptation.hotwords == ()


def test_a_context_that_is_too_long_is_left_out() -> None:
    call = config("adaptation.context", adaptation=Adaptation(hotwords=WORDS, context="word " * 100))
    moved, warnings = for_model(call, other(max_context_tokens=20))
    assert (moved.adaptation.context, moved.adaptation.hotwords) == ("", WORDS)
    assert [warning.field for warning in warnings] == ["streaming_config.adaptation.context"]


def test_a_stored_table_is_none_of_another_model() -> None:
    call = config("adaptation.vocabulary_id", adaptation=Adaptation(vocabulary_id="vocab-1"))
    moved, (warning,) = for_model(call, other())
    assert (moved.adaptation.vocabulary_id, moved.options_set) == ("", ())
    assert warning.field == "streaming_config.adaptation.vocabulary_id"
    assert "vocab-1" not in warning.message


def test_a_model_without_adaptation_says_so_once_for_each_part() -> None:
    call = config(*ALL_OF_IT, adaptation=ADAPTATION)
    assert fields(call, other(options=frozenset())) == list(ALL_OF_IT)


def test_what_an_update_has_brought_counts_and_what_it_has_removed_does_not() -> None:
    """The client's config asked for a context; an update has put hot words in its place."""
    call = config("adaptation.context", adaptation=Adaptation(hotwords=WORDS))
    moved, _ = for_model(call, other(options=frozenset()))
    assert moved.options_set == ("adaptation.hotwords",)
    assert fields(call, other(options=frozenset())) == ["adaptation.hotwords"]


# Parameters for the vendor ----------------------------------------------------------------------------------------


def parameters(**given: object) -> RecognitionConfig:
    return config("vendor_parameters", vendor_parameters=given)


def test_parameters_go_along_to_a_model_of_the_same_backend() -> None:
    moved, warnings = for_model(parameters(a=1, b=2), other())
    assert (moved.vendor_parameters, warnings) == ({"a": 1, "b": 2}, ())


def test_a_parameter_that_the_gateway_fills_there_is_left_out() -> None:
    moved, (warning,) = for_model(parameters(a=1, b=2), other(owned_parameters={"a": ""}))
    assert moved.vendor_parameters == {"b": 2}
    assert (warning.field, warning.message) == (
        "streaming_config.vendor_parameters",
        "the model 'other' takes 1 of 2 parameters",
    )


@pytest.mark.parametrize("options", [FIRST.options, frozenset[str]()])
def test_no_parameter_goes_along_to_another_backend(options: frozenset[str]) -> None:
    moved, (warning,) = for_model(parameters(a=1), other(backend="another", options=options))
    assert moved.vendor_parameters == {}
    assert warning.field == "streaming_config.vendor_parameters"


# Back -------------------------------------------------------------------------------------------------------------


def test_the_first_model_gets_all_that_was_asked_for_again() -> None:
    call = config("vendor_parameters", *ALL_OF_IT, adaptation=ADAPTATION, vendor_parameters={"a": 1})
    for_model(call, other(options=frozenset()))
    assert for_model(call, FIRST) == (call, unsupported_options(call))
