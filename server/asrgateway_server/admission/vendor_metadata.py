"""Metadata that a client sends for a vendor, such as a caller's key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import SecretStr

from asrgateway_server.admission.keys import BLANKS
from asrgateway_server.backends.vendor import Vendors
from asrgateway_server.errors import InvalidRequest


class VendorMetadata:
    """Reads the metadata for vendors.

    Args:
        vendors: Declare the names of their metadata.
        is_allowed: The operator allows callers' keys.
    """

    def __init__(self, vendors: Vendors, *, is_allowed: bool) -> None:
        self._vendors = tuple(vendors.values())
        self._names = frozenset(name for vendor in self._vendors for name in vendor.metadata)
        self._is_allowed = is_allowed

    def read(self, metadata: Iterable[tuple[str, str | bytes]]) -> Mapping[str, SecretStr]:
        """Return the part of a call's metadata that is for vendors, by name.

        Raises:
            InvalidRequest: Clients may send none, or the vendor does not accept it; the message names the metadata,
                never its value.
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
                f"this gateway accepts no callers' keys: leave {name} out, or ask its operator to set "
                "allow_caller_keys",
                field=name,
            )
        if name in brought:
            raise InvalidRequest(f"{name} came twice; send it once", field=name)
