"""The settings of the gateway and its vendors, as the command line composes them, but written out for type checkers."""

from __future__ import annotations

from asrgateway_server.vendors.dashscope.settings import DashScopeSettings
from asrgateway_server.vendors.pocketsphinx.settings import PocketSphinxSettings


class Settings(DashScopeSettings, PocketSphinxSettings):
    """All of them; ``tests/test_settings.py`` compares them with those of the command line."""
