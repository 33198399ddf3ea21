"""Drives the decoders of audio."""

from __future__ import annotations

from asrgateway_server.audio.decoder import AudioDecoder


def decoded(decoder: AudioDecoder, data: bytes, size: int | None = None) -> bytes:
    """Feed ``data`` in pieces of ``size`` bytes."""
    step = size or len(data)
    return b"".join(decoder.decode(data[start : start + step]) for start in range(0, len(data), step))
