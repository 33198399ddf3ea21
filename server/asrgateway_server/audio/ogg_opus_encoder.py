"""Mono PCM to Opus in Ogg, page by page, for an upstream that shall get less than PCM.

Source: RFC 7845.
"""

from __future__ import annotations

from typing import Final

from asrgateway_server.audio.ogg_writer import OggWriter
from asrgateway_server.audio.opus import RATE_HERTZ
from asrgateway_server.audio.opus_encoder import PACKET_SAMPLES, OpusEncoder
from asrgateway_server.audio.pcm import BYTES_PER_SAMPLE

# Of no program and without comments: who encoded it is nobody's business.
_TAGS: Final = b"OpusTags" + bytes(8)


class OggOpusEncoder:
    """One stream, which begins with the first PCM and has as many samples as were put in.

    Args:
        sample_rate_hertz: One of ``opus.CODED_RATES_HERTZ``.
    """

    def __init__(self, sample_rate_hertz: int) -> None:
        self._encoder = OpusEncoder(sample_rate_hertz)
        self._writer = OggWriter()
        self._rate_hertz = sample_rate_hertz
        self._bytes = 0
        self._position = 0
        self._is_begun = False

    def encode(self, pcm: bytes) -> bytes:
        """Return the page that holds more PCM, at most 4 s of it.

        The last part of it that is less than 20 ms waits for the rest, so that there may be no page.
        """
        self._bytes += len(pcm)
        packets = self._encoder.encode(pcm)
        self._position += len(packets) * PACKET_SAMPLES
        return self._begin() + self._writer.page(packets, self._position) if packets else b""

    def finish(self) -> bytes:
        """Return the end of the stream; nothing if it has not begun."""
        if not self._bytes:
            return b""
        samples = self._bytes // BYTES_PER_SAMPLE * RATE_HERTZ // self._rate_hertz
        end = self._encoder.delay_samples + samples
        return self._begin() + self._writer.page(self._encoder.finish(), end, is_last=True)

    def _begin(self) -> bytes:
        """Return the two pages of headers, once."""
        if self._is_begun:
            return b""
        self._is_begun = True
        return self._writer.page([self._encoder.head], 0) + self._writer.page([_TAGS], 0)
