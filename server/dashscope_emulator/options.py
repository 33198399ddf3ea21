"""What whoever starts an emulator chooses, in code or on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, get_args

from dashscope_emulator.faults import Fault, load_faults
from dashscope_emulator.knobs import Knobs, load_knobs
from dashscope_emulator.recognizers.markers import MarkerScript, load_markers
from dashscope_emulator.recognizers.script import Script, load_script

RecognizerName = Literal["pocketsphinx", "script", "markers"]
DEFAULT_PORT: Final = 8765


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorOptions:
    """How one emulator runs.

    Attributes:
        host: The address it listens on.
        port: The port; 0 = any free one.
        recognizer: Who hears the audio.
        script: What ``script`` or ``markers`` says; None = the load workload, or words named by their number.
        faults: What goes wrong, and where.
        time_scale: Limits of time are divided by it: with 100 the 23 s rule strikes after 0.23 s.
        api_key: The only key that is accepted; None = any that is not empty.
        tls_cert: Certificate chain in PEM; with ``tls_key`` the emulator speaks TLS.
        tls_key: Its key in PEM.
        journal: A file to which each finished task adds one JSON line; None = none.
        knobs: What is unknown about the vendor.
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
        """Refuse what cannot be meant."""
        if self.recognizer not in get_args(RecognizerName):
            raise ValueError(f"recognizer must be one of {get_args(RecognizerName)}, not {self.recognizer!r}")
        if self.time_scale <= 0:
            raise ValueError(f"time_scale must be above 0, not {self.time_scale}")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        expected = _SCRIPTS.get(self.recognizer, type(None))
        if self.script is not None and not isinstance(self.script, expected):
            raise ValueError(f"recognizer {self.recognizer!r} takes no {type(self.script).__name__}")


_SCRIPTS: Final[Mapping[str, type]] = MappingProxyType({"script": Script, "markers": MarkerScript})
_LOADERS: Final[Mapping[str, Callable[[Path], Script | MarkerScript]]] = MappingProxyType(
    {"script": load_script, "markers": load_markers}
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the emulator's arguments."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="port to listen on, 0 = any free one (%(default)s)"
    )
    parser.add_argument(
        "--recognizer",
        choices=get_args(RecognizerName),
        default="pocketsphinx",
        help="who hears the audio: real US English, a script, or test audio with numbered samples (%(default)s)",
    )
    parser.add_argument("--script", type=Path, metavar="FILE", help="what 'script' or 'markers' says (YAML or JSON)")
    parser.add_argument("--faults", type=Path, metavar="FILE", help="what goes wrong, and where (YAML or JSON)")
    parser.add_argument(
        "--time-scale", type=float, default=1.0, metavar="N", help="divide the 23 s and 60 s limits by N"
    )
    parser.add_argument("--knobs", type=Path, metavar="FILE", help="what is unknown of the vendor (YAML or JSON)")
    parser.add_argument("--api-key", metavar="KEY", help="accept only this key (any that is not empty)")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate chain, PEM")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its key, PEM")
    parser.add_argument("--journal", type=Path, metavar="FILE", help="add a JSON line for each finished task")


def options_from(arguments: argparse.Namespace) -> EmulatorOptions:
    """Turn parsed arguments into options; reads the script and the fault file.

    Raises:
        ValueError: An argument or a file makes no sense; the message is for the user.
    """
    script = None
    if arguments.script is not None:
        if arguments.recognizer not in _LOADERS:
            raise ValueError(f"recognizer {arguments.recognizer!r} takes no script")
        script = _LOADERS[arguments.recognizer](arguments.script)
    return EmulatorOptions(
        host=arguments.host,
        port=arguments.port,
        recognizer=arguments.recognizer,
        script=script,
        faults=load_faults(arguments.faults) if arguments.faults else (),
        time_scale=arguments.time_scale,
        api_key=arguments.api_key,
        tls_cert=arguments.tls_cert,
        tls_key=arguments.tls_key,
        journal=arguments.journal,
        knobs=load_knobs(arguments.knobs) if arguments.knobs else Knobs(),
    )
