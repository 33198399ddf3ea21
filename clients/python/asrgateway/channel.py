"""The connection to the gateway: channel options, TLS, and the metadata of every call."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import grpc

Metadata = Sequence[tuple[str, str | bytes]]
"""Sent with every call, such as ``[("authorization", "Bearer …")]``; names are lower-case."""

ChannelOptions = Sequence[tuple[str, int | str]]
"""gRPC's own options of a connection, such as ``[("grpc.keepalive_time_ms", 30_000)]``."""

ROUND_ROBIN: Final[Sequence[Mapping[str, object]]] = ({"round_robin": {}},)
"""Calls take turns among all addresses of a target; gRPC's default is the first one for every call."""

ENABLE_RETRIES: Final = "grpc.enable_retries"
"""0 turns off that calls are opened again before they have begun."""

_DEFAULTS: Final[dict[str, int | str]] = {
    # A speaker may be silent for long: pings keep proxies from dropping the quiet connection. The gateway accepts one
    # each 20 s, any number of them without data.
    "grpc.keepalive_time_ms": 60_000,
    "grpc.keepalive_timeout_ms": 20_000,
    "grpc.http2.max_pings_without_data": 0,
    # A gateway that is back, or new, is found before the next one stops; gRPC's own limits are 120 s and 30 s.
    "grpc.initial_reconnect_backoff_ms": 250,
    "grpc.max_reconnect_backoff_ms": 5_000,
    "grpc.dns_min_time_between_resolutions_ms": 5_000,
}
_SERVICE_CONFIG: Final = "grpc.service_config"
_POLICY_NAME: Final = "grpc.lb_policy_name"


def with_defaults(options: ChannelOptions) -> tuple[tuple[str, int | str], ...]:
    """Return the options of a connection: those given, and defaults for all others."""
    own = dict(options)
    # A policy in the service config would override the one given.
    balancing = {} if _POLICY_NAME in own else {"loadBalancingConfig": ROUND_ROBIN}
    service_config = json.dumps(balancing)
    # The client opens calls again by itself, whatever the program gives: see `asrgateway.beginning`.
    return tuple((_DEFAULTS | {_SERVICE_CONFIG: service_config} | own | {ENABLE_RETRIES: 0}).items())


def with_api_key(metadata: Metadata, api_key: str | None) -> tuple[tuple[str, str | bytes], ...]:
    """Return the metadata of every call, with the client's key.

    Raises:
        ValueError: The key cannot be sent as metadata; the message does not show it.
    """
    if api_key is None:
        return tuple(metadata)
    if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        raise ValueError("the API key must consist of ASCII letters, digits and signs, without blanks")
    return (*metadata, ("authorization", f"Bearer {api_key}"))


def tls_credentials(
    *,
    ca_file: Path | str | None = None,
    cert_file: Path | str | None = None,
    key_file: Path | str | None = None,
) -> grpc.ChannelCredentials:
    """Read the files that a TLS connection needs.

    Args:
        ca_file: PEM certificates of the authorities to trust; default: those that come with gRPC.
        cert_file: PEM chain of the client's certificate; only for mutual TLS, with ``key_file``.
        key_file: PEM private key of ``cert_file``.

    Raises:
        OSError: A file cannot be read.
        ValueError: One of ``cert_file`` and ``key_file`` is given without the other.
    """
    if (cert_file is None) != (key_file is None):
        raise ValueError("cert_file and key_file belong together: give both or neither")
    return grpc.ssl_channel_credentials(
        root_certificates=_content(ca_file),
        private_key=_content(key_file),
        certificate_chain=_content(cert_file),
    )


def _content(path: Path | str | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()
