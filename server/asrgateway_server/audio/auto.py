"""AUTO: what the audio is, by its first bytes, and then the decoder for that."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from asrgateway_server.audio.declared import ENCODING_FIELD
from asrgateway_server.audio.decoder import AudioDecoder
from asrgateway_server.audio.pcm import PcmFormat
from asrgateway_server.audio.sniff import ID3_TAG, SNIFFED_BYTES, id3_tag_bytes, sniff
from asrgateway_server.config import AudioFormat
from asrgateway_server.errors import UndecodableAudio

_ID3: Final = re.compile(ID3_TAG)


class AutoDecoder:
    """Chooses a decoder by the first bytes after a tag of titles; see ``AudioDecoder``.

    Args:
        audio: What the config says besides.
        open_decoder: Returns the decoder of an encoding.
    """

    def __init__(self, audio: AudioFormat, open_decoder: Callable[[AudioFormat], AudioDecoder]) -> None:
        self._audio = audio
        self._open_decoder = open_decoder
        self._decoder: AudioDecoder | None = None
        self._start = b""
        self._tag_bytes = 0

    @property
    def pcm_format(self) -> PcmFormat | None:
        """See ``AudioDecoder``."""
        return self._decoder.pcm_format if self._decoder else None

    @property
    def has_more(self) -> bool:
        """See ``AudioDecoder``."""
        return self._decoder.has_more if self._decoder else False

    def decode(self, data: bytes) -> bytes:
        """Return the next frames; see ``AudioDecoder``."""
        if self._decoder is None:
            self._start += data
            self._skip_tag()
            if len(self._start) < SNIFFED_BYTES:
                return b""
            self._decoder, data = self._chosen(), self._start
        return self._decoder.decode(data)

    def flush(self) -> bytes:
        """See ``AudioDecoder``."""
        if self._decoder is not None:
            return self._decoder.flush()
        if not self._start:
            return b""
        self._decoder = self._chosen()
        return self._decoder.decode(self._start) + self._decoder.flush()

    def verify_end(self) -> None:
        """See ``AudioDecoder``."""
        if self._decoder is not None:
            self._decoder.verify_end()

    def _skip_tag(self) -> None:
        if self._tag_bytes == 0 and _ID3.match(self._start):
            self._tag_bytes = id3_tag_bytes(self._start)
        skipped = min(self._tag_bytes, len(self._start))
        self._tag_bytes -= skipped
        self._start = self._start[skipped:]

    def _chosen(self) -> AudioDecoder:
        likeness = sniff(self._start)
        if likeness is None or likeness.encoding is None:
            found = f"it looks like {likeness.description}, which is not taken" if likeness else "it is not recognised"
            raise UndecodableAudio(
                f"the encoding is AUTO, and the audio does not begin as any that has a header: {found}; declare the "
                "encoding of samples without a header, and of a stream that begins in its middle",
                field=ENCODING_FIELD,
            )
        return self._open_decoder(replace(self._audio, encoding=likeness.encoding))
