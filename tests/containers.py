"""Ogg pages, WebM parts and FLAC frames built by hand, right and wrong ones."""

from __future__ import annotations

import struct

from asrgateway_server.audio.flac import crc8

FIRST, LAST, CONTINUED = 2, 4, 1


def _divided(crc: int) -> int:
    for _ in range(8):
        crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


_TABLE = [_divided(byte << 24) for byte in range(256)]


def checksum(page: bytes) -> int:
    """Ogg's checksum, as RFC 3533 has it."""
    crc = 0
    for byte in page:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _TABLE[crc >> 24 ^ byte]
    return crc


def ogg_page(
    packets: list[bytes], *, position: int, sequence: int, serial: int = 7, flags: int = 0, is_open: bool = False
) -> bytes:
    """A page of whole packets; with ``is_open`` the last one, of a multiple of 255 bytes, goes on."""
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes((len(packet) % 255,)) for packet in packets)
    if is_open:
        lacing = lacing[:-1]

    def page(crc: int) -> bytes:
        head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, position, serial, sequence, crc, len(lacing))
        return head + lacing + b"".join(packets)

    return page(checksum(page(0)))


def opus_head(*, channels: int = 1, skipped: int = 0, version: int = 1, family: int = 0) -> bytes:
    """The first packet of Opus in Ogg."""
    return struct.pack("<8sBBHIhB", b"OpusHead", version, channels, skipped, 48_000, 0, family)


OPUS_TAGS = b"OpusTags" + bytes(8)
#: 20 ms of silence.
OPUS_SILENCE = b"\xf8\xff\xfe"


def part(name: int, body: bytes, *, size: bytes | None = None) -> bytes:
    """A part of a WebM file; ``size`` replaces the true one."""
    length = (len(body) | 1 << 28).to_bytes(4, "big") if size is None else size
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + length + body


UNKNOWN = b"\x01" + b"\xff" * 7


def track(*, number: int = 1, codec: bytes = b"A_OPUS", setup: bytes = b"", more: bytes = b"") -> bytes:
    """A track of a WebM file."""
    setup = part(0x63A2, setup) if setup else b""
    return part(0xAE, part(0xD7, bytes((number,))) + part(0x86, codec) + setup + more)


def webm_header(*tracks: bytes) -> bytes:
    """What comes before the first cluster."""
    ebml, segment = part(0x1A45DFA3, part(0x4282, b"webm")), part(0x18538067, b"", size=UNKNOWN)
    return ebml + segment + part(0x1654AE6B, b"".join(tracks))


def cluster(*blocks: bytes, ticks: int = 0) -> bytes:
    """A cluster of unknown size, as browsers write it."""
    return part(0x1F43B675, part(0xE7, ticks.to_bytes(4, "big")) + b"".join(blocks), size=UNKNOWN)


def block(payload: bytes, *, number: int = 1, lacing: int = 0, ticks: int = 0) -> bytes:
    """A simple block."""
    return part(0xA3, bytes((0x80 | number, ticks >> 8, ticks & 0xFF, lacing << 1)) + payload)


def flac_info(*, rate: int = 16_000, channels: int = 1, bits: int = 16) -> bytes:
    """The beginning of a FLAC stream."""
    packed = rate << 44 | (channels - 1) << 41 | (bits - 1) << 36
    return b"fLaC\x80\0\0\x22" + struct.pack(">HH6xQ16x", 16, 65_535, packed)


_FLAC_RATES = {8_000: 4, 16_000: 5, 44_100: 9}


def flac_frame(number: int, *, samples: int = 4_096, value: int = 0, rate: int = 16_000) -> bytes:
    """A frame of 16-bit mono whose samples are all equal: 14 bytes, however many they are."""
    assert number < 128
    head = struct.pack(">BBBBBH", 0xFF, 0xF8, 0x70 | _FLAC_RATES[rate], 0x08, number, samples - 1)
    return head + bytes((crc8(head),)) + struct.pack(">BhH", 0, value, 0)
