"""Coded bytes, cut anywhere, to whole frames of interleaved 16-bit samples: what a decoder is, and which there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from asrgateway_server.audio.linear16 import Linear16Decoder
from asrgateway_server.audio.pcm import PcmFormat
from asrgateway_server.audio.wav import WavDecoder
from asrgateway_server.config import AudioFormat, Encoding

__all__ = ["DECODERS", "AudioDecoder", "PcmFormat"]


class AudioDecoder(Protocol):
    """Turns one call's bytes into PCM.

    Attributes:
        pcm_format: What ``decode`` returns; None until the audio has told it, and never changed afterwards.
    """

    pcm_format: PcmFormat | None

    def decode(self, data: bytes) -> bytes:
        """Return the whole frames that ``data`` completes.

        Raises:
            UndecodableAudio: The bytes are not of this encoding.
            InvalidRequest: They contradict the config.
        """

    def verify_end(self) -> None:
        """Raise UndecodableAudio if the audio may not end where it has."""


DECODERS: Final[Mapping[Encoding, Callable[[AudioFormat], AudioDecoder]]] = {
    Encoding.LINEAR16: Linear16Decoder,
    Encoding.WAV: WavDecoder,
}
