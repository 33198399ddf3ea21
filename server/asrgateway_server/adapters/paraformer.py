"""Paraformer: the parameters of its four models."""

from __future__ import annotations

from collections.abc import Callable

from asrgateway_server.adapters.dashscope_task import TaskAdapter
from asrgateway_server.config import RecognitionConfig, SemanticEndpointing, ServerVad


def paraformer(config: RecognitionConfig, new_task_id: Callable[[], str]) -> TaskAdapter:
    """Return the adapter of one connection.

    Source: Model Studio manual, "Paraformer client events"; the first generation takes its hot words as a resource.
    """
    is_first_generation = config.model.name.endswith("-v1")
    if is_first_generation:
        return TaskAdapter(config, new_task_id, _common_parameters(config), _resources(config))
    return TaskAdapter(config, new_task_id, _common_parameters(config) | _second_generation_parameters(config))


def _common_parameters(config: RecognitionConfig) -> dict[str, object]:
    return _given(
        {
            "format": "pcm",
            "sample_rate": config.model_rate_hertz,
            "disfluency_removal_enabled": config.features.disfluency_removal,
        }
    ) | dict(config.vendor_parameters)


def _second_generation_parameters(config: RecognitionConfig) -> dict[str, object]:
    endpointing = config.endpointing
    vad = endpointing if isinstance(endpointing, ServerVad) else ServerVad()
    return _given(
        {
            # Only while something is sent does the switch keep the connection open through silence.
            "heartbeat": True,
            "language_hints": list(config.language_codes) or None,
            "vocabulary_id": config.adaptation.vocabulary_id or None,
            "semantic_punctuation_enabled": isinstance(endpointing, SemanticEndpointing) or None,
            "max_sentence_silence": vad.silence_ms,
            "multi_threshold_mode_enabled": vad.is_multi_threshold or None,
            "punctuation_prediction_enabled": config.features.punctuation,
            "inverse_text_normalization_enabled": config.features.inverse_text_normalization,
        }
    ) | dict(config.vendor_parameters)


def _resources(config: RecognitionConfig) -> tuple[dict[str, str], ...]:
    phrases = config.adaptation.vocabulary_id
    return ({"resource_id": phrases, "resource_type": "asr_phrase"},) if phrases else ()


def _given(parameters: dict[str, object]) -> dict[str, object]:
    """Leave out what the caller did not choose: the vendor's own defaults hold."""
    return {name: value for name, value in parameters.items() if value is not None}
