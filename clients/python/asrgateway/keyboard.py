"""Single keys of a terminal, without the enter key after them."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def pressed_keys(descriptor: int, on_key: Callable[[str], None]) -> Iterator[None]:
    """Call ``on_key`` for each key that is pressed; nothing happens where there is no terminal.

    Args:
        descriptor: Of the terminal.
        on_key: Gets one character.
    """
    if not os.isatty(descriptor):
        yield
        return
    import termios  # noqa: PLC0415 - Windows has neither, and all other commands work there
    import tty  # noqa: PLC0415

    def read() -> None:
        for character in os.read(descriptor, 64).decode(errors="ignore"):
            on_key(character)

    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, read)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
