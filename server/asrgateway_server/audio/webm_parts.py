"""The parts of a WebM file: how each begins, where it may stand, and how large it may be.

Source: RFC 8794 (EBML), sections 4 and 5; RFC 9559 (Matroska), section 5.1.
"""

from __future__ import annotations

import sys
from typing import Final, NamedTuple

EBML, SEGMENT, INFO, TRACKS, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675
_SEEK, _CUES, _CHAPTERS, _ATTACHMENTS, _TAGS = 0x114D9B74, 0x1C53BB6B, 0x1043A770, 0x1941A469, 0x1254C367
TICK, TRACK, _AUDIO = 0x2AD7B1, 0xAE, 0xE1
NUMBER, CODEC, SETUP, DELAY, ENCODINGS = 0xD7, 0x86, 0x63A2, 0x56AA, 0x6D80
TIME, SIMPLE_BLOCK, GROUP, BLOCK, PADDING = 0xE7, 0xA3, 0xA0, 0xA1, 0x75A2
_VOID, _CRC = 0xEC, 0xBF
BLOCKS: Final = (SIMPLE_BLOCK, BLOCK)
TOP: Final = frozenset((EBML, SEGMENT, INFO, TRACKS, CLUSTER, _SEEK, _CUES, _CHAPTERS, _ATTACHMENTS, _TAGS))
#: Those whose parts are read like others, so that it does not matter whether their sizes are known.
CONTAINERS: Final = frozenset((SEGMENT, INFO, TRACKS, CLUSTER, TRACK, _AUDIO, GROUP))
#: Those that hold a number of at most 64 bits.
NUMBERS: Final = frozenset((TIME, 0xA7, 0xAB, 0x9B, 0xFA, 0xFB, 0xFD, PADDING))
#: What may stand in a group: its block, and what is said of that.
IN_GROUP: Final = frozenset((BLOCK, 0x9B, 0xFA, 0xFB, 0xFD, PADDING, 0xA4, 0x75A1, 0x8E, 0xC8, _VOID, _CRC))

# Names of four bytes, as all at the top have, begin here.
_TOP: Final = 0x10000000
_ANY_SIZE: Final = sys.maxsize
_MOST_BLOCK_BYTES: Final = 256 * 1024
_MOST_OTHER_BYTES: Final = 64 * 1024
_ANYWHERE: Final = dict.fromkeys(TOP | CONTAINERS, _ANY_SIZE) | dict.fromkeys(BLOCKS, _MOST_BLOCK_BYTES)
_OUTSIDE: Final = _ANYWHERE | {_VOID: _ANY_SIZE}
_IN_CLUSTER: Final = (
    dict.fromkeys(IN_GROUP | {0x5854, 0xAF}, _MOST_OTHER_BYTES)
    | dict.fromkeys(TOP | {GROUP}, _ANY_SIZE)
    | dict.fromkeys(BLOCKS, _MOST_BLOCK_BYTES)
    | dict.fromkeys(NUMBERS, 8)
    | {_CRC: 4}
)


class Part(NamedTuple):
    """A part of a file, without what it holds.

    Attributes:
        name: What it is; 0 if it is nothing that may stand there.
        start: Where what it holds begins.
        size: How many bytes that has; -1 if it is not known.
    """

    name: int
    start: int
    size: int

    @property
    def end(self) -> int:
        """Where the next part begins; for one that holds parts, its first."""
        return self.start if self.name in CONTAINERS else self.start + self.size


NO_PART: Final = Part(0, 0, 0)


def part_at(data: bytes, position: int, *, is_in_cluster: bool) -> Part | None:
    """Return the part that begins at a position; ``NO_PART`` if none does, None if that needs more bytes."""
    name, start = number(data, position, 4, is_name=True)
    if name is None:
        return NO_PART if start else None
    most = _IN_CLUSTER.get(name) if is_in_cluster else _OUTSIDE.get(name, _MOST_OTHER_BYTES if name < _TOP else None)
    if most is None:
        return NO_PART
    size, start = number(data, start, 8)
    if size is None:
        return NO_PART if start else None
    if size > most or (size < 0 and name not in CONTAINERS):
        return NO_PART
    return Part(name, start, size)


def number(data: bytes, start: int, most_bytes: int, *, is_name: bool = False) -> tuple[int | None, int]:
    """Return a number of variable length and where it ends.

    The number is -1 for a size that is not known; None, and 0, if more bytes are needed; None, and 1, if there is none.
    """
    if start >= len(data):
        return None, 0
    length = 9 - data[start].bit_length()
    if length > most_bytes:
        return None, 1
    end = start + length
    if len(data) < end:
        return None, 0
    value = int.from_bytes(data[start:end], "big")
    if is_name:
        return value, end
    ones = (1 << 7 * length) - 1
    return (-1 if value & ones == ones else value & ones), end
