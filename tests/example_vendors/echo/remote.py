"""How calls reach the echo, and what its refusals mean."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from asrgateway_server.config import RecognitionConfig
from asrgateway_server.errors import GatewayError, UpstreamLost, UpstreamRefused
from example_vendors.echo.settings import EchoSettings


class EchoRemote:
    """See ``RemoteVendor``; the way is the same for every call, so that it is its own ``Access`` and ``Credential``."""

    endpoint = "echo"
    endpoints: Collection[str] = ("echo",)
    error_labels: Collection[str] = ("http", "close")
    workspace = ""
    account = ""
    is_callers = False

    def __init__(self, settings: EchoSettings) -> None:
        self.url = settings.echo_url
        self.credential = self
        self._key = settings.echo_key

    def access(self, _config: RecognitionConfig) -> EchoRemote:
        """See ``RemoteVendor``."""
        return self

    async def key(self, instead_of: str = "") -> str:  # noqa: ARG002 there is no other one
        """See ``Credential``."""
        return self._key

    def headers(self, key: str) -> Mapping[str, str]:
        """See ``Access``."""
        return {"X-Echo-Key": key}

    def handshake_error(self, status: int) -> GatewayError:
        """See ``RemoteVendor``."""
        if status == 403:
            return UpstreamRefused("the echo rejected the gateway's key; set echo_key", upstream_code="HTTP 403")
        return UpstreamLost(
            f"the echo refused the connection with HTTP status {status}", upstream_code=f"HTTP {status}"
        )

    def close_error(self, code: int | None) -> GatewayError:
        """See ``RemoteVendor``."""
        return UpstreamLost("the echo closed the connection", upstream_code=f"close {code}" if code else "")

    def error_for_callers_key(self, error: GatewayError) -> GatewayError:
        """See ``RemoteVendor``; clients bring no keys."""
        return error

    def error_label(self, error: GatewayError) -> str:
        """See ``RemoteVendor``."""
        return "http" if error.upstream_code.startswith("HTTP") else "close"
