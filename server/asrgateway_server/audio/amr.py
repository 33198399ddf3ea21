"""AMR and AMR-WB to packets: a file with its first line, or its frames alone.

Source: RFC 4867, section 5.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from asrgateway_server.audio.frame_search import Frame, FrameHeader, FrameSearch
from asrgateway_server.audio.packets import Gap, Stream, Unit, whole
from asrgateway_server.config import AudioFormat, Encoding

# Frames that hold nothing: lost, and not sent.
_EMPTY: Final = (14, 15)
_FOLLOWERS: Final = 5


@dataclass(frozen=True, slots=True)
class _Kind:
    """One of the two.

    Attributes:
        codec: As ``codec.py`` names it.
        magic: The first line of a file.
        rate_hertz: Of the samples.
        frame_bytes: Sizes by the type of a frame, with its first byte.
    """

    codec: str
    magic: bytes
    rate_hertz: int
    frame_bytes: Mapping[int, int]


_NARROW: Final = _Kind(
    "amrnb",
    b"#!AMR\n",
    8_000,
    {0: 13, 1: 14, 2: 16, 3: 18, 4: 20, 5: 21, 6: 27, 7: 32, 8: 6, 15: 1},
)
_WIDE: Final = _Kind(
    "amrwb",
    b"#!AMR-WB\n",
    16_000,
    {0: 18, 1: 24, 2: 33, 3: 37, 4: 41, 5: 47, 6: 51, 7: 59, 8: 61, 9: 6, 14: 1, 15: 1},
)


class AmrFramer:
    """Takes AMR, returns its packets of 20 ms; see ``Framer``."""

    def __init__(self, audio: AudioFormat) -> None:
        self._kind = _WIDE if audio.encoding is Encoding.AMR_WB else _NARROW
        pattern = b"[" + b"".join(b"\\x%02x" % byte for byte in range(256) if _size(self._kind, byte)) + b"]"
        self._search = FrameSearch(pattern, 1, partial(_parse, self._kind), _FOLLOWERS)
        self._start: bytes | None = b""
        self._is_begun = False

    @property
    def stray_bytes(self) -> int:
        """See ``Framer``."""
        return self._search.stray_bytes

    def feed(self, data: bytes) -> list[Unit]:
        """See ``Framer``."""
        return self._units(self._search.feed(self._after_magic(data)))

    def flush(self) -> list[Unit]:
        """See ``Framer``."""
        start, self._start = self._start or b"", None
        return [*self._units(self._search.feed(start)), *self._units(self._search.flush())]

    def _after_magic(self, data: bytes) -> bytes:
        if self._start is None:
            return data
        self._start += data
        magic = self._kind.magic
        if len(self._start) < len(magic):
            return b""
        start, self._start = self._start, None
        if not start.startswith(magic):
            return start
        self._search.start_here()
        return start[len(magic) :]

    def _units(self, frames: Iterable[Frame]) -> list[Unit]:
        units: list[Unit] = []
        for frame in frames:
            if not self._is_begun:
                self._is_begun = True
                units.append(Stream(codec=self._kind.codec, sample_rate_hertz=self._kind.rate_hertz, channel_count=1))
            samples = frame.header.samples
            units.append(Gap(samples) if frame.data[0] >> 3 & 15 in _EMPTY else whole(frame.data, samples))
        return units


def _size(kind: _Kind, byte: int) -> int | None:
    return None if byte & 0x83 else kind.frame_bytes.get(byte >> 3 & 15)


def _parse(kind: _Kind, data: bytes) -> FrameHeader | None:
    size = _size(kind, data[0])
    return FrameHeader(size, kind.rate_hertz // 50, kind.rate_hertz, 1, 0) if size else None
