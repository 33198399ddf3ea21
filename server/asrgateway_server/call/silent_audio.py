"""Finds that a channel is silent though its audio goes on: the other side of a telephone call speaks. Pure."""

from __future__ import annotations

from typing import Final

from asrgateway_server.audio.pcm import BYTES_PER_SAMPLE
from asrgateway_server.backends.unanswered_speech import is_loud

_AUDIBLE_DBFS: Final = -50.0
# The noise of a quiet telephone line lies some 10 dB below it, the vowels of a quiet speaker 10 dB above.
_AUDIBLE: Final = 32_768 * 10 ** (_AUDIBLE_DBFS / 20)


class SilentAudio:
    """How much of a channel's audio has been silent in a row.

    Args:
        limit_seconds: So much is long.
        sample_rate_hertz: Of the audio: mono, 16-bit little-endian.
    """

    def __init__(self, limit_seconds: float, sample_rate_hertz: int) -> None:
        self._limit_bytes = limit_seconds * sample_rate_hertz * BYTES_PER_SAMPLE
        self._bytes = 0

    def sent(self, pcm: bytes) -> None:
        """Count audio that was sent."""
        self._bytes = 0 if is_audible(pcm) else self._bytes + len(pcm)

    def restart(self) -> None:
        """Begin anew: another task has begun, or the model has heard words."""
        self._bytes = 0

    @property
    def is_long(self) -> bool:
        """Whether it is time to end the task."""
        return self._bytes >= self._limit_bytes


def is_audible(pcm: bytes) -> bool:
    """Return whether audio, mono and 16-bit, is more than the noise of a line: above -50 dB of full scale."""
    return is_loud(pcm, _AUDIBLE)
