"""A row of Model Studio's catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from asrgateway_server.models import Model


class HotwordResource(Enum):
    """What hot words are compiled to before a task begins."""

    TABLE = auto()
    PHRASES = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class DashScopeModel(Model):
    """One model of the vendor.

    Attributes:
        switches: What else its dialect asks for, by the vendor's names; see ``adapters/task_parameters.py``.
        hotword_resource: What its hot words are compiled to; None: they go into the task or session as they are.
    """

    switches: frozenset[str] = frozenset()
    hotword_resource: HotwordResource | None = None


def dashscope_model(model: Model) -> DashScopeModel:
    """Return a model of the vendor as what it is; no other one comes here."""
    if not isinstance(model, DashScopeModel):
        raise TypeError(f"{model.name} is no model of this vendor")
    return model
