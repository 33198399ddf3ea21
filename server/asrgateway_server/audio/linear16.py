"""LINEAR16: samples without a header."""

from __future__ import annotations

from typing import Final

from asrgateway_server.audio.declared import ENCODING_FIELD, declared_rate
from asrgateway_server.audio.frames import FrameAligner
from asrgateway_server.audio.pcm import PcmFormat
from asrgateway_server.config import AudioFormat
from asrgateway_server.errors import InvalidRequest

# "RIFF", a size and "WAVE": by these a WAV file is known.
_HEADER_NAMES_BYTES: Final = 12


class Linear16Decoder:
    """Samples without a header; see ``AudioDecoder``."""

    def __init__(self, audio: AudioFormat) -> None:
        self.pcm_format: PcmFormat | None = PcmFormat(declared_rate(audio, 16_000), audio.channel_count or 1)
        self._frames = FrameAligner(self.pcm_format.frame_bytes, self.pcm_format.channel_count)
        self._start = b""

    def decode(self, data: bytes) -> bytes:
        """Return the whole frames; see ``AudioDecoder``."""
        if len(self._start) < _HEADER_NAMES_BYTES:
            self._start += data[: _HEADER_NAMES_BYTES - len(self._start)]
            _refuse_header(self._start)
        return self._frames.align(data)

    def verify_end(self) -> None:
        """See ``AudioDecoder``."""
        self._frames.verify_end()


def _refuse_header(data: bytes) -> None:
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        raise InvalidRequest(
            "the audio starts with a WAV header, which LINEAR16 would take for sound; set the encoding to WAV",
            field=ENCODING_FIELD,
        )
