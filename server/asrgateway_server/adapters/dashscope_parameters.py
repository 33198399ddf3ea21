"""What a call's options are called in the vendor's tasks: Paraformer, Fun-ASR and its successors.

Which of them a model takes is data: its row of the catalogue.

Source: Model Studio manual, "Paraformer client events", "Fun-ASR client events", "Qwen-Audio-ASR client events".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from asrgateway_server.adapters.dashscope_languages import language_hints
from asrgateway_server.config import Hotword, RecognitionConfig, SemanticEndpointing, SensitiveWordFilter, ServerVad

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
    "heartbeat": lambda _: True,
    "intermediate_result_enabled": lambda config: config.interim_results or None,
    # Other models' hot words are compiled beforehand; see the package `hotwords`.
    "vocabulary": lambda config: _weights(config.adaptation.hotwords) or None,
}

_SUPER_WEIGHT: Final = 50
_HIGHEST_WEIGHT: Final = 5


def task_parameters(config: RecognitionConfig, options: Iterable[str]) -> dict[str, object]:
    """Return ``payload.parameters``.

    Args:
        config: The call; what it passes through to the vendor goes before what follows from its options.
        options: Those that the model takes as parameters; others are passed over.
    """
    model = config.model
    parameters: dict[str, object] = {
        "format": "pcm",
        "sample_rate": config.model_rate_hertz,
        "language_hints": language_hints(config)[: model.max_language_hints] or None,
    }
    parameters |= {name: _BY_SWITCH[name](config) for name in sorted(model.switches)}
    parameters |= {
        name: read(config) for name, read in (_BY_OPTION[option] for option in sorted(_BY_OPTION.keys() & options))
    }
    return {name: value for name, value in parameters.items() if value is not None} | dict(config.vendor_parameters)


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
