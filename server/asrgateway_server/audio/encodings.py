"""Which decoder each encoding has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from asrgateway_server.audio.adts import AdtsFramer
from asrgateway_server.audio.amr import AmrFramer
from asrgateway_server.audio.auto import AutoDecoder
from asrgateway_server.audio.decoder import AudioDecoder
from asrgateway_server.audio.flac import FlacFramer
from asrgateway_server.audio.g711 import ALAW, MULAW, G711Decoder
from asrgateway_server.audio.linear16 import Linear16Decoder
from asrgateway_server.audio.mp3 import Mp3Framer
from asrgateway_server.audio.ogg_framer import ogg_opus, ogg_speex
from asrgateway_server.audio.packet_decoder import PacketDecoder
from asrgateway_server.audio.wav import WavDecoder
from asrgateway_server.audio.webm import WebmFramer
from asrgateway_server.config import AudioFormat, Encoding


def open_decoder(audio: AudioFormat) -> AudioDecoder:
    """Return a decoder for audio as a config declares it.

    Raises:
        InvalidRequest: The config lacks what has to be known.
    """
    return _DECODERS[audio.encoding](audio)


_DECODERS: Final[Mapping[Encoding, Callable[[AudioFormat], AudioDecoder]]] = {
    Encoding.LINEAR16: Linear16Decoder,
    Encoding.WAV: WavDecoder,
    Encoding.MULAW: partial(G711Decoder, tables=MULAW),
    Encoding.ALAW: partial(G711Decoder, tables=ALAW),
    Encoding.FLAC: partial(PacketDecoder, framer=FlacFramer),
    Encoding.MP3: partial(PacketDecoder, framer=Mp3Framer),
    Encoding.OGG_OPUS: partial(PacketDecoder, framer=ogg_opus),
    Encoding.WEBM_OPUS: partial(PacketDecoder, framer=WebmFramer),
    Encoding.AAC: partial(PacketDecoder, framer=AdtsFramer),
    Encoding.AMR: partial(PacketDecoder, framer=AmrFramer),
    Encoding.AMR_WB: partial(PacketDecoder, framer=AmrFramer),
    Encoding.OGG_SPEEX: partial(PacketDecoder, framer=ogg_speex),
    Encoding.AUTO: partial(AutoDecoder, open_decoder=open_decoder),
}
