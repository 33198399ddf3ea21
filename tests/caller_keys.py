"""A key that a client brings."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr

from asrgateway_server.vendors.dashscope.caller_key import CALLER_KEY, CALLER_WORKSPACE


def brought(key: str, workspace: str = "") -> Mapping[str, SecretStr]:
    """The metadata of a call that brings it, as the edge has read it."""
    values = {CALLER_KEY: key, CALLER_WORKSPACE: workspace}
    return {name: SecretStr(value) for name, value in values.items() if value}
