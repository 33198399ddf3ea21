"""``python -m dashscope_emulator``: the emulator in a process of its own."""

from __future__ import annotations

import argparse

import uvloop

from dashscope_emulator.options import add_arguments, options_from
from dashscope_emulator.server import run


def main() -> None:
    """Run the emulator with the arguments of this process."""
    parser = argparse.ArgumentParser(prog="python -m dashscope_emulator")
    add_arguments(parser)
    try:
        options = options_from(parser.parse_args())
    except ValueError as error:
        parser.error(str(error))
    try:
        uvloop.run(run(options))
    except OSError as error:
        parser.exit(1, f"cannot listen on {options.host}:{options.port}: {error.strerror or error}\n")


if __name__ == "__main__":
    main()
