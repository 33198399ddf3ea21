"""Ogg pages, cut anywhere, to the packets in them. Pure.

Source: RFC 3533.
"""

from __future__ import annotations

import struct
from typing import Final

from dashscope_emulator.plain_audio import UndecodableAudio

MAGIC: Final = b"OggS"
_PAGE: Final = struct.Struct("<4sBBqIIIB")
_LARGEST_SEGMENT: Final = 255
_MAX_PACKET_BYTES: Final = 1024 * 1024
_MAX_STRAY_BYTES: Final = 64 * 1024


class OggPackets:
    """Takes pages, returns packets."""

    def __init__(self) -> None:
        self._pending = b""
        self._packet = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes; return the packets that became complete.

        Raises:
            UndecodableAudio: This is no Ogg file.
        """
        self._pending += data
        packets: list[bytes] = []
        while len(self._pending) >= _PAGE.size:
            if not self._pending.startswith(MAGIC):
                self._resynchronise()
                continue
            count = self._pending[_PAGE.size - 1]
            start = _PAGE.size + count
            sizes = self._pending[_PAGE.size : start]
            if len(sizes) < count or len(self._pending) < start + sum(sizes):
                break
            for size in sizes:
                self._packet += self._pending[start : start + size]
                start += size
                if size < _LARGEST_SEGMENT:
                    packets.append(bytes(self._packet))
                    self._packet.clear()
            self._pending = self._pending[start:]
            if len(self._packet) > _MAX_PACKET_BYTES:
                raise UndecodableAudio("a packet without end in the Ogg file")
        return packets

    def _resynchronise(self) -> None:
        """Continue at the next page: some bytes were lost or do not belong here."""
        at = self._pending.find(MAGIC)
        if at < 0 and len(self._pending) > _MAX_STRAY_BYTES:
            raise UndecodableAudio("no Ogg file")
        self._pending = self._pending[at:] if at >= 0 else self._pending[-_PAGE.size + 1 :]
        self._packet.clear()
