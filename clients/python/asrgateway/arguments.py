"""The command line of ``asr-client``, turned into one record per command."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from asrgateway.audio_file import ENCODINGS
from asrgateway.commands import Command, FileCommand, LoadCommand, MicCommand, ModelsCommand
from asrgateway.connection import add_connection, connection_from, wait_from
from asrgateway.option_values import not_negative, positive_integer, positive_number
from asrgateway.options import add_options, config_from
from asrgateway.outputs import CAPTION_FORMATS, FORMATS
from asrgateway.v1.recognition_pb2 import StreamingConfig

_EXAMPLES: Final = """\
examples:
  asr-client file speech.wav
  asr-client file speech.wav --fast --json > responses.jsonl
  asr-client file speech.wav --output srt > speech.srt
  asr-client file recordings/ more.wav --jobs 8 --output vtt --output-dir captions
  arecord -t raw -f S16_LE -r 16000 | asr-client file -
  asr-client mic --language en-US
  asr-client file call.raw --rate 8000 --language en-US
  asr-client file speech.wav --hotword Kestrel=5 --hotword "Joe Bloggs"
  asr-client load speech.wav --streams 50 --ramp 10 --duration 60
  asr-client models --target gateway.example.com:443 --tls

Transcripts go to standard output, everything else to standard error.
exit status: 0 done, 1 the call failed, 2 wrong usage or unreadable file, 130 interrupted
"""


def parse(arguments: Sequence[str] | None) -> Command:
    """Read the command line.

    Args:
        arguments: Without the program's name; None: those of the process.

    Raises:
        SystemExit: With 2 and a message on standard error for wrong usage; with 0 after ``--help`` and ``--version``.
    """
    parser = _parser()
    values = parser.parse_args(arguments)
    try:
        return _COMMANDS[values.command](values)
    except ValueError as error:
        parser.error(str(error))


def _file_command(values: argparse.Namespace) -> FileCommand:
    return FileCommand(
        connection=connection_from(values),
        paths=tuple(values.paths),
        config=_config_for_output(values),
        jobs=values.jobs,
        is_fast=values.fast,
        output=values.output,
        output_folder=values.output_dir,
        encoding=values.encoding,
        sample_rate_hertz=values.rate,
        channel_count=values.channels,
        timeout_seconds=values.timeout,
        wait_seconds=wait_from(values),
    )


def _mic_command(values: argparse.Namespace) -> MicCommand:
    return MicCommand(
        connection=connection_from(values),
        config=_config_for_output(values),
        output=values.output,
        is_list=values.list_devices,
        device=values.device,
        sample_rate_hertz=values.rate,
        is_push_to_talk=values.push_to_talk,
        duration_seconds=values.duration,
        wait_seconds=wait_from(values),
    )


def _config_for_output(values: argparse.Namespace) -> StreamingConfig:
    """Return the options; captions need the times of words."""
    config = config_from(values)
    if values.output in CAPTION_FORMATS:
        config.features.enable_word_time_offsets = True
    return config


def _load_command(values: argparse.Namespace) -> LoadCommand:
    return LoadCommand(
        connection=connection_from(values),
        path=values.path,
        config=config_from(values),
        streams=values.streams,
        ramp_seconds=values.ramp,
        duration_seconds=values.duration,
        is_json=values.json,
        encoding=values.encoding,
        sample_rate_hertz=values.rate,
        channel_count=values.channels,
    )


def _models_command(values: argparse.Namespace) -> ModelsCommand:
    return ModelsCommand(connection=connection_from(values), is_json=values.json, wait_seconds=wait_from(values))


_COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace], Command]]] = {
    "file": _file_command,
    "mic": _mic_command,
    "load": _load_command,
    "models": _models_command,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asr-client",
        description="Speech to text through the speech-recognition gateway. 'asr-client COMMAND --help' says more.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"asr-client {version('asrgateway')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_file(commands)
    _add_mic(commands)
    _add_models(commands)
    _add_load(commands)
    return parser


def _add_file(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    file = commands.add_parser(
        "file",
        help="recognise recordings",
        usage="asr-client file [OPTION]... PATH...",
        description=(
            "Send recordings at speaking speed and print one line per utterance. With several recordings each line\n"
            "begins with the name of its recording or, where the output is not a terminal, its number from 0 and a tab."
        ),
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    file.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="a recording, a folder with recordings (.wav, .pcm, .raw), or '-' for raw audio from standard input",
    )
    file.add_argument("--fast", action="store_true", help="send as fast as the gateway accepts it")
    _add_output(file)
    file.add_argument("--output-dir", type=Path, metavar="DIR", help="write a file for each recording into this folder")
    file.add_argument(
        "--jobs",
        type=positive_integer,
        default=4,
        metavar="N",
        help="how many recordings are sent at the same time (default: %(default)s)",
    )
    file.add_argument("--timeout", type=positive_number, metavar="S", help="seconds for each recording")
    _add_audio(file)
    add_options(file)
    add_connection(file)


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        choices=FORMATS,
        default="txt",
        metavar="FORMAT",
        help="txt: one line per utterance (default); json: every response; srt or vtt: captions with times",
    )
    parser.add_argument("--json", dest="output", action="store_const", const="json", help="the same as --output json")


def _add_audio(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("format of the audio")
    group.add_argument(
        "--rate",
        type=positive_integer,
        metavar="HZ",
        help="samples per second: raw files need it, standard input has 16000 by default",
    )
    group.add_argument("--channels", type=positive_integer, metavar="N", help="channels of raw audio (default: 1)")
    group.add_argument(
        "--encoding",
        choices=ENCODINGS,
        metavar="E",
        help=f"what the bytes are: {', '.join(ENCODINGS)} (default: by the file's name)",
    )


def _add_mic(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    mic = commands.add_parser(
        "mic",
        help="recognise what you say into a microphone",
        usage="asr-client mic [OPTION]...",
        description=(
            "Send what a microphone records and print one line per utterance. The space bar ends the utterance, q\n"
            "ends the recording and waits for the last text, Ctrl-C stops at once. It needs the package sounddevice:\n"
            "pip install 'asrgateway[mic]'"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    mic.add_argument("--list-devices", action="store_true", help="print the microphones and exit")
    mic.add_argument("--device", metavar="D", help="number or part of the name of a microphone (default: the system's)")
    mic.add_argument(
        "--push-to-talk",
        action="store_true",
        help="send nothing until the space bar is pressed; the next press ends the utterance, whose text is final then",
    )
    mic.add_argument("--duration", type=positive_number, metavar="S", help="end the recording after so many seconds")
    mic.add_argument(
        "--rate", type=positive_integer, metavar="HZ", help="samples per second (default: 16000, or the device's own)"
    )
    _add_output(mic)
    add_options(mic)
    add_connection(mic)


def _add_models(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    models = commands.add_parser(
        "models",
        help="list the models of the gateway",
        description="List the models of the gateway and their aliases.",
        allow_abbrev=False,
    )
    models.add_argument("--json", action="store_true", help="print JSON, not a table")
    add_connection(models)


def _add_load(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    load = commands.add_parser(
        "load",
        help="send a recording many times at once, and measure",
        usage="asr-client load [OPTION]... PATH",
        description=(
            "Send a recording in many streams at speaking speed, again and again until the time is up. Then print how\n"
            "long the first text and each final result took, how much audio was lost, and which errors there were.\n"
            "The result lag of a final result begins when the audio at its end is sent, so it holds the silence that\n"
            "the recogniser waits for. If audio is 'sent later than due', this machine or the gateway is too slow."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    load.add_argument("path", type=Path, metavar="PATH", help="the recording, such as speech.wav")
    load.add_argument(
        "--streams", type=positive_integer, default=10, metavar="N", help="streams at the same time (default: 10)"
    )
    load.add_argument(
        "--ramp", type=not_negative, default=0.0, metavar="S", help="seconds in which they begin (default: 0)"
    )
    load.add_argument(
        "--duration", type=positive_number, default=30.0, metavar="S", help="seconds after that (default: 30)"
    )
    load.add_argument("--json", action="store_true", help="print JSON, not a table")
    _add_audio(load)
    add_options(load)
    add_connection(load, can_wait=False)
