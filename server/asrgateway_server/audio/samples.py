"""Samples of other forms to 16-bit ones, by whole strides: some nanoseconds for each."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from asrgateway_server.audio.pcm import BYTES_PER_SAMPLE


def top_halves(data: bytes, sample_bytes: int) -> bytes:
    """Return the upper 16 bits of little-endian samples of 2 to 8 bytes."""
    pcm = bytearray(len(data) // sample_bytes * BYTES_PER_SAMPLE)
    pcm[0::2] = data[sample_bytes - 2 :: sample_bytes]
    pcm[1::2] = data[sample_bytes - 1 :: sample_bytes]
    return bytes(pcm)


def widen(data: bytes, low: bytes, high: bytes) -> bytes:
    """Return 8-bit samples as the lower and upper bytes that two tables of 256 give for each."""
    pcm = bytearray(len(data) * BYTES_PER_SAMPLE)
    pcm[0::2] = data.translate(low)
    pcm[1::2] = data.translate(high)
    return bytes(pcm)


def interleave(channels: Sequence[array[int]]) -> bytes:
    """Return the samples of several channels, in turns."""
    if len(channels) == 1:
        return channels[0].tobytes()
    pcm = array("h", bytes(len(channels) * len(channels[0]) * BYTES_PER_SAMPLE))
    for number, channel in enumerate(channels):
        pcm[number :: len(channels)] = channel
    return pcm.tobytes()
