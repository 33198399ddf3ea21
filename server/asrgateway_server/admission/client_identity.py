"""Identifies a client: by its key, else by its certificate, else by its address."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import unquote

# A longer name of a certificate is replaced by its fingerprint in the log and in counts.
_LONGEST_NAME: Final = 256
# In this order; a SPIFFE id exists only to identify.
_CERTIFICATE_NAMES: Final = ("peer_spiffe_id", "x509_subject_alternative_name", "x509_common_name")
_CERTIFICATE: Final = "x509_pem_cert"
# Source: gRPC, src/core/lib/address_utils/sockaddr_utils.cc: `ipv4:HOST:PORT`, `ipv6:[HOST]:PORT`, percent-encoded.
_PEER: Final = re.compile(r"ipv[46]:\[?(?P<host>[^\]]+?)\]?:\d+")
# One subscriber usually has a whole network of this size.
_IPV6_PREFIX: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIdentity:
    """One client.

    Attributes:
        id: Counts of its calls are kept under this.
        name: The log's field `client`; empty for keys without a name, and for addresses, which the log has as `peer`.
    """

    id: str
    name: str = ""


#: The client of the running call; `KeyInterceptor` sets it where keys are required.
key_holder: ContextVar[ClientIdentity | None] = ContextVar("key_holder", default=None)


class Peer(Protocol):
    """What a gRPC context knows about the client."""

    def peer(self) -> str:
        """Return its address."""

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Return what TLS knows about it."""


def identity_of(peer: Peer) -> ClientIdentity:
    """Return the client of the running call."""
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
