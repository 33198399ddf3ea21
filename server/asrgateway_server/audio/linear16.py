"""LINEAR16: samples without a header."""

from __future__ import annotations

from asrgateway_server.audio.declared import ENCODING_FIELD, declared_rate
from asrgateway_server.audio.frames import FrameAligner
from asrgateway_server.audio.pcm import PcmFormat
from asrgateway_server.audio.sniff import SNIFFED_BYTES, find_magic
from asrgateway_server.config import AudioFormat, Encoding
from asrgateway_server.errors import InvalidRequest


class Linear16Decoder:
    """Samples without a header; see ``AudioDecoder``."""

    has_more = False

    def __init__(self, audio: AudioFormat) -> None:
        self.pcm_format: PcmFormat | None = PcmFormat(declared_rate(audio, 16_000), audio.channel_count or 1)
        self._frames = FrameAligner(self.pcm_format.frame_bytes, self.pcm_format.channel_count)
        self._guard = HeaderGuard(audio.encoding)

    def decode(self, data: bytes) -> bytes:
        """Return the whole frames; see ``AudioDecoder``."""
        self._guard.verify(data)
        return self._frames.align(data)

    def flush(self) -> bytes:
        """See ``AudioDecoder``."""
        return b""

    def verify_end(self) -> None:
        """See ``AudioDecoder``."""
        self._frames.verify_end()


class HeaderGuard:
    """Refuses files where bare samples are declared.

    Args:
        encoding: What is declared.
    """

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._start = b""

    def verify(self, data: bytes) -> None:
        """Raise InvalidRequest if the audio's first bytes are those of a file."""
        if len(self._start) >= SNIFFED_BYTES:
            return
        self._start += data[: SNIFFED_BYTES - len(self._start)]
        likeness = find_magic(self._start)
        if likeness and likeness.encoding:
            raise InvalidRequest(
                f"the audio starts as {likeness.description} does, which {self._encoding.name} would take for sound; "
                f"set the encoding to {likeness.encoding.name}",
                field=ENCODING_FIELD,
            )
