"""The header of a WAV stream."""

import struct
from dataclasses import dataclass
from typing import Final

from asrgateway.kept_items import SampleFormat

_PCM: Final = 1
_EXTENSIBLE: Final = 0xFFFE
_FORMAT: Final = struct.Struct("<HHIIHH")
_UNKNOWN_SIZES: Final = (0, 0xFFFFFFFF)
_LONGEST_BYTES: Final = 1 << 20


class UnknownHeader(Exception):
    """The bytes are no WAV stream with 16-bit PCM samples; the gateway says what is wrong with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WavHeader:
    """What a header says.

    Attributes:
        header_bytes: Its length.
        sample_format: Of the samples.
        data_bytes: Length of the samples; None if the recorder could not know it.
    """

    header_bytes: int
    sample_format: SampleFormat
    data_bytes: int | None


def read_header(start: bytes) -> WavHeader | None:
    """Read the header from the first bytes of a stream; None if more are needed.

    Raises:
        UnknownHeader: There is none that this reads.
    """
    if start[:4] != b"RIFF"[: len(start)] or start[8:12] != b"WAVE"[: max(0, len(start) - 8)]:
        raise UnknownHeader
    position, sample_format = 12, None
    while len(start) >= position + 8:
        name, size = struct.unpack_from("<4sI", start, position)
        position += 8
        if name == b"data":
            if sample_format is None:
                raise UnknownHeader
            data_bytes = None if size in _UNKNOWN_SIZES else size
            return WavHeader(header_bytes=position, sample_format=sample_format, data_bytes=data_bytes)
        if name == b"fmt " and len(start) >= position + size:
            sample_format = _sample_format(start[position : position + size])
        position += size + size % 2
    if len(start) > _LONGEST_BYTES:
        raise UnknownHeader
    return None


def _sample_format(body: bytes) -> SampleFormat:
    try:
        tag, channel_count, rate_hertz, _, _, bits = _FORMAT.unpack_from(body)
        if tag == _EXTENSIBLE:
            (tag,) = struct.unpack_from("<H", body, 24)  # The first two bytes of its sub-format.
    except struct.error as error:
        raise UnknownHeader from error
    if tag != _PCM or bits != 16 or not channel_count or not rate_hertz:
        raise UnknownHeader
    return SampleFormat(rate_hertz=rate_hertz, channel_count=channel_count)
