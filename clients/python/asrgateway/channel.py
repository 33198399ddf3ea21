"""How the gateway is reached: channel options, TLS, and the metadata of every call."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import grpc

Metadata = Sequence[tuple[str, str | bytes]]
"""Sent with every call, such as ``[("authorization", "Bearer …")]``; names are lower-case."""

CHANNEL_OPTIONS: Final = (
    # A speaker may be silent for long: pings keep proxies from dropping the quiet connection.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)


def with_api_key(metadata: Metadata, api_key: str | None) -> tuple[tuple[str, str | bytes], ...]:
    """Return the metadata of every call, with the key that the gateway asks for.

    Raises:
        ValueError: The key cannot travel as metadata; what it is stays untold.
    """
    if api_key is None:
        return tuple(metadata)
    if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        raise ValueError("the API key must be of ASCII letters, digits and signs, without blanks")
    return (*metadata, ("authorization", f"Bearer {api_key}"))


def tls_credentials(
    *,
    ca_file: Path | str | None = None,
    cert_file: Path | str | None = None,
    key_file: Path | str | None = None,
) -> grpc.ChannelCredentials:
    """Read the files that a TLS connection needs.

    Args:
        ca_file: PEM certificates that may have signed the server's; default: those that gRPC brings.
        cert_file: PEM chain that shows the server who calls; only for mutual TLS, with ``key_file``.
        key_file: PEM private key of ``cert_file``.

    Raises:
        OSError: A file cannot be read.
        ValueError: One of ``cert_file`` and ``key_file`` is given without the other.
    """
    if (cert_file is None) != (key_file is None):
        raise ValueError("a client certificate and its key go together: give both or neither")
    return grpc.ssl_channel_credentials(
        root_certificates=_content(ca_file),
        private_key=_content(key_file),
        certificate_chain=_content(cert_file),
    )


def _content(path: Path | str | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()
