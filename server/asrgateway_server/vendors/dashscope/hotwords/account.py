"""Whose hot-word tables: the account behind a key, and how a call reaches it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

from asrgateway_server.backends.credential import Credential
from asrgateway_server.config import RecognitionConfig
from asrgateway_server.vendors.dashscope.caller_key import caller_key


class Access(Protocol):
    """How a call reaches the vendor."""

    @property
    def http_url(self) -> str:
        """Base of the vendor's HTTP API."""

    @property
    def workspace(self) -> str:
        """Within the account; empty: that of the key."""

    @property
    def credential(self) -> Credential:
        """What the vendor is shown."""

    @property
    def is_callers(self) -> bool:
        """It is the caller's own."""


class Reach(Protocol):
    """Knows how calls reach the vendor."""

    def access(self, config: RecognitionConfig) -> Access:
        """Return how a call does; raise a GatewayError if it cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account of the vendor, as far as tables are shared within it.

    Attributes:
        http_url: Base of the vendor's HTTP API.
        workspace: Within the account; empty: that of the key.
        caller: Fingerprint of the caller's own key; empty: the account is the operator's.
    """

    http_url: str
    workspace: str
    caller: str


def account_of(config: RecognitionConfig, access: Access) -> Account:
    """Return the account that a call's tables are in: a caller's own key leads to no table of anybody else."""
    caller = ""
    if access.is_callers and (key := caller_key(config)):
        caller = hashlib.sha256(key.get_secret_value().encode()).hexdigest()
    return Account(http_url=access.http_url, workspace=access.workspace, caller=caller)
