"""MP3 to packets.

Source: ISO/IEC 11172-3 and 13818-3 for frames; the LAME project's "Mp3 Info Tag" for what the coder added.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from asrgateway_server.audio.frame_search import Frame, FrameHeader, FrameSearch
from asrgateway_server.audio.packets import Packet, Stream, Unit, whole
from asrgateway_server.config import AudioFormat

_HEADER: Final = rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xeb]"
_KBITS: Final = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_LOW_KBITS: Final = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_HERTZ: Final = (44_100, 48_000, 32_000)
# By the bits of the version: how much lower the rates are.
_RATE_DIVISORS: Final = {3: 1, 2: 2, 0: 4}
#: The delay of every decoder, and that of the usual coder, which most streams without a tag have.
DECODER_DELAY_SAMPLES: Final = 529
USUAL_DELAY_SAMPLES: Final = DECODER_DELAY_SAMPLES + 576
_TAG_NAMES: Final = (b"Xing", b"Info")
_TAG_PARTS: Final = ((1, 4), (2, 4), (4, 100), (8, 4))


class Mp3Framer:
    """Takes MP3, returns its packets; see ``Framer``.

    The coder's delay and padding are cut: by the tag in the first frame, or by the usual delay if the stream has none
    and begins here, which shows by a first frame that needs no earlier one.
    """

    def __init__(self, _: AudioFormat) -> None:
        self._search = FrameSearch(_HEADER, 4, parse_header)
        self._kind: int | None = None
        self._delay_samples: int | None = None
        self._left_frames = 0
        self._left_samples = 0

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
            if self._read_tag(frame):
                continue
            header = frame.header
            if header.kind != self._kind:
                units.append(self._stream(frame))
            units.append(self._packet(frame.data, header.samples))
        return units

    def _stream(self, frame: Frame) -> Stream:
        header = frame.header
        delay = self._delay_samples
        if delay is None:
            is_first = self._kind is None and not _needs_earlier_frames(frame.data)
            delay = USUAL_DELAY_SAMPLES if is_first else 0
        self._kind, self._delay_samples = header.kind, None
        return Stream(
            codec="mp3",
            sample_rate_hertz=header.sample_rate_hertz,
            channel_count=header.channel_count,
            skipped_samples=delay,
        )

    def _packet(self, data: bytes, samples: int) -> Packet:
        if not self._left_frames:
            return whole(data, samples)
        kept = min(self._left_samples, samples)
        self._left_frames -= 1
        self._left_samples -= kept
        return Packet(data, samples, kept)

    def _read_tag(self, frame: Frame) -> bool:
        """Whether a frame is no audio but says what the coder added."""
        start = _side_end(frame.data)
        if frame.data[36:40] == b"VBRI":
            return True
        if frame.data[start : start + 4] not in _TAG_NAMES:
            return False
        self._kind = None
        flags = int.from_bytes(frame.data[start + 4 : start + 8], "big")
        lame = start + 8 + sum(size for flag, size in _TAG_PARTS if flags & flag)
        delays = frame.data[lame + 21 : lame + 24]
        if len(delays) == 3 and any(frame.data[lame : lame + 4]):
            added = int.from_bytes(delays, "big")
            self._delay_samples = (added >> 12) + DECODER_DELAY_SAMPLES
            frames = int.from_bytes(frame.data[start + 8 : start + 12], "big") if flags & 1 else 0
            padding = max(0, (added & 0xFFF) - DECODER_DELAY_SAMPLES)
            self._left_frames, self._left_samples = frames, max(0, frames * frame.header.samples - padding)
        return True


def parse_header(data: bytes) -> FrameHeader | None:
    """Read the first 4 bytes of a frame."""
    if data[0] != 0xFF or data[1] & 0xE6 != 0xE2:
        return None
    version, rate, bits = data[1] >> 3 & 3, data[2] >> 2 & 3, data[2] >> 4
    if version == 1 or rate == 3 or bits in (0, 15):
        return None
    rate_hertz = _RATES_HERTZ[rate] // _RATE_DIVISORS[version]
    kbits, samples = (_KBITS[bits], 1152) if version == 3 else (_LOW_KBITS[bits], 576)
    size = samples // 8 * kbits * 1000 // rate_hertz + (data[2] >> 1 & 1)
    channel_count = 1 if data[3] >> 6 == 3 else 2
    return FrameHeader(size, samples, rate_hertz, channel_count, (version << 2 | rate) << 2 | channel_count)


def _side_end(data: bytes) -> int:
    """Return where the side information of a frame ends, and a tag would begin."""
    is_mono = data[3] >> 6 == 3
    is_first_version = data[1] >> 3 & 3 == 3
    return 4 + ((17 if is_mono else 32) if is_first_version else (9 if is_mono else 17))


def _needs_earlier_frames(data: bytes) -> bool:
    start = 4 if data[1] & 1 else 6
    begin = int.from_bytes(data[start : start + 2], "big")
    return bool(begin >> 7) if data[1] >> 3 & 3 == 3 else bool(begin >> 8)
