"""What PCM is: interleaved 16-bit little-endian; inside the gateway mono, at the rate of the call's model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BYTES_PER_SAMPLE: Final = 2


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """What decoded audio is: interleaved, 16-bit little-endian.

    Attributes:
        sample_rate_hertz: Samples per second and channel.
        channel_count: Samples per frame.
    """

    sample_rate_hertz: int
    channel_count: int

    @property
    def frame_bytes(self) -> int:
        """Size of one sample of every channel."""
        return self.channel_count * BYTES_PER_SAMPLE
