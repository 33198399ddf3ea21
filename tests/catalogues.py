"""What a gateway serves, for tests that need a model."""

from __future__ import annotations

from typing import Any, Final

from all_settings import Settings
from asrgateway_server.models import Catalogue
from asrgateway_server.served_models import served_models
from asrgateway_server.vendors.registry import VENDORS


def served(**settings: Any) -> Catalogue:
    """What is served under settings."""
    return served_models(Settings(**settings), VENDORS)


WITHOUT_KEY: Final = served()
WITH_KEY: Final = served(dashscope_api_key="sk-1")
