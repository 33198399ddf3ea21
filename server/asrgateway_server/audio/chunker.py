"""A stream of samples, cut into chunks of equal length."""

from __future__ import annotations

from typing import Final

from asrgateway_server.audio.chunk import BYTES_PER_SAMPLE, PcmChunk

# What the vendor's manual asks for, and a tenth of a second is what a listener takes for "at once".
CHUNK_MS: Final = 100


class Chunker:
    """Cuts mono 16-bit audio into chunks of ``CHUNK_MS``; the last of a run may be shorter."""

    def __init__(self, sample_rate_hertz: int) -> None:
        self._chunk_bytes = sample_rate_hertz * CHUNK_MS // 1000 * BYTES_PER_SAMPLE
        self._pending = b""
        self._position = 0

    def cut(self, pcm: bytes) -> list[PcmChunk]:
        """Return the chunks that ``pcm`` completes."""
        if self._pending:
            pcm = self._pending + pcm
        size = self._chunk_bytes
        whole = len(pcm) - len(pcm) % size
        self._pending = pcm[whole:]
        return [self._chunk(pcm[start : start + size]) for start in range(0, whole, size)]

    def flush(self) -> list[PcmChunk]:
        """Return what is left as a short chunk; the next chunk follows it without a gap."""
        rest, self._pending = self._pending, b""
        return [self._chunk(rest)] if rest else []

    def _chunk(self, pcm: bytes) -> PcmChunk:
        chunk = PcmChunk(pcm, self._position)
        self._position = chunk.end_samples
        return chunk
