"""What a client brings for vendors in the metadata of its call, such as a key of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import SecretStr

from asrgateway_server.backends.vendor import Vendors
from asrgateway_server.errors import InvalidRequest
from asrgateway_server.grpc_api.keys import BLANKS


class VendorMetadata:
    """Reads what is there for vendors.

    Args:
        vendors: Those that know the names.
        is_allowed: The operator lets clients bring keys.
    """

    def __init__(self, vendors: Vendors, *, is_allowed: bool) -> None:
        self._vendors = tuple(vendors.values())
        self._names = frozenset(name for vendor in self._vendors for name in vendor.metadata)
        self._is_allowed = is_allowed

    def read(self, metadata: Iterable[tuple[str, str | bytes]]) -> Mapping[str, SecretStr]:
        """Return what a call's metadata holds for vendors, by its name.

        Raises:
            InvalidRequest: Clients may bring nothing, or this is nothing that a vendor takes; names the metadata, never
                its value.
        """
        brought: dict[str, str] = {}
        for name, value in metadata:
            if name in self._names:
                self._verify(name, brought)
                brought[name] = value.strip(BLANKS) if isinstance(value, str) else ""
        for vendor in self._vendors:
            if own := {name: value for name, value in brought.items() if name in vendor.metadata}:
                vendor.verify_metadata(own)
        return {name: SecretStr(value) for name, value in brought.items()}

    def _verify(self, name: str, brought: Mapping[str, str]) -> None:
        if not self._is_allowed:
            raise InvalidRequest(
                f"this gateway takes no keys from callers: leave {name} out, or ask its operator for allow_caller_keys",
                field=name,
            )
        if name in brought:
            raise InvalidRequest(f"{name} came twice; it is sent once", field=name)
