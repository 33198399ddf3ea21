"""What a call's options are called in the vendor's tasks: Paraformer, Fun-ASR and its successors.

Which of them a model takes is data: its row of the catalogue.

Source: Model Studio manual, "Paraformer client events", "Fun-ASR client events", "Qwen-Audio-ASR client events".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from asrgateway_server.config import (
    Hotword,
    KeepAlivePolicy,
    RecognitionConfig,
    SemanticEndpointing,
    SensitiveWordFilter,
    ServerVad,
)
from asrgateway_server.languages import language_hints
from asrgateway_server.models import UpstreamEncoding
from asrgateway_server.vendors.dashscope.adapters.json_numbers import whole_numbers
from asrgateway_server.vendors.dashscope.model import DashScopeModel, dashscope_model

# Returns a parameter's value; None: the caller left it open, and the vendor's own default holds.
Reader = Callable[[RecognitionConfig], object]

#: The parameter behind each option of the contract.
_BY_OPTION: Final[Mapping[str, tuple[str, Reader]]] = {
    "adaptation.vocabulary_id": ("vocabulary_id", lambda config: config.adaptation.vocabulary_id or None),
    "endpointing.semantic": (
        "semantic_punctuation_enabled",
        lambda config: isinstance(config.endpointing, SemanticEndpointing) or None,
    ),
    "endpointing.server_vad.silence": ("max_sentence_silence", lambda config: _vad(config).silence_ms),
    "endpointing.server_vad.threshold": ("speech_noise_threshold", lambda config: _vad(config).threshold),
    "endpointing.server_vad.multi_threshold": (
        "multi_threshold_mode_enabled",
        lambda config: _vad(config).is_multi_threshold or None,
    ),
    "features.enable_automatic_punctuation": (
        "punctuation_prediction_enabled",
        lambda config: config.features.punctuation,
    ),
    "features.enable_inverse_text_normalization": (
        "inverse_text_normalization_enabled",
        lambda config: config.features.inverse_text_normalization,
    ),
    "features.enable_disfluency_removal": (
        "disfluency_removal_enabled",
        lambda config: config.features.disfluency_removal,
    ),
    "features.sensitive_word_filter": (
        "special_word_filter",
        lambda config: _word_filter(config.features.sensitive_words),
    ),
}

#: Parameters that no option of the contract stands for, or not in every model that honours it.
_BY_SWITCH: Final[Mapping[str, Reader]] = {
    # Only while something is sent does it keep the connection open through silence.
    "heartbeat": lambda config: config.keep_alive.policy is not KeepAlivePolicy.OFF or None,
    "intermediate_result_enabled": lambda config: config.interim_results or None,
    # Other models' hot words are compiled beforehand; see the package `hotwords`.
    "vocabulary": lambda config: _weights(config.adaptation.hotwords) or None,
}

#: What each task is given, whatever its model, and the switches: the options of the contract behind them.
_ALWAYS: Final[Mapping[str, str]] = {
    "format": "decoding_config.encoding",
    "sample_rate": "decoding_config.sample_rate_hertz",
}
_BEHIND_SWITCHES: Final[Mapping[str, str]] = {
    "heartbeat": "keep_alive.policy",
    "intermediate_result_enabled": "interim_results",
    "vocabulary": "adaptation.hotwords",
}

_FORMATS: Final[Mapping[UpstreamEncoding, str]] = {UpstreamEncoding.LINEAR16: "pcm", UpstreamEncoding.OGG_OPUS: "opus"}

_SUPER_WEIGHT: Final = 50
_HIGHEST_WEIGHT: Final = 5


def task_parameters(config: RecognitionConfig, options: Iterable[str]) -> dict[str, object]:
    """Return ``payload.parameters``.

    Args:
        config: The call, which passes nothing through to the vendor that is owned.
        options: Those that the model takes as parameters; others are passed over.
    """
    model = dashscope_model(config.model)
    parameters: dict[str, object] = {
        "format": _FORMATS[model.upstream_encoding],
        "sample_rate": config.model_rate_hertz,
        "language_hints": language_hints(config) or None,
    }
    parameters |= {name: _BY_SWITCH[name](config) for name in sorted(model.switches)}
    parameters |= {
        name: read(config) for name, read in (_BY_OPTION[option] for option in sorted(_BY_OPTION.keys() & options))
    }
    given = {name: value for name, value in parameters.items() if value is not None}
    return given | whole_numbers(config.vendor_parameters)


def owned(model: DashScopeModel) -> Mapping[str, str]:
    """Return the parameters that a model's tasks are given by its adapter, each with the option behind it."""
    by_option = {_BY_OPTION[option][0]: option for option in _BY_OPTION.keys() & model.options}
    by_switch = {name: _BEHIND_SWITCHES[name] for name in model.switches}
    hints = {"language_hints": "language_codes"} if model.max_language_hints else {}
    return {**_ALWAYS, **hints, **by_switch, **by_option}


def _vad(config: RecognitionConfig) -> ServerVad:
    return config.endpointing if isinstance(config.endpointing, ServerVad) else ServerVad()


def _weights(hotwords: tuple[Hotword, ...]) -> dict[str, int]:
    """Return instant hot words with their weights.

    Source: users' tests of qwen-audio-3.x: one weight that is not 1 to 5 or 50 makes all of them vanish without an
    error, so that each becomes the nearest that is allowed.
    """
    return {
        word.text: _SUPER_WEIGHT if word.weight >= _SUPER_WEIGHT else min(max(word.weight, 1), _HIGHEST_WEIGHT)
        for word in hotwords
    }


def _word_filter(words: SensitiveWordFilter | None) -> str | None:
    """Return the filter as the vendor takes it: JSON in a string. Whatever the caller leaves open is left to it."""
    if words is None:
        return None
    value: dict[str, object] = {}
    if words.masked_words:
        value["filter_with_signed"] = {"word_list": words.masked_words}
    if words.removed_words:
        value["filter_with_empty"] = {"word_list": words.removed_words}
    if words.use_builtin_list is not None:
        value["system_reserved_filter"] = words.use_builtin_list
    return json.dumps(value, ensure_ascii=False) if value else None
