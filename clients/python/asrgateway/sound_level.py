"""How loud a piece of audio is, as a number and as a bar."""

import math
import sys
from array import array
from typing import Final

SILENCE_DBFS: Final = -60.0
_COLUMNS: Final = 20


def peak_dbfs(audio: bytes) -> float:
    """Return the peak of 16-bit little-endian samples in decibels, from ``SILENCE_DBFS`` to 0."""
    samples = array("h", audio[: len(audio) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    highest, lowest = max(samples, default=0), min(samples, default=0)
    peak = max(highest, -lowest)
    return max(SILENCE_DBFS, 20 * math.log10(peak / 32768)) if peak else SILENCE_DBFS


def meter(dbfs: float) -> str:
    """Return a bar of 20 columns, empty at ``SILENCE_DBFS``."""
    filled = round(_COLUMNS * (1 - dbfs / SILENCE_DBFS))
    return "▮" * filled + "▯" * (_COLUMNS - filled)
