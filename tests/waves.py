"""WAV files built by hand, right and wrong ones."""

from __future__ import annotations

import struct

PCM = 1
FLOAT = 3
EXTENSIBLE = 0xFFFE


def part(name: bytes, body: bytes, size: int | None = None) -> bytes:
    """A part with the padding that makes its length even; ``size`` replaces the true one."""
    return struct.pack("<4sI", name, len(body) if size is None else size) + body + b"\0" * (len(body) % 2)


def fmt(*, rate: int = 16_000, channels: int = 1, bits: int = 16, tag: int = PCM, more: bytes = b"") -> bytes:
    frame = channels * bits // 8
    return part(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits) + more)


def extensible(tag: int, bits: int = 16) -> bytes:
    """A format whose true tag stands in the first two bytes of its sub-format."""
    subformat = struct.pack("<H", tag) + bytes.fromhex("000000001000800000aa00389b71")
    return fmt(tag=EXTENSIBLE, bits=bits, more=struct.pack("<HHI", 22, bits, 4) + subformat)


def wav(*parts: bytes) -> bytes:
    body = b"".join((b"WAVE", *parts))
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def samples(pcm: bytes, size: int | None = None) -> bytes:
    return part(b"data", pcm, size)
