"""Fun-ASR and its successors, the Qwen-Audio models: the run-task dialect, with context."""

from __future__ import annotations

from asrgateway_server.config import RecognitionConfig
from asrgateway_server.vendors.dashscope.adapters.run_task import RunTaskAdapter
from asrgateway_server.vendors.dashscope.adapters.task_parameters import task_parameters


class FunAsrAdapter(RunTaskAdapter):
    """One task; see ``WebSocketAdapter``.

    Source: Model Studio manual, "Fun-ASR client events" and "Qwen-Audio-ASR client events".
    """

    def __init__(self, config: RecognitionConfig, task_id: str) -> None:
        options = config.model.options
        parameters = task_parameters(config, options)
        super().__init__(config, task_id, parameters, takes_context="adaptation.context" in options)
