"""How to reach the gateway, as flags and as a record."""

import argparse
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from asrgateway.audio_file import UnusableFile
from asrgateway.channel import ChannelOptions, tls_credentials
from asrgateway.client import RecognitionClient
from asrgateway.option_values import positive_number

API_KEY_VARIABLE: Final = "ASR_API_KEY"

_WEB_SCHEME: Final = re.compile(r"(https?|wss?|grpcs?)://([^/]*)(.*)", re.IGNORECASE)
_PLAIN_HOST: Final = re.compile(r"[^:/,\[\]]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How to reach the gateway.

    Attributes:
        target: ``host:port``.
        is_tls: Encrypted; files given below imply it.
        ca_file: Certificates to trust in place of the public ones.
        cert_file: The client's certificate, with ``key_file``.
        key_file: Key of ``cert_file``.
        api_key_file: Holds the client's key; None: ``ASR_API_KEY`` in the environment, if it is set.
        channel_options: gRPC's own options.
    """

    target: str
    is_tls: bool
    ca_file: Path | None
    cert_file: Path | None
    key_file: Path | None
    api_key_file: Path | None
    channel_options: ChannelOptions = ()

    def api_key(self) -> str | None:
        """Read the key; None if there is none.

        Raises:
            OSError: The file cannot be read.
        """
        if self.api_key_file is None:
            return os.environ.get(API_KEY_VARIABLE, "").strip() or None
        return self.api_key_file.read_text(encoding="utf-8", errors="replace").strip()

    def credentials(self) -> grpc.ChannelCredentials | None:
        """Read the files; None for plain text.

        Raises:
            OSError: A file cannot be read.
        """
        if not self.is_tls:
            return None
        return tls_credentials(ca_file=self.ca_file, cert_file=self.cert_file, key_file=self.key_file)

    def client(self, *options: tuple[str, int | str]) -> RecognitionClient:
        """Return a client of this gateway, with more options of gRPC's.

        Raises:
            OSError: A file cannot be read.
            UnusableFile: The key cannot be sent.
        """
        try:
            return RecognitionClient(
                self.target,
                credentials=self.credentials(),
                api_key=self.api_key(),
                channel_options=(*options, *self.channel_options),
            )
        except ValueError as error:
            raise UnusableFile(str(error)) from None


def add_connection(parser: argparse.ArgumentParser, *, can_wait: bool = True) -> None:
    """Add the flags that say where the gateway is, and what is done while it is not there."""
    group = parser.add_argument_group("connection")
    group.add_argument(
        "--target",
        type=_target,
        default="127.0.0.1:50051",
        metavar="HOST:PORT",
        help="the gateway (default: %(default)s)",
    )
    group.add_argument("--tls", action="store_true", help="encrypt; --ca, --cert and --key imply it")
    group.add_argument("--ca", type=Path, metavar="F", help="trust the certificates in this PEM file")
    group.add_argument("--cert", type=Path, metavar="F", help="client certificate, for mutual TLS")
    group.add_argument("--key", type=Path, metavar="F", help="key of the client certificate")
    group.add_argument(
        "--api-key-file",
        type=Path,
        metavar="F",
        help=f"send the API key in this file (default: the one in {API_KEY_VARIABLE}, if that is set)",
    )
    group.add_argument(
        "--channel-option",
        type=_channel_option,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="option of gRPC's connection, such as grpc.keepalive_time_ms=30000; repeat it for several",
    )
    if can_wait:
        group.add_argument(
            "--wait",
            type=positive_number,
            default=60.0,
            metavar="S",
            help="seconds to wait for a gateway that is busy, restarting or not there (default: %(default).0f)",
        )
        group.add_argument(
            "--no-reconnect", action="store_true", help="do not wait for a gateway, or go on after a lost connection"
        )


def wait_from(arguments: argparse.Namespace) -> float | None:
    """Return for how many seconds a gateway is waited for; None: not at all."""
    return None if arguments.no_reconnect else arguments.wait


def connection_from(arguments: argparse.Namespace) -> Connection:
    """Return what the flags say.

    Raises:
        ValueError: Options contradict each other.
    """
    if (arguments.cert is None) != (arguments.key is None):
        raise ValueError("--cert and --key belong together: give both or neither")
    return Connection(
        target=arguments.target,
        is_tls=arguments.tls or arguments.ca is not None or arguments.cert is not None,
        ca_file=arguments.ca,
        cert_file=arguments.cert,
        key_file=arguments.key,
        api_key_file=arguments.api_key_file,
        channel_options=tuple(arguments.channel_option),
    )


def _target(text: str) -> str:
    """Refuse what gRPC would take for something else: a URL, or a host whose port it would guess to be 443."""
    if url := _WEB_SCHEME.fullmatch(text):
        tls = " and add --tls" if url[1].lower() in {"https", "wss", "grpcs"} else ""
        host = url[2] if ":" in url[2] else f"{url[2]}:50051"
        raise argparse.ArgumentTypeError(f"{text!r} is a URL; gRPC takes HOST:PORT: write --target {host}{tls}")
    if _PLAIN_HOST.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} has no port: write --target {text}:50051, or the gateway's own port"
        )
    return text


def _channel_option(text: str) -> tuple[str, int | str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, such as grpc.keepalive_time_ms=30000")
    return name, int(value) if value.isascii() and value.isdigit() else value
