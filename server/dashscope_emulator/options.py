"""What the user of an emulator chooses, in code or on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, get_args

from dashscope_emulator.faults import Fault, load_faults
from dashscope_emulator.knobs import Knobs, load_knobs
from dashscope_emulator.recognizers.markers import MarkerScript, load_markers
from dashscope_emulator.recognizers.script import Script, load_script

RecognizerName = Literal["pocketsphinx", "script", "markers"]
DEFAULT_PORT: Final = 8765
_DESCRIPTION: Final = """\
An emulator of DashScope (Alibaba Cloud Model Studio) on this machine: real-time speech recognition in both WebSocket
dialects, the HTTP API for hot words, and temporary tokens. It needs no account and no network.
"""
_EPILOG: Final = """\
Point the vendor's SDK at it before it is imported:
  DASHSCOPE_API_KEY=any
  DASHSCOPE_WEBSOCKET_BASE_URL=ws://127.0.0.1:8765/api-ws/v1/inference
  DASHSCOPE_HTTP_BASE_URL=http://127.0.0.1:8765/api/v1

docs/emulator.md describes the files: every knob and every fault, with an example of each.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorOptions:
    """How one emulator runs.

    Attributes:
        host: The address it listens on.
        port: The port; 0 = any free one.
        recognizer: What recognises the audio: real US English, a script, or test audio with numbered samples.
        script: The texts of ``script`` or ``markers``; None = the load workload, or words named by their number.
        faults: What goes wrong, and where.
        time_scale: The vendor's time limits are divided by it: with 100, the 23 s limit ends a task after 0.23 s.
        api_key: The only key that is accepted; None = any that is not empty.
        tls_cert: Certificate chain in PEM; with ``tls_key`` the emulator serves TLS.
        tls_key: Its key in PEM.
        journal: A file to which each finished task adds one JSON line; None = none.
        knobs: How it behaves where the vendor's behaviour is unknown.
    """

    host: str = "127.0.0.1"
    port: int = 0
    recognizer: RecognizerName = "pocketsphinx"
    script: Script | MarkerScript | None = None
    faults: tuple[Fault, ...] = ()
    time_scale: float = 1.0
    api_key: str | None = field(default=None, repr=False)
    tls_cert: Path | None = None
    tls_key: Path | None = field(default=None, repr=False)
    journal: Path | None = None
    knobs: Knobs = field(default_factory=Knobs)

    def __post_init__(self) -> None:
        """Refuse values that contradict each other."""
        if self.recognizer not in get_args(RecognizerName):
            raise ValueError(f"recognizer must be one of {get_args(RecognizerName)}, not {self.recognizer!r}")
        if self.time_scale <= 0:
            raise ValueError(f"time_scale must be above 0, not {self.time_scale}")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        expected = _SCRIPTS.get(self.recognizer, type(None))
        if self.script is not None and not isinstance(self.script, expected):
            raise ValueError(f"recognizer {self.recognizer!r} takes no {type(self.script).__name__}")


_ARGUMENTS: Final = ("host", "port", "recognizer", "time_scale", "api_key", "tls_cert", "tls_key", "journal")
_SCRIPTS: Final[Mapping[str, type]] = MappingProxyType({"script": Script, "markers": MarkerScript})
_LOADERS: Final[Mapping[str, Callable[[Path], Script | MarkerScript]]] = MappingProxyType(
    {"script": load_script, "markers": load_markers}
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the emulator's arguments and what its help says."""
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.add_argument("--version", action="version", version=f"dashscope_emulator {version('asrgateway-server')}")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port; 0 = any free one (%(default)s)")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="serve TLS with this certificate chain, PEM")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="key of the certificate, PEM")
    parser.add_argument("--api-key", metavar="KEY", help="accept only this key (default: any that is not empty)")
    parser.add_argument(
        "--recognizer",
        choices=get_args(RecognizerName),
        default="pocketsphinx",
        help="pocketsphinx: real US English; script: texts at given times, whatever the audio; "
        "markers: test audio with numbered samples (%(default)s)",
    )
    parser.add_argument("--script", type=Path, metavar="FILE", help="the texts of script or markers, YAML or JSON")
    parser.add_argument("--faults", type=Path, metavar="FILE", help="what goes wrong, and where, YAML or JSON")
    parser.add_argument("--knobs", type=Path, metavar="FILE", help="how unknown behaviour is emulated, YAML or JSON")
    parser.add_argument(
        "--time-scale", type=float, default=1.0, metavar="N", help="divide the vendor's 23 s and 60 s limits by N"
    )
    parser.add_argument("--journal", type=Path, metavar="FILE", help="append one JSON line for each finished task")


def options_from(arguments: argparse.Namespace) -> EmulatorOptions:
    """Turn parsed arguments into options; reads the files of script, faults and knobs.

    Raises:
        ValueError: An argument or a file is wrong; the message is for the user.
    """
    given = {name: getattr(arguments, name) for name in _ARGUMENTS}
    if arguments.script is not None and arguments.recognizer not in _LOADERS:
        raise ValueError(f"recognizer {arguments.recognizer!r} takes no script")
    return EmulatorOptions(
        **given,
        script=_LOADERS[arguments.recognizer](arguments.script) if arguments.script else None,
        faults=load_faults(arguments.faults) if arguments.faults else (),
        knobs=load_knobs(arguments.knobs) if arguments.knobs else Knobs(),
    )
