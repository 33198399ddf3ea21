"""A terminal, from the side of the person who looks at it."""

import os


def read_all(terminal: int) -> str:
    """Read until the program has closed its end, which a terminal reports as an error; close ours."""
    output = b""
    try:
        while part := os.read(terminal, 65536):
            output += part
    except OSError:
        pass
    os.close(terminal)
    return output.decode()
