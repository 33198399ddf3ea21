from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from asrgateway_server.admission.client_identity import ClientIdentity, address_of, identity_of, key_holder


@dataclass(frozen=True, slots=True)
class Peer:
    """What gRPC knows about a client."""

    known: Mapping[str, Sequence[bytes]] = field(default_factory=dict)
    address: str = "ipv4:192.0.2.7:50000"

    def peer(self) -> str:
        return self.address

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        return self.known


SAN, NAME, PEM = "x509_subject_alternative_name", "x509_common_name", "x509_pem_cert"
SPIFFE = "peer_spiffe_id"


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.7:50000", "192.0.2.7"),
        ("ipv6:[2001:db8:1:2:3:4:5:6]:50000", "2001:db8:1:2::/64"),
        ("ipv6:%5B2001:db8:1:2::9%5D:1", "2001:db8:1:2::/64"),
        ("ipv6:[::ffff:192.0.2.7]:50000", "192.0.2.7"),
        ("ipv6:[fe80::1%25eth0]:50000", "fe80::/64"),
        ("unix:/run/gateway.sock", "unix:/run/gateway.sock"),
        ("ipv4:999.0.0.1:1", "999.0.0.1"),
        ("x" * 10_000, "x" * 256),
    ],
)
def test_an_address_is_kept_without_its_port(peer: str, address: str) -> None:
    assert address_of(peer) == address


def test_without_key_and_certificate_the_address_identifies_a_client() -> None:
    assert identity_of(Peer()) == ClientIdentity(id="address:192.0.2.7")


@pytest.mark.parametrize(
    ("known", "name"),
    [
        ({SPIFFE: [b"spiffe://org/team-a"], SAN: [b"a.example.com"], NAME: [b"a"]}, "spiffe://org/team-a"),
        ({SAN: [b"a.example.com", b"b.example.com"], NAME: [b"a"]}, "a.example.com"),
        ({NAME: [b"team-a"], PEM: [b"pem"]}, "team-a"),
        ({SAN: [b"a\xff"]}, "a\ufffd"),
        ({PEM: [b"pem"]}, "sha256:f0aeace912cf19dc1c6fffd41de6e395daeb5462f1221945706bd0674c3005eb"),
    ],
)
def test_a_certificate_wins_over_the_address(known: Mapping[str, Sequence[bytes]], name: str) -> None:
    assert identity_of(Peer(known)) == ClientIdentity(id=f"certificate:{name}", name=name)


def test_a_very_long_name_is_replaced_by_its_hash() -> None:
    assert len(identity_of(Peer({NAME: [b"x" * 100_000]})).id) < 100


@pytest.mark.parametrize(("name", "logged"), [("team-a", "team-a"), ("", "a.example.com")])
def test_a_key_wins_over_the_certificate_and_takes_its_name_if_it_has_none(name: str, logged: str) -> None:
    token = key_holder.set(ClientIdentity(id="digest", name=name))
    try:
        assert identity_of(Peer({SAN: [b"a.example.com"]})) == ClientIdentity(id="digest", name=logged)
    finally:
        key_holder.reset(token)
