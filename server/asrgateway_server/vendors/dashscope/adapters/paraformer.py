"""Paraformer: the parameters of its four models."""

from __future__ import annotations

from collections.abc import Callable

from asrgateway_server.config import RecognitionConfig
from asrgateway_server.vendors.dashscope.adapters.run_task import TaskAdapter
from asrgateway_server.vendors.dashscope.adapters.task_parameters import task_parameters
from asrgateway_server.vendors.dashscope.model import HotwordResource, dashscope_model


def paraformer(config: RecognitionConfig, new_task_id: Callable[[], str]) -> TaskAdapter:
    """Return the adapter of one connection.

    Source: Model Studio manual, "Paraformer client events"; the first generation takes its hot words as a resource.
    """
    options = config.model.options
    if dashscope_model(config.model).hotword_resource is not HotwordResource.PHRASES:
        return TaskAdapter(config, new_task_id, task_parameters(config, options))
    parameters = task_parameters(config, options - {"adaptation.vocabulary_id"})
    return TaskAdapter(config, new_task_id, parameters, _resources(config))


def _resources(config: RecognitionConfig) -> tuple[dict[str, str], ...]:
    phrases = config.adaptation.vocabulary_id
    return ({"resource_id": phrases, "resource_type": "asr_phrase"},) if phrases else ()
