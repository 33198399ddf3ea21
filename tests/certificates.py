"""A certificate of 127.0.0.1, and of a host if need be, that vouches for itself, and its key."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Certificate:
    """Two files in PEM."""

    chain: Path
    key: Path


def make_certificate(folder: Path, common_name: str = "", days: int = 1, host: str = "") -> Certificate:
    """Write certificate and key into the folder; one with a name is a client's, and has neither address nor host."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days))
    )
    if not common_name:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        names = [address, x509.DNSName(host)] if host else [address]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    made = builder.sign(key, hashes.SHA256())
    certificate = Certificate(folder / "certificate.pem", folder / "key.pem")
    certificate.chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem, pkcs8, bare = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    certificate.key.write_bytes(key.private_bytes(pem, pkcs8, bare))
    return certificate
