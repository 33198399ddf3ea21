"""What PCM is inside the gateway: mono, 16-bit little-endian, at the rate of the call's model."""

from __future__ import annotations

from typing import Final

BYTES_PER_SAMPLE: Final = 2
