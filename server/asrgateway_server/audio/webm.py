"""WebM, as browsers record it, to Opus packets.

The parts of a file are read one after the other, those that hold others like the others: so it does not matter whether
their sizes are known, and a stream may be joined at any cluster.

Source: RFC 8794 (EBML); RFC 9559 (Matroska).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from asrgateway_server.audio import opus
from asrgateway_server.audio.packets import Packet, Unit, refused, whole
from asrgateway_server.config import AudioFormat

_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_TRACKS, _TRACK, _AUDIO, _GROUP = 0x1654AE6B, 0xAE, 0xE1, 0xA0
_NUMBER, _CODEC, _SETUP, _DELAY, _ENCODINGS = 0xD7, 0x86, 0x63A2, 0x56AA, 0x6D80
_SIMPLE_BLOCK, _BLOCK, _PADDING = 0xA3, 0xA1, 0x75A2
_CONTAINERS: Final = (_SEGMENT, _CLUSTER, _TRACKS, _TRACK, _AUDIO, _GROUP)
_BLOCKS: Final = (_SIMPLE_BLOCK, _BLOCK)
# Others that may stand in a group beside its block.
_IN_GROUP: Final = (0x9B, 0xFB, _PADDING)
_BEGINNINGS: Final = re.compile(rb"\x1a\x45\xdf\xa3|\x1f\x43\xb6\x75")
_LONGEST_BEGINNING: Final = 4
_MOST_VALUE_BYTES: Final = 4096
_MOST_BLOCK_BYTES: Final = 256 * 1024
_MOST_TRACKS: Final = 100


@dataclass(slots=True)
class _Track:
    number: int = 0
    codec: bytes = b""
    setup: bytes = b""
    delay_samples: int | None = None
    is_encoded: bool = False


class WebmFramer:
    """Takes WebM, returns the packets of its first track in Opus; see ``Framer``."""

    def __init__(self, _: AudioFormat) -> None:
        self.stray_bytes = 0
        self._pending = b""
        self._skipped_bytes = 0
        self._is_synchronised = False
        self._tracks: list[_Track] = []
        self._track: int | None = None
        self._is_open = False
        self._held: bytes | None = None

    def feed(self, data: bytes) -> list[Unit]:
        """See ``Framer``."""
        self._pending += data
        units: list[Unit] = []
        while self._advance(units):
            pass
        return units

    def flush(self) -> list[Unit]:
        """See ``Framer``."""
        units: list[Unit] = []
        self._release(units)
        return units

    def _advance(self, units: list[Unit]) -> bool:
        """Take one part off the pending bytes; False if it needs more of them."""
        if self._skipped_bytes:
            skipped = min(self._skipped_bytes, len(self._pending))
            self._skipped_bytes -= skipped
            self._pending = self._pending[skipped:]
        if not self._is_synchronised and not self._search():
            return False
        name, start = _number(self._pending, 0, 4, is_name=True)
        if name is None:
            return self._lose(start)
        size, start = _number(self._pending, start, 8)
        if size is None:
            return self._lose(start)
        if name != _BLOCK and name not in _IN_GROUP:
            self._release(units)
        if name in _CONTAINERS:
            self._enter(name)
            self._pending = self._pending[start:]
            return True
        return self._read(name, start, size, units)

    def _read(self, name: int, start: int, size: int, units: list[Unit]) -> bool:
        """Read or pass over a part that holds no others."""
        is_block = name in _BLOCKS
        if size < 0 or (is_block and size > _MOST_BLOCK_BYTES):
            return self._lose(1)
        if is_block or (name in _VALUES and size <= _MOST_VALUE_BYTES):
            if len(self._pending) < start + size:
                return False
            body = self._pending[start : start + size]
            self._pending = self._pending[start + size :]
            self._take(name, body, units)
            return True
        if name == _EBML:
            self._tracks, self._track = [], None
        self._pending, self._skipped_bytes = self._pending[start:], size
        return True

    def _take(self, name: int, body: bytes, units: list[Unit]) -> None:
        self.stray_bytes = 0
        if name == _SIMPLE_BLOCK:
            self._blocks(body, units)
        elif name == _BLOCK:
            self._release(units)
            self._held = body
        elif name == _PADDING:
            held, self._held = self._held, None
            self._blocks(held or b"", units, int.from_bytes(body, "big", signed=True) * opus.RATE_HERTZ // 10**9)
        elif self._tracks:
            _VALUES[name](self._tracks[-1], body)

    def _enter(self, name: int) -> None:
        if name == _TRACK:
            if len(self._tracks) >= _MOST_TRACKS:
                raise refused(f"the WebM header is broken: it has more than {_MOST_TRACKS} tracks")
            self._tracks.append(_Track())

    def _release(self, units: list[Unit]) -> None:
        """Return the block of a group that has ended."""
        held, self._held = self._held, None
        if held is not None:
            self._blocks(held, units)

    def _blocks(self, body: bytes, units: list[Unit], padding_samples: int = 0) -> None:
        track, start = _number(body, 0, 8)
        if track is None or len(body) < start + 3:
            return
        if self._track is None:
            self._choose(track, units)
        if track != self._track:
            return
        packets = [
            packet for packet in _LACES[body[start + 2] >> 1 & 3](body[start + 3 :]) if opus.packet_samples(packet)
        ]
        if packets and not self._is_open:
            units.append(opus.stream_from_packet(packets[0]))
            self._is_open = True
        units.extend(whole(packet, opus.packet_samples(packet)) for packet in packets)
        if packets and padding_samples > 0:
            samples = opus.packet_samples(packets[-1])
            units[-1] = Packet(packets[-1], samples, max(0, samples - padding_samples))

    def _choose(self, number: int, units: list[Unit]) -> None:
        """Take the first track in Opus; without a header, the first one that comes."""
        if not self._tracks:
            self._track, self._is_open = number, False
            return
        track = next((track for track in self._tracks if track.codec == b"A_OPUS" and not track.is_encoded), None)
        if track is None:
            codecs = ", ".join(track.codec.decode("ascii", "replace")[:40] for track in self._tracks[:4])
            raise refused(f"the WebM file holds {codecs}; A_OPUS that is not compressed or encrypted again is taken")
        self._track, self._is_open = track.number, bool(track.setup)
        if track.setup:
            units.append(opus.stream_from_head(track.setup, track.delay_samples))

    def _search(self) -> bool:
        """Go to where a file or a cluster begins; False if none is there."""
        found = _BEGINNINGS.search(self._pending)
        end = found.start() if found else max(0, len(self._pending) - _LONGEST_BEGINNING + 1)
        self.stray_bytes += end
        self._pending = self._pending[end:]
        self._is_synchronised = found is not None
        return self._is_synchronised

    def _lose(self, start: int) -> bool:
        """Look for the next beginning if what stands here is no part of a file; wait if it is not whole."""
        if not start:
            return False
        self._is_synchronised = False
        self._pending = self._pending[1:]
        self.stray_bytes += 1
        return True


def _number(data: bytes, start: int, most_bytes: int, *, is_name: bool = False) -> tuple[int | None, int]:
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


def _set_number(track: _Track, body: bytes) -> None:
    track.number = int.from_bytes(body, "big")


def _set_codec(track: _Track, body: bytes) -> None:
    track.codec = body.rstrip(b"\0")


def _set_setup(track: _Track, body: bytes) -> None:
    track.setup = body


def _set_delay(track: _Track, body: bytes) -> None:
    track.delay_samples = int.from_bytes(body, "big") * opus.RATE_HERTZ // 10**9


def _set_encoded(track: _Track, _body: bytes) -> None:
    track.is_encoded = True


_VALUES: Final[dict[int, Callable[[_Track, bytes], None]]] = {
    _NUMBER: _set_number,
    _CODEC: _set_codec,
    _SETUP: _set_setup,
    _DELAY: _set_delay,
    _ENCODINGS: _set_encoded,
    _PADDING: lambda _track, _body: None,
}


# Laces: several packets in one block ------------------------------------------------------------------------------


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
    for number in range(data[0] if data else 0):
        start = position
        value, position = _number(data, position, 8)
        if value is None:
            return []
        # All but the first are differences, whose middle value is zero.
        middle = (1 << 7 * (position - start) - 1) - 1
        sizes.append(value if number == 0 else sizes[-1] + value - middle)
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
