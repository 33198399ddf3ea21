"""What a caller passes on to the vendor, for options that the contract does not name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from asrgateway_server.config import RecognitionConfig
from asrgateway_server.errors import InvalidRequest
from asrgateway_server.models import Model
from asrgateway_server.vendors.dashscope.adapters import qwen3_asr
from asrgateway_server.vendors.dashscope.adapters import task_parameters as dashscope_parameters

FIELD: Final = "streaming_config.vendor_parameters"


def owned(model: Model) -> Mapping[str, str]:
    """Return the names that the adapter of a model fills itself, each with the option of the contract behind it.

    The option is empty where there is none.
    """
    match model.backend:
        case "paraformer" | "fun_asr":
            return dashscope_parameters.owned(model)
        case "qwen3_asr":
            return qwen3_asr.OWNED
        case _:
            return {}


def verify(config: RecognitionConfig) -> None:
    """Check that a call passes on nothing that its adapter relies on.

    Raises:
        InvalidRequest: It does; names the option that does the same.
    """
    options = owned(config.model)
    name = next((name for name in config.vendor_parameters if name in options), None)
    if name is not None:
        raise InvalidRequest(
            f"vendor_parameters may not hold {name!r}, which the gateway fills by itself: "
            + (f"{options[name]} does the same" if options[name] else "there is nothing to choose"),
            field=f"{FIELD}.{name}",
        )
