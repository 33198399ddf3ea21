"""Who calls: by the key that was shown, else by the certificate, else by the address."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import unquote

# The log and the table of clients take no more of a certificate's name.
_LONGEST_NAME: Final = 256
# The first that a certificate has says who it is for; an id of SPIFFE is there for that alone.
_CERTIFICATE_NAMES: Final = ("peer_spiffe_id", "x509_subject_alternative_name", "x509_common_name")
_CERTIFICATE: Final = "x509_pem_cert"
# Source: gRPC, src/core/lib/address_utils/sockaddr_utils.cc: `ipv4:HOST:PORT`, `ipv6:[HOST]:PORT`, percent-encoded.
_PEER: Final = re.compile(r"ipv[46]:\[?(?P<host>[^\]]+?)\]?:\d+")
# One subscriber is usually given all of these.
_IPV6_PREFIX: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIdentity:
    """Who calls.

    Attributes:
        id: What its calls are counted under.
        name: What the log has as `client`; empty for keys without one, and for addresses, which stand there as `peer`.
    """

    id: str
    name: str = ""


#: The client of the running call; `KeyInterceptor` sets it where keys are asked for.
key_holder: ContextVar[ClientIdentity | None] = ContextVar("key_holder", default=None)


class Peer(Protocol):
    """What a gRPC context knows of the other side."""

    def peer(self) -> str:
        """Return its address."""

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Return what TLS knows of it."""


def identity_of(peer: Peer) -> ClientIdentity:
    """Return who calls in the running call."""
    certificate = _certificate_of(peer.auth_context())
    if holder := key_holder.get():
        return ClientIdentity(id=holder.id, name=holder.name or certificate)
    if certificate:
        return ClientIdentity(id=f"certificate:{certificate}", name=certificate)
    return ClientIdentity(id=f"address:{address_of(peer.peer())}")


def address_of(peer: str) -> str:
    """Return the address of a peer without its port: all of an IPv4 address, the network of an IPv6 one."""
    match = _PEER.fullmatch(unquote(peer))
    if match is None:
        return peer[:_LONGEST_NAME]
    try:
        address = ipaddress.ip_address(match["host"])
    except ValueError:
        return match["host"][:_LONGEST_NAME]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((int(address), _IPV6_PREFIX), strict=False))
    return str(address)


def _certificate_of(known: Mapping[str, Iterable[bytes]]) -> str:
    """Return the name of the client's certificate, its fingerprint if it has none; empty without one."""
    names = (name for key in _CERTIFICATE_NAMES for name in known.get(key, ()) if name)
    if (name := next(names, None)) is not None:
        text = name.decode(errors="replace")
        return text if len(text) <= _LONGEST_NAME else _fingerprint(name)
    return next((_fingerprint(pem) for pem in known.get(_CERTIFICATE, ())), "")


def _fingerprint(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
