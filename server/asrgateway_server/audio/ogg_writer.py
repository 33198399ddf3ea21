"""Packets to Ogg pages of one stream.

Source: RFC 3533.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from asrgateway_server.audio.ogg import FIRST, FULL_SEGMENT, HEADER, LAST, MAGIC, checksum

_CHECKSUM: Final = slice(22, 26)


class OggWriter:
    """Writes pages that begin and end with a packet. Its stream has number 1: whoever reads it has no other."""

    def __init__(self) -> None:
        self._sequence = 0

    def page(self, packets: Sequence[bytes], position: int, *, is_last: bool = False) -> bytes:
        """Return one page.

        Args:
            packets: What is on it: at most 255 segments of 255 bytes.
            position: Where the stream is after it, in the codec's own counting.
            is_last: The stream ends with it.
        """
        segments = b"".join(
            bytes([FULL_SEGMENT]) * (len(packet) // FULL_SEGMENT) + bytes([len(packet) % FULL_SEGMENT])
            for packet in packets
        )
        flags = (0 if self._sequence else FIRST) | (LAST if is_last else 0)
        header = HEADER.pack(MAGIC, 0, flags, position, 1, self._sequence, 0, len(segments))
        self._sequence += 1
        page = bytearray(b"".join((header, segments, *packets)))
        page[_CHECKSUM] = checksum(bytes(page)).to_bytes(4, "little")
        return bytes(page)
