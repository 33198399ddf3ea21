"""Packets to interleaved 16-bit samples: FFmpeg's codecs, without its containers."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import Any, Final

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.codec.codec import UnknownCodecError
from av.error import FFmpegError

from asrgateway_server.audio.packets import Stream
from asrgateway_server.audio.pcm import PcmFormat
from asrgateway_server.audio.samples import interleave, top_halves

# Decoders in the order in which they are tried. libopus and OpenCORE return 16-bit samples, whose conversion costs
# the native ones more than they save, and know comfort noise; so does FFmpeg's MP3 decoder in whole numbers.
_DECODERS: Final[Mapping[str, tuple[str, ...]]] = {
    "opus": ("libopus", "opus"),
    "mp3": ("mp3", "mp3float"),
    "aac": ("aac",),
    "flac": ("flac",),
    "amrnb": ("libopencore_amrnb", "amrnb"),
    "amrwb": ("libopencore_amrwb", "amrwb"),
    "speex": ("speex",),
}


class Codec:
    """One stream's decoder.

    Attributes:
        pcm_format: What ``decode`` returns; None until the first packet has told it.

    Args:
        stream: What is decoded.
        pcm_format: What is wanted; None: as the first packet is.
    """

    def __init__(self, stream: Stream, pcm_format: PcmFormat | None) -> None:
        self.pcm_format = pcm_format
        self._context = _context(stream)
        self._resampler: av.AudioResampler | None = None
        self._source: tuple[str, int, int] | None = None

    def decode(self, data: bytes) -> bytes | None:
        """Return the samples of one packet; None if it cannot be decoded."""
        packet: av.Packet[Any] = av.Packet(data)  # Any: of no stream
        try:
            return b"".join(map(self._samples, self._context.decode(packet)))
        except (FFmpegError, ValueError, MemoryError):
            return None

    def _samples(self, frame: AudioFrame) -> bytes:
        source = (frame.format.name, frame.sample_rate, frame.layout.nb_channels)
        if self.pcm_format is None:
            self.pcm_format = PcmFormat(*source[1:])
        direct = _DIRECT.get(source[0])
        if direct and source[1:] == (self.pcm_format.sample_rate_hertz, self.pcm_format.channel_count):
            return direct(_planes(frame))
        return self._converted(frame, source, self.pcm_format)

    def _converted(self, frame: AudioFrame, source: tuple[str, int, int], wanted: PcmFormat) -> bytes:
        rest: list[AudioFrame] = []
        if self._resampler is None or source != self._source:
            rest = self._resampler.resample(None) if self._resampler else []
            self._source = source
            self._resampler = av.AudioResampler(
                format="s16", layout=_layout(frame, wanted.channel_count), rate=wanted.sample_rate_hertz
            )
        frame.pts = None
        return b"".join(_planes(part)[0] for part in (*rest, *self._resampler.resample(frame)))


def _layout(frame: AudioFrame, channel_count: int) -> str:
    if frame.layout.nb_channels == channel_count:
        return frame.layout.name
    return {1: "mono", 2: "stereo"}.get(channel_count, f"{channel_count} channels")


def _planes(frame: AudioFrame) -> list[bytes]:
    """Return the samples without the padding of FFmpeg's buffers."""
    per_plane = 1 if frame.format.is_planar else frame.layout.nb_channels
    size = frame.samples * frame.format.bytes * per_plane
    return [bytes(plane)[:size] for plane in frame.planes]


_DIRECT: Final[Mapping[str, Callable[[list[bytes]], bytes]]] = {
    "s16": lambda planes: planes[0],
    "s16p": lambda planes: interleave([array("h", plane) for plane in planes]),
    "s32": lambda planes: top_halves(planes[0], 4),
}


def _context(stream: Stream) -> AudioCodecContext:
    context = av.CodecContext.create(_decoder(stream.codec), "r")
    if not isinstance(context, AudioCodecContext):
        raise TypeError(f"{stream.codec} is no codec for audio")
    context.thread_count = 1
    context.sample_rate = stream.sample_rate_hertz
    context.layout = f"{stream.channel_count} channels" if stream.channel_count > 2 else _LAYOUTS[stream.channel_count]
    if stream.setup:
        context.extradata = stream.setup
    return context


_LAYOUTS: Final = ("mono", "mono", "stereo")


def _decoder(codec: str) -> av.Codec:
    for name in _DECODERS[codec]:
        try:
            return av.Codec(name, "r")
        except UnknownCodecError:
            continue
    raise ValueError(f"FFmpeg was built without a decoder for {codec}")
