"""The command that runs the emulator: arguments in, its end to an exit code."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import uvloop

from dashscope_emulator.options import add_arguments, options_from
from dashscope_emulator.server import run


def main(arguments: Sequence[str] | None = None, program: str = "python -m dashscope_emulator") -> None:
    """Run the emulator until SIGTERM or Ctrl-C.

    Args:
        arguments: Those behind the command; None: those of this process.
        program: What the help calls the command.

    Raises:
        SystemExit: An argument is wrong (2), or it cannot listen (1); standard error says why.
    """
    parser = argparse.ArgumentParser(prog=program)
    add_arguments(parser)
    try:
        options = options_from(parser.parse_args(arguments))
    except ValueError as error:
        parser.error(str(error))
    try:
        uvloop.run(run(options))
    except OSError as error:
        parser.exit(1, f"cannot listen on {options.host}:{options.port}: {error.strerror or error}\n")
