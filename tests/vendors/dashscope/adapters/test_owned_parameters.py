"""What may be passed on to the vendor, and how it is written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asrgateway_server.backends.adapter import Send
from asrgateway_server.call.options import unsupported_options
from asrgateway_server.config import (
    Adaptation,
    AudioFormat,
    Features,
    Hotword,
    RecognitionConfig,
    SemanticEndpointing,
    SensitiveWordFilter,
    ServerVad,
)
from asrgateway_server.errors import InvalidRequest
from asrgateway_server.vendors.dashscope.adapters.fun_asr import FunAsrAdapter
from asrgateway_server.vendors.dashscope.adapters.paraformer import ParaformerAdapter
from asrgateway_server.vendors.dashscope.adapters.qwen3_asr import Qwen3AsrAdapter
from catalogues import WITH_KEY
from session_messages import created

MODELS = WITH_KEY
#: All that a call can ask for; the second one in place of the first where a call takes one of the two.
WISHES: tuple[dict[str, Any], ...] = (
    {
        "language_codes": ("zh",),
        "interim_results": True,
        "endpointing": ServerVad(silence_ms=500, threshold=0.5, is_multi_threshold=True),
        "features": Features(
            punctuation=True,
            inverse_text_normalization=True,
            disfluency_removal=True,
            sensitive_words=SensitiveWordFilter(masked_words=("darn",)),
        ),
        "adaptation": Adaptation(vocabulary_id="vocab-1", hotwords=(Hotword(text="Kestrel"),), context="birds"),
    },
    {"endpointing": SemanticEndpointing()},
)


def call(model: str, **options_set: Any) -> RecognitionConfig:
    return RecognitionConfig(model=MODELS.find(model), audio=AudioFormat(sample_rate_hertz=16_000), **options_set)


def sent(config: RecognitionConfig) -> dict[str, Any]:
    """The parameters or settings that a call begins with."""
    if config.model.backend == "qwen3_asr":
        session = Qwen3AsrAdapter(config, "c")
        session.start()
        outputs = session.receive(created())
    else:
        outputs = (ParaformerAdapter if config.model.backend == "paraformer" else FunAsrAdapter)(
            config, "task-1"
        ).start()
    (send,) = outputs
    assert isinstance(send, Send)
    message = json.loads(send.message)
    parameters: dict[str, Any] = message.get("session") or message["payload"]["parameters"]
    return parameters


@pytest.mark.parametrize("model", [name for name in MODELS.models if name != "embedded"])
def test_what_the_gateway_fills_is_not_the_callers_to_give(model: str) -> None:
    filled = {name for options_set in WISHES for name in sent(call(model, **options_set))}
    assert filled <= MODELS.find(model).owned_parameters.keys()
    for name in filled:
        with pytest.raises(InvalidRequest, match=f"may not hold '{name}'") as refusal:
            unsupported_options(call(model, vendor_parameters={"something_new": 1, name: None}))
        assert refusal.value.field == f"streaming_config.vendor_parameters.{name}"


@pytest.mark.parametrize(
    ("model", "name", "option"),
    [
        ("fun-asr-realtime", "format", "decoding_config.encoding"),
        ("fun-asr-realtime", "heartbeat", "keep_alive.policy"),
        ("paraformer-realtime-v2", "max_sentence_silence", "endpointing.server_vad.silence"),
        ("paraformer-realtime-v2", "language_hints", "language_codes"),
        ("qwen3-asr-flash-realtime", "turn_detection", "endpointing"),
        ("qwen3-asr-flash-realtime", "input_audio_transcription", "language_codes and adaptation"),
    ],
)
def test_the_option_that_does_the_same_is_named(model: str, name: str, option: str) -> None:
    with pytest.raises(InvalidRequest, match=f": use {option} instead$"):
        unsupported_options(call(model, vendor_parameters={name: "x"}))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("qwen-audio-3.1-asr-flash-streaming", "keep_dialect"),
        ("qwen-audio-3.1-asr-flash-streaming", "vad_model"),
        # No option of these models, as far as the manual says.
        ("paraformer-realtime-v2", "speech_noise_threshold"),
        ("paraformer-realtime-v1", "heartbeat"),
        ("fun-asr-realtime", "inverse_text_normalization_enabled"),
        ("qwen3-asr-flash-realtime", "something_new"),
    ],
)
def test_what_no_option_stands_for_is_passed_on(model: str, name: str) -> None:
    config = call(model, vendor_parameters={name: "x"})
    unsupported_options(config)
    assert sent(config)[name] == "x"


@pytest.mark.parametrize("model", ["fun-asr-realtime", "paraformer-realtime-v2", "qwen3-asr-flash-realtime"])
def test_whole_numbers_leave_as_integers(model: str) -> None:
    given = {"a": 500.0, "b": [1.0, {"c": -2.0}], "d": 0.25, "e": 1e300, "f": True, "g": None, "h": "3.0"}
    parameters = sent(call(model, vendor_parameters=given))
    assert json.dumps({name: parameters[name] for name in given}) == json.dumps(
        {"a": 500, "b": [1, {"c": -2}], "d": 0.25, "e": 1e300, "f": True, "g": None, "h": "3.0"}
    )
