"""Ports that are chosen before their server starts.

A port that the system gave and that is closed again may be given to any connection before the server takes it: on a
busy machine that happens. So these lie outside the range that Linux gives from, 32768 to 60999.
"""

from __future__ import annotations

import random
import socket
from typing import Final

_GIVEN_BY_THE_SYSTEM: Final = range(32768, 61000)
_RANGE: Final = range(25_000, 32_700)


def free_port(*further: int) -> int:
    """A port of the loopback interface that nobody listens on, nor on those ``further`` on."""
    while True:
        port = random.choice(_RANGE)
        if all(_can_listen(port + step) for step in (0, *further)):
            return port


def free_ports(count: int) -> list[int]:
    """So many different ones."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)


def free_offset(ports: tuple[int, ...]) -> int:
    """What can be added to all ports so that they are free."""
    while True:
        offset = random.randrange(100, 65_536 - max(ports))
        moved = [port + offset for port in ports]
        if all(port not in _GIVEN_BY_THE_SYSTEM and port not in _RANGE and _can_listen(port) for port in moved):
            return offset


def _can_listen(port: int) -> bool:
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False
