"""Fun-ASR and its successors, the Qwen-Audio models: the same dialect as Paraformer's, with context."""

from __future__ import annotations

from collections.abc import Callable

from asrgateway_server.config import RecognitionConfig
from asrgateway_server.vendors.dashscope.adapters.run_task import TaskAdapter
from asrgateway_server.vendors.dashscope.adapters.task_parameters import task_parameters


def fun_asr(config: RecognitionConfig, new_task_id: Callable[[], str]) -> TaskAdapter:
    """Return the adapter of one connection.

    Source: Model Studio manual, "Fun-ASR client events" and "Qwen-Audio-ASR client events".
    """
    return TaskAdapter(
        config,
        new_task_id,
        task_parameters(config, config.model.options),
        takes_context="adaptation.context" in config.model.options,
    )
