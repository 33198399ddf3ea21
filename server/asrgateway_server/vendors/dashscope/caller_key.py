"""The key of its own that a client brings, and the workspace that goes with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from pydantic import SecretStr

from asrgateway_server.config import RecognitionConfig
from asrgateway_server.errors import InvalidRequest
from asrgateway_server.settings import is_key
from asrgateway_server.vendors.dashscope.settings import WORKSPACE_PATTERN

CALLER_KEY: Final = "x-dashscope-api-key"
CALLER_WORKSPACE: Final = "x-dashscope-workspace"
CALLER_METADATA: Final = frozenset((CALLER_KEY, CALLER_WORKSPACE))


def verify_caller_key(brought: Mapping[str, str]) -> None:
    """Raise InvalidRequest, which never shows a value, if this is no key, or no id of a workspace beside it."""
    if not is_key(brought.get(CALLER_KEY, "")):
        raise InvalidRequest(f"{CALLER_KEY} holds no key: printable ASCII without blanks", field=CALLER_KEY)
    workspace = brought.get(CALLER_WORKSPACE, "")
    if workspace and not re.fullmatch(WORKSPACE_PATTERN, workspace):
        raise InvalidRequest(
            f"{CALLER_WORKSPACE} holds no workspace id: up to 64 letters, digits, _ and -", field=CALLER_WORKSPACE
        )


def caller_key(config: RecognitionConfig) -> SecretStr | None:
    """Return the key that came with a call; None: the operator's is used."""
    return config.vendor_metadata.get(CALLER_KEY)


def caller_workspace(config: RecognitionConfig) -> str:
    """Return the workspace that goes with it; empty: that of the key."""
    workspace = config.vendor_metadata.get(CALLER_WORKSPACE)
    return workspace.get_secret_value() if workspace else ""
