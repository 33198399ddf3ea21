"""What a backend asks of a vendor that is reached over the network."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from asrgateway_server.backends.credential import Credential
from asrgateway_server.config import RecognitionConfig
from asrgateway_server.errors import GatewayError


class Access(Protocol):
    """How one call reaches its vendor."""

    @property
    def endpoint(self) -> str:
        """What the operator calls the place."""

    @property
    def url(self) -> str:
        """Scheme, host and port for WebSockets."""

    @property
    def workspace(self) -> str:
        """The part of the account that is used; empty: that of the key."""

    @property
    def account(self) -> str:
        """Names the account whose limits hold, without a key in it; where keys tell accounts apart, a fingerprint."""

    @property
    def credential(self) -> Credential:
        """What the vendor is shown."""

    @property
    def is_callers(self) -> bool:
        """Whether the key came with the call: then it is to blame if it is rejected."""

    def headers(self, key: str) -> Mapping[str, str]:
        """Return what every request to the vendor bears."""


class RemoteVendor(Protocol):
    """A vendor that is reached over the network, and what its refusals mean."""

    @property
    def endpoints(self) -> Collection[str]:
        """The names of all places where it is reached."""

    def access(self, config: RecognitionConfig) -> Access:
        """Return how a call reaches it; raise a GatewayError if it cannot."""

    def handshake_error(self, status: int) -> GatewayError:
        """Return what the HTTP status of a refused handshake means."""

    def close_error(self, code: int | None) -> GatewayError:
        """Return what it means that a connection was closed too soon, with a code if there was one."""

    def error_for_callers_key(self, error: GatewayError) -> GatewayError:
        """Return what an error means where the key that it may be about came with the call."""

    @property
    def error_labels(self) -> Collection[str]:
        """All that errors count as, besides those that every vendor has."""

    def error_label(self, error: GatewayError) -> str:
        """Return what an error counts as: one of a small closed set."""
