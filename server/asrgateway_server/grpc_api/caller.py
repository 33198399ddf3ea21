"""The key for the vendor that a caller brings in the metadata of its call."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import SecretStr

from asrgateway_server.config import CALLER_KEY, CALLER_WORKSPACE
from asrgateway_server.errors import InvalidRequest
from asrgateway_server.grpc_api.keys import BLANKS
from asrgateway_server.settings import is_key
from asrgateway_server.vendors.dashscope.settings import WORKSPACE_PATTERN


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What a caller brings.

    Attributes:
        key: Its own key for the vendor; None: it uses the gateway's.
        workspace: The workspace that goes with it; empty: that of the key.
    """

    key: SecretStr | None = field(default=None, repr=False)
    workspace: str = field(default="", repr=False)


def caller_from(metadata: Iterable[tuple[str, str | bytes]], *, is_allowed: bool) -> Caller:
    """Read a call's metadata.

    Raises:
        InvalidRequest: Callers may bring no keys, or this is none; names the metadata, never its value.
    """
    brought: dict[str, str] = {}
    for name, value in metadata:
        if name not in {CALLER_KEY, CALLER_WORKSPACE}:
            continue
        if not is_allowed:
            raise InvalidRequest(
                f"this gateway takes no keys from callers: leave {name} out, or ask its operator for allow_caller_keys",
                field=name,
            )
        if name in brought:
            raise InvalidRequest(f"{name} came twice; it is sent once", field=name)
        brought[name] = value if isinstance(value, str) else ""
    if not brought:
        return Caller()
    key, workspace = brought.get(CALLER_KEY, "").strip(BLANKS), brought.get(CALLER_WORKSPACE, "").strip(BLANKS)
    if not is_key(key):
        raise InvalidRequest(f"{CALLER_KEY} holds no key: printable ASCII without blanks", field=CALLER_KEY)
    if workspace and not re.fullmatch(WORKSPACE_PATTERN, workspace):
        raise InvalidRequest(
            f"{CALLER_WORKSPACE} holds no workspace id: up to 64 letters, digits, _ and -", field=CALLER_WORKSPACE
        )
    return Caller(key=SecretStr(key), workspace=workspace)
