"""Paraformer: the run-task dialect with the parameters of its four models."""

from __future__ import annotations

from asrgateway_server.config import RecognitionConfig
from asrgateway_server.vendors.dashscope.adapters.run_task import RunTaskAdapter
from asrgateway_server.vendors.dashscope.adapters.task_parameters import task_parameters
from asrgateway_server.vendors.dashscope.model import HotwordResource, dashscope_model


class ParaformerAdapter(RunTaskAdapter):
    """One task; see ``WebSocketAdapter``.

    Source: Model Studio manual, "Paraformer client events"; the first generation takes its hot words as a resource.
    """

    def __init__(self, config: RecognitionConfig, task_id: str) -> None:
        options = config.model.options
        if dashscope_model(config.model).hotword_resource is HotwordResource.PHRASES:
            parameters = task_parameters(config, options - {"adaptation.vocabulary_id"})
            super().__init__(config, task_id, parameters, _resources(config))
        else:
            super().__init__(config, task_id, task_parameters(config, options))


def _resources(config: RecognitionConfig) -> tuple[dict[str, str], ...]:
    phrases = config.adaptation.vocabulary_id
    return ({"resource_id": phrases, "resource_type": "asr_phrase"},) if phrases else ()
