"""What the adapters fill by themselves, and no client may pass on to the vendor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from asrgateway_server.vendors.dashscope.adapters import qwen3_asr, task_parameters
from asrgateway_server.vendors.dashscope.model import DashScopeModel

_BY_BACKEND: Final[Mapping[str, Callable[[DashScopeModel], Mapping[str, str]]]] = {
    "paraformer": task_parameters.owned,
    "fun_asr": task_parameters.owned,
    "qwen3_asr": lambda _: qwen3_asr.OWNED,
}


def owned(model: DashScopeModel) -> Mapping[str, str]:
    """Return the names that a model's adapter fills, each with the option of the contract behind it, or nothing."""
    return _BY_BACKEND[model.backend](model)
