"""The gateway's certificate, and those that clients must show; replaced without a restart."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from asrgateway_server.files import read_file
from asrgateway_server.settings import Settings, SettingsError
from asrgateway_server.watched_files import CHECK_SECONDS, WatchedFiles


def certificate_from(
    settings: Settings, check_seconds: float = CHECK_SECONDS
) -> WatchedFiles[ServerCertificate] | None:
    """Return the gateway's certificate, which follows its files; None for plain text.

    Raises:
        SettingsError: A setting is missing, or a file is invalid.
    """
    files = _files_from(settings)
    return WatchedFiles(files.paths, files.read, check_seconds) if files else None


def _files_from(settings: Settings) -> CertificateFiles | None:
    chain, key, client_ca = settings.tls_cert_file, settings.tls_key_file, settings.tls_client_ca_file
    if bool(chain) != bool(key):
        raise SettingsError("tls_cert_file and tls_key_file go together: set both or neither")
    if not chain:
        if client_ca:
            raise SettingsError("tls_client_ca_file needs tls_cert_file and tls_key_file: set them, or leave it empty")
        return None
    return CertificateFiles(Path(chain), Path(key), Path(client_ca) if client_ca else None)


def web_certificate_from(
    settings: Settings, check_seconds: float = CHECK_SECONDS
) -> WatchedFiles[ssl.SSLContext] | None:
    """Return the same certificate for a server that is none of gRPC's; None for plain text.

    Raises:
        SettingsError: A setting is missing, or a file is invalid.
    """
    files = _files_from(settings)
    return WatchedFiles(files.paths, files.read_context, check_seconds) if files else None


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """The certificate with which the gateway serves.

    Attributes:
        credentials: What a server needs for its handshakes.
        expires_at: When the first certificate of the chain to expire does so, in seconds since 1970.
    """

    credentials: grpc.ServerCredentials
    expires_at: float


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Its files, in PEM.

    Attributes:
        chain: The server's certificate, and those between it and one that clients trust.
        key: Its private key, without a password.
        client_ca: Certificates that must have signed the clients' ones; None: clients show none.
    """

    chain: Path
    key: Path
    client_ca: Path | None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        return (self.chain, self.key) if self.client_ca is None else (self.chain, self.key, self.client_ca)

    def read(self) -> ServerCertificate:
        """Read them all.

        Raises:
            OSError: A file cannot be read.
            ValueError: A file is invalid, or the key belongs to another certificate.
        """
        chain, key = read_file(self.chain), read_file(self.key)
        certificates = _certificates(self.chain, chain)
        if _private_key(self.key, key).public_key() != _public_key(self.chain, certificates[0]):
            raise ValueError(f"{self.key} is not the key of the certificate in {self.chain}")
        roots = None
        if self.client_ca is not None:
            roots = read_file(self.client_ca)
            _certificates(self.client_ca, roots)
        return ServerCertificate(
            grpc.ssl_server_credentials([(key, chain)], root_certificates=roots, require_client_auth=roots is not None),
            min(certificate.not_valid_after_utc for certificate in certificates).timestamp(),
        )

    def read_context(self) -> ssl.SSLContext:
        """Read them all for Python's own TLS; raises what ``read`` raises."""
        self.read()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.client_ca)
        if self.client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_cert_chain(self.chain, self.key, password="")
        except ssl.SSLError as error:
            raise ValueError(f"{self.chain} cannot be used with {self.key}: {error.reason}") from None
        return context


def _certificates(path: Path, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ValueError(f"{path} holds no certificate in PEM") from None


def _private_key(path: Path, pem: bytes) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):  # TypeError: it has a password.
        raise ValueError(f"{path} holds no private key in PEM that can be read without a password") from None
    except UnsupportedAlgorithm:
        raise ValueError(f"{path} holds a private key of an unknown kind; use RSA or EC") from None


def _public_key(path: Path, certificate: x509.Certificate) -> PublicKeyTypes:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"{path} holds a certificate with a key of an unknown kind; use RSA or EC") from None
