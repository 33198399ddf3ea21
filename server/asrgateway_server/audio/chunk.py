"""The unit in which audio travels from the pipeline to the backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BYTES_PER_SAMPLE: Final = 2


@dataclass(frozen=True, slots=True)
class PcmChunk:
    """A piece of audio: mono, 16-bit little-endian, at the rate of the call's model.

    Attributes:
        pcm: The samples.
        start_samples: Position of the first of them, counted from the call's first sample at that rate.
    """

    pcm: bytes
    start_samples: int

    @property
    def end_samples(self) -> int:
        """Position of the first sample after this chunk."""
        return self.start_samples + len(self.pcm) // BYTES_PER_SAMPLE
