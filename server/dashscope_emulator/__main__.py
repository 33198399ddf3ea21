"""``python -m dashscope_emulator``: the emulator as a process of its own."""

from __future__ import annotations

import argparse

import uvloop

from dashscope_emulator.options import add_arguments, options_from
from dashscope_emulator.server import run


def main() -> None:
    """Run the emulator with the arguments of this process."""
    parser = argparse.ArgumentParser(prog="asr-gateway emulator", description=__doc__)
    add_arguments(parser)
    arguments = parser.parse_args()
    try:
        options = options_from(arguments)
    except ValueError as error:
        parser.error(str(error))
    uvloop.run(run(options))


if __name__ == "__main__":
    main()
