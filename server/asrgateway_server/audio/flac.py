"""FLAC to packets: a frame ends where the next one begins.

Source: RFC 9639.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from asrgateway_server.audio.packets import Gap, Stream, Unit, refused, whole
from asrgateway_server.audio.sniff import ID3_BYTES, ID3_TAG, id3_tag_bytes
from asrgateway_server.config import AudioFormat

_MAGIC: Final = b"fLaC"
_BLOCK_BYTES: Final = 4
_STREAM_INFO_BYTES: Final = 34
_HEADER_BYTES: Final = 16
# Where something begins: a frame, a stream, or a tag.
_BEGINNINGS: Final = re.compile(
    rb"\xff[\xf8\xf9][\x10-\xff][\x00-\xaf]|fLaC[\x00\x80]\x00\x00\x22|" + ID3_TAG, re.DOTALL
)
_RATES_HERTZ: Final = (0, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
_BLOCK_SAMPLES: Final = {
    1: 192,
    **{code: 144 << code for code in range(2, 6)},
    **{code: 1 << code for code in range(8, 16)},
}
_LONGEST_GAP_SECONDS: Final = 10
# Of all channels together: 16,384 in each of 8, or 65,535 in each of 2. More would take too long at once.
_MOST_SAMPLES: Final = 16_384 * 8


def _crc_table() -> bytes:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value << 1 ^ (0x107 if value & 0x80 else 0)  # noqa: PLW2901 - a division, bit by bit
        table.append(value & 0xFF)
    return bytes(table)


_CRC: Final = _crc_table()


@dataclass(frozen=True, slots=True)
class FlacHeader:
    """What the header of a frame says.

    Attributes:
        samples: Its length, for each channel.
        sample_rate_hertz: None: as the stream's.
        channel_count: Of the audio.
        position_samples: Where it begins; None: its number says, ``number``.
        number: Counts the frames of a stream whose frames are equally long.
        kind: What all frames of a stream have in common.
    """

    samples: int
    sample_rate_hertz: int | None
    channel_count: int
    position_samples: int | None
    number: int
    kind: tuple[int, int]


class FlacFramer:
    """Takes FLAC, returns its frames; see ``Framer``."""

    def __init__(self, _: AudioFormat) -> None:
        self.stray_bytes = 0
        self._pending = b""
        self._searched = 0
        self._skipped_bytes = 0
        self._is_in_blocks = False
        self._setup = b""
        self._header: FlacHeader | None = None
        self._is_open = False
        self._next: FlacHeader | None = None
        self._most_bytes = 0

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
        self._pending += bytes(_HEADER_BYTES)  # So that a header at the very end can be read.
        while self._advance(units):
            pass
        if self._header is not None:
            self._emit(units, max(0, len(self._pending) - _HEADER_BYTES))
        return units

    def _advance(self, units: list[Unit]) -> bool:
        """Take one thing off the pending bytes; False if it needs more of them."""
        if self._skipped_bytes:
            skipped = min(self._skipped_bytes, len(self._pending))
            self._skipped_bytes -= skipped
            self._pending = self._pending[skipped:]
            return bool(self._pending)
        if self._is_in_blocks:
            return self._read_block()
        return self._find(units)

    def _read_block(self) -> bool:
        if len(self._pending) < _BLOCK_BYTES:
            return False
        is_last, kind = self._pending[0] >> 7, self._pending[0] & 0x7F
        size = int.from_bytes(self._pending[1:4], "big")
        if kind == 0 and size == _STREAM_INFO_BYTES:
            if len(self._pending) < _BLOCK_BYTES + size:
                return False
            self._setup = self._pending[_BLOCK_BYTES : _BLOCK_BYTES + size]
        self._skipped_bytes = _BLOCK_BYTES + size
        self._is_in_blocks = not is_last
        return True

    def _find(self, units: list[Unit]) -> bool:
        """Look for the next beginning; what lies before it is the frame that began earlier, or nothing."""
        found = _BEGINNINGS.search(self._pending, self._searched)
        if found is None or len(self._pending) < found.start() + _HEADER_BYTES:
            self._wait(len(self._pending) if found is None else found.start())
            return False
        start, sign = found.start(), found.group()
        if sign[0] != 0xFF:
            self._emit(units, start)
            self._begin_stream(sign)
            return True
        header = parse_header(self._pending[start : start + _HEADER_BYTES])
        if header is None or (self._header is not None and header.kind != self._header.kind):
            self._searched = start + 1
            return True
        if header.samples * header.channel_count > _MOST_SAMPLES:
            return self._refuse(header, start)
        self._emit(units, start)
        self._header = header
        self._most_bytes = header.samples * header.channel_count * 4 + 1024
        self._searched = 1
        return True

    def _refuse(self, header: FlacHeader, start: int) -> bool:
        """Refuse a stream of too large frames; without its header it may be none."""
        if self._setup:
            raise refused(
                f"the FLAC stream has frames of {header.samples} samples in {header.channel_count} channels; "
                f"{_MOST_SAMPLES} in all are taken"
            )
        self._searched = start + 1
        return True

    def _wait(self, end: int) -> None:
        """Keep what may belong to a frame; drop what belongs to none."""
        self._searched = max(self._searched, end - _HEADER_BYTES)
        if self._header is not None and len(self._pending) > self._most_bytes:
            self._header = None
        if self._header is None and self._searched:
            self.stray_bytes += self._searched
            self._pending, self._searched = self._pending[self._searched :], 0

    def _begin_stream(self, sign: bytes) -> None:
        if sign.startswith(_MAGIC):
            self._is_open, self._is_in_blocks, self._next = False, True, None
            self._skipped_bytes = len(_MAGIC)
        else:
            self._skipped_bytes = id3_tag_bytes(self._pending[:ID3_BYTES])

    def _emit(self, units: list[Unit], end: int) -> None:
        """Return the frame that ends here."""
        data, self._pending = self._pending[:end], self._pending[end:]
        header, self._header, self._searched = self._header, None, 0
        if header is None:
            self.stray_bytes += len(data)
            return
        self.stray_bytes = 0
        if not self._is_open:
            units.append(self._stream(header))
        if lost := self._lost_samples(header):
            units.append(Gap(lost))
        units.append(whole(data, header.samples))
        self._next = header

    def _stream(self, header: FlacHeader) -> Stream:
        self._is_open = True
        return Stream(
            codec="flac",
            sample_rate_hertz=header.sample_rate_hertz or int.from_bytes(self._setup[10:13], "big") >> 4,
            channel_count=header.channel_count,
            setup=self._setup,
        )

    def _lost_samples(self, header: FlacHeader) -> int:
        """Return how much is missing between the last frame and this one."""
        last = self._next
        if last is None:
            return 0
        if header.position_samples is None or last.position_samples is None:
            lost = (header.number - last.number - 1) * last.samples
        else:
            lost = header.position_samples - last.position_samples - last.samples
        longest = _LONGEST_GAP_SECONDS * (header.sample_rate_hertz or 44_100)
        return lost if 0 < lost <= longest else 0


def parse_header(data: bytes) -> FlacHeader | None:
    """Read the first 16 bytes of a frame, more than any header has."""
    block, rate, layout, depth = data[2] >> 4, data[2] & 15, data[3] >> 4, data[3] >> 1 & 7
    if block == 0 or rate == 15 or layout > 10 or depth == 3 or data[3] & 1:
        return None
    number, end = _coded_number(data)
    if number is None:
        return None
    samples = _BLOCK_SAMPLES.get(block, 0)
    if block in (6, 7):
        samples, end = int.from_bytes(data[end : end + block - 5], "big") + 1, end + block - 5
    rate_hertz: int | None = _RATES_HERTZ[rate] if rate < 12 else 0
    if rate >= 12:
        size = 1 if rate == 12 else 2
        rate_hertz = int.from_bytes(data[end : end + size], "big") * (1000, 1, 10)[rate - 12]
        end += size
    if crc8(data[:end]) != data[end]:
        return None
    is_variable = bool(data[1] & 1)
    return FlacHeader(
        samples,
        rate_hertz or None,
        layout + 1 if layout < 8 else 2,
        number if is_variable else None,
        number,
        (data[1] << 4 | rate, depth << 4 | (layout if layout < 8 else 1)),
    )


def _coded_number(data: bytes) -> tuple[int | None, int]:
    """Return a number in the form of UTF-8, extended to 7 bytes, and where it ends."""
    first = data[4]
    if first < 0x80:
        return first, 5
    length = 8 - (first ^ 0xFF).bit_length()
    rest = data[5 : 4 + length]
    if not 2 <= length <= 7 or any(byte & 0xC0 != 0x80 for byte in rest):
        return None, 5
    number = first & 0x7F >> length
    for byte in rest:
        number = number << 6 | byte & 0x3F
    return number, 4 + length


def crc8(data: bytes) -> int:
    """Return the checksum of a header."""
    crc = 0
    for byte in data:
        crc = _CRC[crc ^ byte]
    return crc
