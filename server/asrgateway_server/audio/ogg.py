"""Ogg pages, cut anywhere, to the packets in them, as soon as each is whole.

Source: RFC 3533.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

MAGIC: Final = b"OggS"
HEADER: Final = struct.Struct("<4sBBqIIIB")
#: What the flags of a page say: its first packet began earlier; the stream begins, or ends, with it.
CONTINUED, FIRST, LAST = 1, 2, 4
FULL_SEGMENT: Final = 255
#: No codec here has larger ones; a larger packet, such as one with a picture, is passed over.
_MOST_PACKET_BYTES: Final = 128 * 1024
# Pages that are none: so many are examined at once, and so much waits meanwhile.
_MOST_FALSE_PAGES: Final = 16
_MOST_PENDING_BYTES: Final = 256 * 1024
# Ogg's checksum is zlib's with the bits of each byte, and of the result, in the other order.
_MIRRORED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(slots=True)
class OggPage:
    """A page, or the part of it that has come.

    Attributes:
        serial: Which of several streams it belongs to.
        position: Where the stream is after it, in the codec's own counting; -1: no packet ends here.
        is_first: The stream begins with it.
        is_last: The stream ends with it.
        is_after_loss: Pages before it are missing. It is then given as a whole.
        packet_count: How many packets end on it.
        is_begun: Part of it was given before.
        is_whole: This is the rest of it.
        packets: Those that became complete.
    """

    serial: int
    position: int
    is_first: bool
    is_last: bool
    is_after_loss: bool
    packet_count: int
    is_begun: bool = False
    is_whole: bool = False
    packets: list[bytes] = field(default_factory=list)


class OggReader:
    """Takes pages of one stream or several, returns the packets of one.

    Attributes:
        stray_bytes: How many bytes in a row belonged to no page.

    Args:
        head: How the first packet of a stream begins that is wanted.
    """

    def __init__(self, head: bytes) -> None:
        self.stray_bytes = 0
        self._head = head
        self._pending = b""
        self._is_synchronised = False
        self._serial: int | None = None
        self._sequence: int | None = None
        self._page: OggPage | None = None
        self._is_wanted = False
        self._segments = b""
        self._packet: bytearray | None = None
        self._false_pages = 0

    def feed(self, data: bytes) -> Iterator[OggPage]:
        """Return the pages that ``data`` completes or continues."""
        self._pending += data
        self._false_pages = 0
        while self._false_pages < _MOST_FALSE_PAGES:
            if self._page is None and not self._open():
                return
            page = self._page
            if page is None:
                continue
            is_wanted = self._read_segments(page)
            if is_wanted and (page.packets or page.is_whole):
                yield page
            if not page.is_whole:
                page.is_begun, page.packets = page.is_begun or bool(page.packets), []
                return
            self._page = None

    def _open(self) -> bool:
        """Read the header of a page, or look for one; False if that needs more bytes."""
        if len(self._pending) < HEADER.size:
            return False
        magic, version, flags, position, serial, sequence, expected, count = HEADER.unpack_from(self._pending)
        if magic != MAGIC or version:
            return self._search()
        start = HEADER.size + count
        if len(self._pending) < start:
            return False
        segments = self._pending[HEADER.size : start]
        is_next = serial != self._serial or sequence == self._sequence
        if not (self._is_synchronised and is_next) or flags & FIRST:
            size = start + sum(segments)
            if len(self._pending) < size:
                return False
            if checksum(self._pending[:size]) != expected:
                return self._search()
        self._is_synchronised = True
        self.stray_bytes = 0
        self._segments, self._pending = segments, self._pending[start:]
        self._page = OggPage(
            serial=serial,
            position=position,
            is_first=bool(flags & FIRST),
            is_last=bool(flags & LAST),
            is_after_loss=not is_next,
            packet_count=sum(size < FULL_SEGMENT for size in segments),
        )
        self._choose(self._page)
        if self._is_wanted:
            self._sequence = sequence + 1 & 0xFFFFFFFF
            self._continue(is_continued=bool(flags & CONTINUED), is_next=is_next)
        return True

    def _choose(self, page: OggPage) -> None:
        """Note whether a page is of the stream that is read: the last one with the right head, or the first of all."""
        if page.is_first:
            if self._pending.startswith(self._head):
                self._serial, self._sequence, page.is_after_loss = page.serial, None, False
        elif self._serial is None:
            self._serial = page.serial
            page.is_after_loss = False
        self._is_wanted = page.serial == self._serial

    def _continue(self, *, is_continued: bool, is_next: bool) -> None:
        """Keep the packet that began on the page before if this one has its rest; else begin anew."""
        if is_continued and (self._packet is None or not is_next):
            self._packet = None  # Its beginning is missing.
        elif not is_continued:
            self._packet = bytearray()

    def _read_segments(self, page: OggPage) -> bool:
        """Take the segments that have come."""
        used, start = 0, 0
        for size in self._segments:
            if start + size > len(self._pending):
                break
            self._add(page, self._pending[start : start + size], is_end=size < FULL_SEGMENT)
            used, start = used + 1, start + size
        self._segments, self._pending = self._segments[used:], self._pending[start:]
        page.is_whole = not self._segments
        return self._is_wanted

    def _add(self, page: OggPage, segment: bytes, *, is_end: bool) -> None:
        if not self._is_wanted:
            return
        if self._packet is not None:
            self._packet += segment
            if len(self._packet) > _MOST_PACKET_BYTES:
                self._packet = None
        if is_end:
            if self._packet is not None:
                page.packets.append(bytes(self._packet))
            self._packet = bytearray()

    def _search(self) -> bool:
        """Go to where the next page may begin."""
        self._is_synchronised = False
        self._packet = None
        self._false_pages += 1
        if len(self._pending) > _MOST_PENDING_BYTES:
            self.stray_bytes += len(self._pending)
            self._pending = b""
            return True
        found = self._pending.find(MAGIC, 1)
        end = found if found >= 0 else len(self._pending) - len(MAGIC) + 1
        self.stray_bytes += end
        self._pending = self._pending[end:]
        return True


def checksum(page: bytes) -> int:
    """Return what the checksum of a page should be, whatever stands in its place."""
    blank = page[:22] + bytes(4) + page[26:]
    mirrored = zlib.crc32(blank.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_MIRRORED), "big")
