"""Laces: several packets in one block of WebM.

Source: RFC 9559 (Matroska), section 10.3.
"""

from __future__ import annotations

from typing import Final

from asrgateway_server.audio.webm_parts import number


def _one(data: bytes) -> list[bytes]:
    return [data]


def _xiph(data: bytes) -> list[bytes]:
    sizes, position = [], 1
    for _ in range(data[0] if data else 0):
        size = 0
        while position < len(data):
            size += data[position]
            position += 1
            if data[position - 1] < 255:
                break
        sizes.append(size)
    return _cut(data, position, sizes)


def _fixed(data: bytes) -> list[bytes]:
    count = data[0] + 1 if data else 1
    size = (len(data) - 1) // count
    return _cut(data, 1, [size] * (count - 1))


def _ebml(data: bytes) -> list[bytes]:
    sizes: list[int] = []
    position = 1
    for index in range(data[0] if data else 0):
        start = position
        value, position = number(data, position, 8)
        if value is None:
            return []
        # All but the first are differences, whose middle value is zero.
        middle = (1 << 7 * (position - start) - 1) - 1
        sizes.append(value if index == 0 else sizes[-1] + value - middle)
    return _cut(data, position, sizes)


def _cut(data: bytes, start: int, sizes: list[int]) -> list[bytes]:
    """Return packets of given sizes and the rest; nothing if they do not fit."""
    packets = []
    for size in sizes:
        if size < 0 or start + size > len(data):
            return []
        packets.append(data[start : start + size])
        start += size
    return [*packets, data[start:]]


_LACES: Final = (_one, _xiph, _fixed, _ebml)


def lace(flags: int) -> int:
    """Return the kind of lace that a block's flags say; 0: it holds one packet."""
    return flags >> 1 & 3


def opened(flags: int, data: bytes) -> list[bytes]:
    """Return the packets of a block with such flags; none if its lace is broken."""
    return _LACES[lace(flags)](data)
