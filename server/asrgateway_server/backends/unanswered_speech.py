"""Speech that an upstream leaves unanswered. Pure: the clock's readings are passed in."""

from __future__ import annotations

import math
from array import array
from typing import Final

from asrgateway_server.audio.pcm import BYTES_PER_SAMPLE

_LOUD_DBFS: Final = -45.0
_LOUD: Final = 32_768 * 10 ** (_LOUD_DBFS / 20)
# Enough of the samples to know how loud they are; a prime, so that few sounds keep time with it. One that does looks
# like silence, and a stall is then noticed at the next limit only.
_STRIDE: Final = 31
# An upstream that answers does so several times in a second of speech. Until then levels are not worth measuring.
_UNMEASURED_SECONDS: Final = 1.0


class UnansweredSpeech:
    """How much audio that may be speech has been sent since the upstream's last message.

    Args:
        limit_seconds: So much of it is too much, once it also has been waiting for as long: a backlog is sent faster
            than anybody can answer it.
        sample_rate_hertz: Of the audio: mono, 16-bit little-endian.
    """

    def __init__(self, limit_seconds: float, sample_rate_hertz: int) -> None:
        bytes_per_second = sample_rate_hertz * BYTES_PER_SAMPLE
        self._limit_seconds = limit_seconds
        self._limit_bytes = limit_seconds * bytes_per_second
        self._unmeasured_bytes = min(_UNMEASURED_SECONDS, limit_seconds / 8) * bytes_per_second
        self._bytes = 0
        self._loud_bytes = 0
        self._loud_since = 0.0

    def sent(self, pcm: bytes, now: float) -> None:
        """Count audio that was sent."""
        self._bytes += len(pcm)
        if self._bytes <= self._unmeasured_bytes or not is_loud(pcm):
            return
        if not self._loud_bytes:
            self._loud_since = now
        self._loud_bytes += len(pcm)

    def answered(self) -> None:
        """Begin anew: the upstream has said something."""
        self._bytes = self._loud_bytes = 0

    def is_too_much(self, now: float) -> bool:
        """Return whether an upstream that works would have answered by now."""
        return self._loud_bytes >= self._limit_bytes and now - self._loud_since >= self._limit_seconds


def is_loud(pcm: bytes, level: float = _LOUD) -> bool:
    """Return whether audio, mono and 16-bit, is above a level; by default loud enough to be speech: -45 dB."""
    samples = array("h", pcm)[::_STRIDE]
    return math.hypot(*samples) > level * math.sqrt(len(samples))
