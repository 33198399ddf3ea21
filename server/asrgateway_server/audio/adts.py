"""AAC with ADTS headers to packets.

Source: ISO/IEC 13818-7, section 6.2; 14496-3 for the rates.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from asrgateway_server.audio.frame_search import Frame, FrameHeader, FrameSearch
from asrgateway_server.audio.packets import Stream, Unit, whole
from asrgateway_server.config import AudioFormat

_HEADER: Final = rb"\xff[\xf0\xf1\xf8\xf9]"
_RATES_HERTZ: Final = (
    96_000,
    88_200,
    64_000,
    48_000,
    44_100,
    32_000,
    24_000,
    22_050,
    16_000,
    12_000,
    11_025,
    8_000,
    7_350,
)
_CHANNEL_COUNTS: Final = (1, 1, 2, 3, 4, 5, 6, 8)
#: The first frame holds only half of what it needs to be heard: no decoder can do without the one before.
PRIMING_SAMPLES: Final = 1024


class AdtsFramer:
    """Takes AAC, returns its packets; see ``Framer``."""

    def __init__(self, _: AudioFormat) -> None:
        self._search = FrameSearch(_HEADER, 7, parse_header)
        self._kind: int | None = None

    @property
    def stray_bytes(self) -> int:
        """See ``Framer``."""
        return self._search.stray_bytes

    def feed(self, data: bytes) -> list[Unit]:
        """See ``Framer``."""
        return self._units(self._search.feed(data))

    def flush(self) -> list[Unit]:
        """See ``Framer``."""
        return self._units(self._search.flush())

    def _units(self, frames: Iterable[Frame]) -> list[Unit]:
        units: list[Unit] = []
        for frame in frames:
            if frame.header.kind != self._kind:
                self._kind = frame.header.kind
                units.append(_stream(frame.header))
            units.append(whole(frame.data, frame.header.samples))
        return units


def _stream(header: FrameHeader) -> Stream:
    """Return what begins; AAC at half the rate, or mono that becomes stereo, may be declared as it is heard."""
    return Stream(
        codec="aac",
        sample_rate_hertz=header.sample_rate_hertz,
        channel_count=header.channel_count,
        skipped_samples=PRIMING_SAMPLES,
        declared_rates_hertz=(2 * header.sample_rate_hertz,),
        declared_channel_counts=(2,) if header.channel_count == 1 else (),
    )


def parse_header(data: bytes) -> FrameHeader | None:
    """Read the first 7 bytes of a frame."""
    if data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return None
    rate, layout = data[2] >> 2 & 15, (data[2] & 1) << 2 | data[3] >> 6
    size = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    if rate >= len(_RATES_HERTZ) or size < 8:
        return None
    samples = 1024 * (1 + (data[6] & 3))
    return FrameHeader(size, samples, _RATES_HERTZ[rate], _CHANNEL_COUNTS[layout], (data[2] & 0xFD) << 8 | layout)
