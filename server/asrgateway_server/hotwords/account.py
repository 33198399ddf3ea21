"""Whose hot-word tables: the account behind a key, and where its service is reached."""

from __future__ import annotations

from dataclasses import dataclass, field

from asrgateway_server.endpoints import DEFAULT_ENDPOINT, endpoints_of
from asrgateway_server.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account of the vendor.

    Attributes:
        http_url: Base of the vendor's HTTP API.
        key: Its key.
        workspace: Within the account; None: the default one.
        ca_file: Certificates in PEM that the vendor's one is checked against; empty: the system's.
    """

    http_url: str
    key: str = field(repr=False)
    workspace: str | None = None
    ca_file: str = ""


def account_of(settings: Settings) -> Account:
    """Return the account that the gateway serves from, with the key that it has without looking into a file."""
    endpoint = endpoints_of(settings)[DEFAULT_ENDPOINT]
    return Account(
        http_url=endpoint.http_url(),
        key=endpoint.key.get_secret_value() if endpoint.key else "",
        workspace=endpoint.workspace or None,
        ca_file=settings.upstream_ca_file,
    )
