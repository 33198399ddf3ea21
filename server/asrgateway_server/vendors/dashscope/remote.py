"""What the backends ask of this vendor: how a call reaches it, and what its refusals mean."""

from __future__ import annotations

from collections.abc import Collection

from asrgateway_server.config import RecognitionConfig
from asrgateway_server.errors import GatewayError
from asrgateway_server.vendors.dashscope.credentials import Access, Keyring
from asrgateway_server.vendors.dashscope.error_codes import (
    FAMILIES,
    close_error,
    code_family,
    for_callers_key,
    handshake_error,
)


class DashScopeRemote:
    """See ``RemoteVendor``."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    @property
    def endpoints(self) -> Collection[str]:
        """See ``RemoteVendor``."""
        return self._keyring.endpoints

    def access(self, config: RecognitionConfig) -> Access:
        """See ``RemoteVendor``."""
        return self._keyring.access(config)

    def handshake_error(self, status: int) -> GatewayError:
        """See ``RemoteVendor``."""
        return handshake_error(status)

    def close_error(self, code: int | None) -> GatewayError:
        """See ``RemoteVendor``."""
        return close_error(code)

    def error_for_callers_key(self, error: GatewayError) -> GatewayError:
        """See ``RemoteVendor``."""
        return for_callers_key(error)

    @property
    def error_labels(self) -> Collection[str]:
        """See ``RemoteVendor``."""
        return FAMILIES

    def error_label(self, error: GatewayError) -> str:
        """See ``RemoteVendor``."""
        return code_family(error.upstream_code)
