"""What each Paraformer model is asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asrgateway_server.backends.adapter import Send
from asrgateway_server.config import (
    Adaptation,
    AudioFormat,
    Features,
    RecognitionConfig,
    SemanticEndpointing,
    ServerVad,
)
from asrgateway_server.vendors.dashscope.adapters.paraformer import ParaformerAdapter
from catalogues import WITH_KEY

MODELS = WITH_KEY


def asked(model: str, *, rate: int = 16_000, **options_set: Any) -> dict[str, Any]:
    """The payload of the first task."""
    config = RecognitionConfig(model=MODELS.find(model), audio=AudioFormat(sample_rate_hertz=rate), **options_set)
    (run,) = ParaformerAdapter(config, "task-1").start()
    assert isinstance(run, Send)
    payload: dict[str, Any] = json.loads(run.message)["payload"]
    return payload


def parameters(model: str, **options_set: Any) -> dict[str, Any]:
    chosen: dict[str, Any] = asked(model, **options_set)["parameters"]
    return chosen


@pytest.mark.parametrize(
    ("model", "client_rate", "model_rate"),
    [
        ("paraformer-realtime-v2", 16_000, 16_000),
        ("paraformer-realtime-v2", 48_000, 16_000),
        ("paraformer-realtime-v2", 8_000, 8_000),
        ("paraformer-realtime-v2", 11_025, 16_000),
        ("paraformer-realtime-8k-v2", 16_000, 8_000),
        ("paraformer-realtime-v1", 8_000, 16_000),
        ("paraformer-realtime-8k-v1", 44_100, 8_000),
    ],
)
def test_each_model_gets_a_rate_that_it_hears(model: str, client_rate: int, model_rate: int) -> None:
    assert parameters(model, rate=client_rate)["sample_rate"] == model_rate


def test_what_the_caller_leaves_open_is_left_to_the_vendor() -> None:
    assert parameters("paraformer-realtime-v2") == {"format": "pcm", "sample_rate": 16_000, "heartbeat": True}
    assert parameters("paraformer-realtime-v1") == {"format": "pcm", "sample_rate": 16_000}


@pytest.mark.parametrize(
    ("options_set", "name", "value"),
    [
        ({"language_codes": ("ja", "en")}, "language_hints", ["ja", "en"]),
        ({"adaptation": Adaptation(vocabulary_id="vocab-1")}, "vocabulary_id", "vocab-1"),
        ({"endpointing": SemanticEndpointing()}, "semantic_punctuation_enabled", True),
        ({"endpointing": ServerVad(silence_ms=500)}, "max_sentence_silence", 500),
        ({"endpointing": ServerVad(is_multi_threshold=True)}, "multi_threshold_mode_enabled", True),
        ({"features": Features(punctuation=False)}, "punctuation_prediction_enabled", False),
        ({"features": Features(inverse_text_normalization=False)}, "inverse_text_normalization_enabled", False),
        ({"features": Features(disfluency_removal=True)}, "disfluency_removal_enabled", True),
        ({"vendor_parameters": {"something_new": 3}}, "something_new", 3),
    ],
)
def test_a_wish_becomes_the_vendors_parameter(options_set: dict[str, Any], name: str, value: object) -> None:
    assert parameters("paraformer-realtime-v2", **options_set)[name] == value


def test_the_first_generation_takes_its_hot_words_as_a_resource() -> None:
    payload = asked("paraformer-realtime-v1", adaptation=Adaptation(vocabulary_id="phrases-1"))
    assert payload["resources"] == [{"resource_id": "phrases-1", "resource_type": "asr_phrase"}]
    assert "vocabulary_id" not in payload["parameters"]


def test_the_second_generation_takes_no_resources() -> None:
    assert "resources" not in asked("paraformer-realtime-v2", adaptation=Adaptation(vocabulary_id="vocab-1"))
