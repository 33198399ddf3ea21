"""What a browser says when it opens a connection: where its page comes from, and its key."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import ssl
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from asrgateway_server.web_api.bounded_socket import SUBPROTOCOL

#: Before a key in base64url, as another subprotocol: browsers can send no other header.
KEY_PREFIX: Final = "asrgateway.key."
ANY_ORIGIN: Final = "*"


class Handshake:
    """One request for a connection; see also ``client_identity.Peer``.

    Attributes:
        key: The client's key; empty if it sent none here.
        problem: Why it is no request for a call; empty if it is one.
    """

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        names = [name.strip() for name in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(",")]
        self.key = next((_key_in(name) for name in names if name.startswith(KEY_PREFIX)), "")
        self.problem = _problem(request, names)

    def comes_from(self, origins: Sequence[str], *, is_local: bool) -> bool:
        """Say whether the page may call.

        Args:
            origins: Those whose pages may; empty: only pages of this listener's own origin.
            is_local: The listener is on a loopback address, where a page of a foreign name has no business: that name
                would be made to point here only to pass for ours (DNS rebinding).
        """
        origin = self._request.headers.get(hdrs.ORIGIN)
        if origin is None or ANY_ORIGIN in origins:  # Only browsers send it, and they always do.
            return True
        if origins:
            return origin.lower() in {known.lower().rstrip("/") for known in origins}
        host = self._request.headers.get(hdrs.HOST, "").lower()
        return urlsplit(origin.lower()).netloc == host != "" and (not is_local or _is_loopback(host))

    def peer(self) -> str:
        """Return the client's address, written as gRPC does."""
        name = self._request.transport.get_extra_info("peername") if self._request.transport else None
        if not name:
            return "unknown"
        host, port = name[:2]
        return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Return the names in the client's certificate, under gRPC's keys."""
        tls = self._request.transport.get_extra_info("ssl_object") if self._request.transport else None
        if tls is None or not (found := tls.getpeercert()):
            return {}
        names = [value.encode() for _, value in found.get("subjectAltName", ())]
        subject = [value.encode() for part in found.get("subject", ()) for key, value in part if key == "commonName"]
        spiffe = [name for name in names if name.startswith(b"spiffe://")]
        pem = ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True)).encode()
        return {
            "peer_spiffe_id": spiffe,
            "x509_subject_alternative_name": names,
            "x509_common_name": subject,
            "x509_pem_cert": [pem],
        }


def _problem(request: web.BaseRequest, names: Sequence[str]) -> str:
    if request.headers.get(hdrs.UPGRADE, "").lower() != "websocket":
        return "open a WebSocket here"
    return "" if SUBPROTOCOL in names else f"offer the subprotocol {SUBPROTOCOL}"


def _key_in(name: str) -> str:
    text = name.removeprefix(KEY_PREFIX)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return text  # Nobody's key, and so refused as one.


def _is_loopback(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
