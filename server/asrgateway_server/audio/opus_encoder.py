"""Mono PCM to Opus packets of 20 ms: FFmpeg's libopus.

Source: RFC 6716; FFmpeg's documentation, "libopus".
"""

from __future__ import annotations

from typing import Final

import av
from av.audio.codeccontext import AudioCodecContext

from asrgateway_server.audio.opus import RATE_HERTZ
from asrgateway_server.audio.pcm import BYTES_PER_SAMPLE

#: Length of a packet at 48 kHz, in which Opus counts.
PACKET_SAMPLES: Final = 960
# Speech is transparent at it, and the embedded recogniser reads the same words. What a higher complexity would gain at
# this rate is not worth three times the processor time.
_BITS_PER_SECOND: Final = 32_000
_OPTIONS: Final = {"application": "voip", "frame_duration": "20", "compression_level": "0"}


class OpusEncoder:
    """One stream's encoder.

    Attributes:
        head: The header that describes the stream: ``OpusHead``.
        delay_samples: What a decoder returns before the first sample of the stream, at 48 kHz.

    Args:
        sample_rate_hertz: One of ``opus.CODED_RATES_HERTZ``.
    """

    def __init__(self, sample_rate_hertz: int) -> None:
        self._context = _context(sample_rate_hertz)
        self._rate_hertz = sample_rate_hertz
        self._frame_bytes = sample_rate_hertz * PACKET_SAMPLES // RATE_HERTZ * BYTES_PER_SAMPLE
        self._rest = b""
        self.head = bytes(self._context.extradata or b"")
        self.delay_samples = int.from_bytes(self.head[10:12], "little")

    def encode(self, pcm: bytes) -> list[bytes]:
        """Return the packets that more PCM completes: mono, 16-bit little-endian."""
        pcm = self._rest + pcm if self._rest else pcm
        whole = len(pcm) - len(pcm) % self._frame_bytes
        self._rest = pcm[whole:]
        return self._packets(pcm[:whole]) if whole else []

    def finish(self) -> list[bytes]:
        """Return the packets without which a decoder would not return the last samples."""
        delay_bytes = self.delay_samples * self._rate_hertz // RATE_HERTZ * BYTES_PER_SAMPLE
        missing = -(len(self._rest) + delay_bytes) % self._frame_bytes
        return self.encode(bytes(delay_bytes + missing))

    def _packets(self, pcm: bytes) -> list[bytes]:
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // BYTES_PER_SAMPLE)
        frame.sample_rate = self._rate_hertz
        frame.planes[0].update(pcm)
        return [bytes(packet) for packet in self._context.encode(frame)]


def _context(sample_rate_hertz: int) -> AudioCodecContext:
    context = av.CodecContext.create("libopus", "w")
    if not isinstance(context, AudioCodecContext):
        raise TypeError("libopus is no codec for audio")
    context.sample_rate = sample_rate_hertz
    context.layout = "mono"
    context.format = "s16"
    context.bit_rate = _BITS_PER_SECOND
    context.options = _OPTIONS
    context.open()
    return context
