"""The command line of ``asr-client``, turned into one record per command."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from asrgateway.channel import ChannelOptions, tls_credentials
from asrgateway.v1.recognition_pb2 import AudioEncoding

ENCODINGS: Final = {
    name.removeprefix("AUDIO_ENCODING_").lower(): encoding
    for name, encoding in AudioEncoding.items()
    if encoding != AudioEncoding.AUDIO_ENCODING_UNSPECIFIED
}

API_KEY_VARIABLE: Final = "ASR_API_KEY"

_EXAMPLES: Final = """\
examples:
  asr-client file speech.wav
  asr-client file speech.wav --fast --json > responses.jsonl
  asr-client file call.raw --rate 8000 --language en-US
  asr-client models --target gateway.example.com:443 --tls

Transcripts go to standard output, everything else to standard error.
exit status: 0 done, 1 the call failed, 2 wrong usage or unreadable file, 130 interrupted
"""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCommand:
    """Recognise one recording.

    Attributes:
        connection: The gateway.
        path: The recording.
        model: Model or alias; empty: the gateway's default.
        language_codes: BCP-47, the likeliest first.
        is_fast: Send as fast as the gateway accepts it, not at speaking speed.
        is_json: Print every response as JSON.
        encoding: A key of ``ENCODINGS``; None: by the file's name.
        sample_rate_hertz: None: as the file says.
        channel_count: None: as the file says, or 1.
        timeout_seconds: For the whole call; None: no limit.
    """

    connection: Connection
    path: Path
    model: str
    language_codes: tuple[str, ...]
    is_fast: bool
    is_json: bool
    encoding: str | None
    sample_rate_hertz: int | None
    channel_count: int | None
    timeout_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsCommand:
    """List the models.

    Attributes:
        connection: The gateway.
        is_json: Print JSON, not a table.
    """

    connection: Connection
    is_json: bool


def parse(arguments: Sequence[str] | None) -> FileCommand | ModelsCommand:
    """Read the command line.

    Args:
        arguments: Without the program's name; None: those of the process.

    Raises:
        SystemExit: With 2 and a message on standard error for wrong usage; with 0 after ``--help``.
    """
    parser = _parser()
    values = parser.parse_args(arguments)
    if (values.cert is None) != (values.key is None):
        parser.error("--cert and --key belong together: give both or neither")
    connection = Connection(
        target=values.target,
        is_tls=values.tls or values.ca is not None or values.cert is not None,
        ca_file=values.ca,
        cert_file=values.cert,
        key_file=values.key,
        api_key_file=values.api_key_file,
        channel_options=tuple(values.channel_option),
    )
    if values.command == "models":
        return ModelsCommand(connection=connection, is_json=values.json)
    return FileCommand(
        connection=connection,
        path=values.path,
        model=values.model,
        language_codes=tuple(values.language),
        is_fast=values.fast,
        is_json=values.json,
        encoding=values.encoding,
        sample_rate_hertz=values.rate,
        channel_count=values.channels,
        timeout_seconds=values.timeout,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asr-client",
        description="Speech to text through the speech-recognition gateway.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_file(commands)
    _add_models(commands)
    return parser


def _add_file(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    file = commands.add_parser(
        "file",
        help="recognise a recording",
        description="Send a recording at speaking speed and print one line per utterance.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    file.add_argument("path", type=Path, metavar="PATH", help="the recording, such as speech.wav or speech.raw")
    file.add_argument("--model", default="", metavar="M", help="model or alias (default: the gateway's)")
    file.add_argument(
        "--language",
        action="append",
        default=[],
        metavar="L",
        help="language that is spoken, such as en-US; repeat it for several, the likeliest first",
    )
    file.add_argument("--fast", action="store_true", help="send as fast as the gateway accepts it")
    file.add_argument("--json", action="store_true", help="print every response as one line of JSON")
    file.add_argument("--rate", type=_positive_int, metavar="HZ", help="samples per second; raw audio needs it")
    file.add_argument("--channels", type=_positive_int, metavar="N", help="channels of raw audio (default: 1)")
    file.add_argument(
        "--encoding",
        choices=sorted(ENCODINGS),
        metavar="E",
        help=f"what the bytes are (default: by the file's name): {', '.join(ENCODINGS)}",
    )
    file.add_argument("--timeout", type=_positive_float, metavar="S", help="seconds for the whole call")
    _add_connection(file)


def _add_models(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    models = commands.add_parser(
        "models",
        help="list the models of the gateway",
        description="List the models of the gateway and their aliases.",
        allow_abbrev=False,
    )
    models.add_argument("--json", action="store_true", help="print JSON, not a table")
    _add_connection(models)


def _add_connection(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("connection")
    group.add_argument(
        "--target", default="127.0.0.1:50051", metavar="HOST:PORT", help="the gateway (default: %(default)s)"
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


def _channel_option(text: str) -> tuple[str, int | str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, such as grpc.keepalive_time_ms=30000")
    return name, int(value) if value.isascii() and value.isdigit() else value


def _positive_int(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _positive_float(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number
