"""Coded audio, cut anywhere: Opus, Speex, MP3, AAC and AMR, decoded by FFmpeg. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import av
from av.audio.codeccontext import AudioCodecContext
from av.error import FFmpegError

from dashscope_emulator import ogg
from dashscope_emulator.plain_audio import UndecodableAudio

_MOST_BAD_PACKETS: Final = 100
_OPUS_HERTZ: Final = 48_000
_AMR_HERTZ: Final = 8_000
_AMR_MAGIC: Final = b"#!AMR\n"
# Source: RFC 4867, section 5.3: bytes of a frame by its type, the first byte included; 15 is "no data".
_AMR_FRAME_BYTES: Final = {0: 13, 1: 14, 2: 16, 3: 18, 4: 20, 5: 21, 6: 27, 7: 32, 8: 6, 15: 1}


class _Decoder:
    """A codec, and the conversion of its frames to mono 16-bit samples.

    Args:
        context: The codec.
        rate_hertz: Of the samples that come out.
    """

    def __init__(self, context: AudioCodecContext, rate_hertz: int) -> None:
        self._context = context
        self._rate_hertz = rate_hertz
        self._resampler = self._new_resampler()
        self._has_decoded = False
        self._bad_packets = 0

    def decode(self, packet: av.Packet[Any] | None) -> bytes:
        """Decode one packet (of no stream, hence Any), None = the end.

        Bad ones among good ones are skipped, and so is what may come before the first one, such as a title.
        """
        try:
            frames = self._context.decode(packet)
        except FFmpegError as error:
            self._bad_packets += 1
            if self._has_decoded or self._bad_packets < _MOST_BAD_PACKETS:
                return b""
            raise UndecodableAudio(f"not {self._context.name}: {error}") from error
        self._has_decoded = self._has_decoded or bool(frames)
        return b"".join(self._samples(frame) for frame in frames)

    def end(self) -> bytes:
        """Return what is left."""
        rest = self.decode(None)
        return rest + self._samples(None) if self._has_decoded else rest

    def _samples(self, frame: av.AudioFrame | None) -> bytes:
        try:
            resampled = self._resampler.resample(frame)
        except ValueError:  # The audio goes on at another rate, or with more channels.
            resampled = self._resampler.resample(None)
            self._resampler = self._new_resampler()
            resampled += self._resampler.resample(frame)
        return b"".join(bytes(out.planes[0])[: out.samples * 2] for out in resampled)

    def _new_resampler(self) -> av.AudioResampler:
        return av.AudioResampler(format="s16", layout="mono", rate=self._rate_hertz)


class _Elementary:
    """Frames that a parser finds by themselves, whatever is between them."""

    def __init__(self, codec: str, rate_hertz: int) -> None:
        self._context = _codec(codec)
        self._decoder = _Decoder(self._context, rate_hertz)

    def feed(self, data: bytes) -> bytes:
        """See ``AudioInput``."""
        return self._parse(data) if data else b""

    def end(self) -> bytes:
        """See ``AudioInput``."""
        return self._parse(b"") + self._decoder.end()

    def _parse(self, data: bytes) -> bytes:
        return b"".join(map(self._decoder.decode, self._context.parse(data)))


class Mp3(_Elementary):
    """MPEG audio, layer 3."""

    def __init__(self, rate_hertz: int) -> None:
        super().__init__("mp3float", rate_hertz)


class Aac(_Elementary):
    """AAC in ADTS."""

    def __init__(self, rate_hertz: int) -> None:
        super().__init__("aac", rate_hertz)


class Amr:
    """AMR narrow-band: a file with its first line, or the frames alone."""

    def __init__(self, rate_hertz: int) -> None:
        self._decoder = _Decoder(_codec("amrnb", sample_rate=_AMR_HERTZ, layout="mono"), rate_hertz)
        self._pending = b""
        self._is_begun = False

    def feed(self, data: bytes) -> bytes:
        """See ``AudioInput``."""
        self._pending += data
        if not self._is_begun:
            if len(self._pending) < len(_AMR_MAGIC) and _AMR_MAGIC.startswith(self._pending):
                return b""
            self._pending = self._pending.removeprefix(_AMR_MAGIC)
            self._is_begun = True
        return b"".join(self._decoder.decode(av.Packet(frame)) for frame in self._frames())

    def end(self) -> bytes:
        """See ``AudioInput``."""
        return self._decoder.end()

    def _frames(self) -> Iterator[bytes]:
        position = 0
        while position < len(self._pending):
            size = _AMR_FRAME_BYTES.get(self._pending[position] >> 3 & 0x0F)
            if size is None or self._pending[position] & 0x83:
                raise UndecodableAudio("not AMR narrow-band")
            if position + size > len(self._pending):
                break
            yield self._pending[position : position + size]
            position += size
        self._pending = self._pending[position:]


class Opus:
    """Opus in Ogg, or one packet in each message."""

    def __init__(self, rate_hertz: int) -> None:
        self._rate_hertz = rate_hertz
        self._input: _OggFile | _OpusPackets | None = None
        self._start = b""

    def feed(self, data: bytes) -> bytes:
        """See ``AudioInput``."""
        if self._input is None:
            self._start += data
            if len(self._start) < len(ogg.MAGIC) and ogg.MAGIC.startswith(self._start):
                return b""
            data = self._start
            is_file = data.startswith(ogg.MAGIC)
            self._input = _OggFile(b"OpusHead", "opus", self._rate_hertz) if is_file else _OpusPackets(self._rate_hertz)
        return self._input.feed(data)

    def end(self) -> bytes:
        """See ``AudioInput``."""
        return self._input.end() if self._input else b""


class _OpusPackets:
    """Opus packets without a container: each call brings a complete one."""

    def __init__(self, rate_hertz: int) -> None:
        self._decoder = _Decoder(_codec("opus", sample_rate=_OPUS_HERTZ, layout="stereo"), rate_hertz)

    def feed(self, data: bytes) -> bytes:
        """See ``AudioInput``."""
        return self._decoder.decode(av.Packet(data)) if data else b""

    def end(self) -> bytes:
        """See ``AudioInput``."""
        return self._decoder.end()


class _OggFile:
    """One logical stream in Ogg, whose first packet describes it and whose second holds comments.

    Source: RFC 7845 for Opus; the Speex manual, section 7.3.

    Args:
        head: How its first packet begins.
        codec: FFmpeg's name of the codec, which gets the first packet as it is.
        rate_hertz: Of the samples that come out.
    """

    def __init__(self, head: bytes, codec: str, rate_hertz: int) -> None:
        self._head = head
        self._codec = codec
        self._rate_hertz = rate_hertz
        self._packets = ogg.OggPackets()
        self._count = 0
        self._decoder: _Decoder | None = None

    def feed(self, data: bytes) -> bytes:
        """See ``AudioInput``."""
        return b"".join(map(self._decode, self._packets.feed(data)))

    def end(self) -> bytes:
        """See ``AudioInput``."""
        return self._decoder.end() if self._decoder else b""

    def _decode(self, packet: bytes) -> bytes:
        self._count += 1
        if self._decoder is None:
            if not packet.startswith(self._head):
                raise UndecodableAudio(f"no {self._codec} in the Ogg file")
            self._decoder = _Decoder(_codec(self._codec, extradata=packet), self._rate_hertz)
            return b""
        return self._decoder.decode(av.Packet(packet)) if self._count > 2 and packet else b""


class Speex(_OggFile):
    """Speex in Ogg."""

    def __init__(self, rate_hertz: int) -> None:
        super().__init__(b"Speex   ", "speex", rate_hertz)


def _codec(name: str, **settings: object) -> AudioCodecContext:
    context = av.CodecContext.create(name, "r")
    if not isinstance(context, AudioCodecContext):
        raise TypeError(f"{name} is no codec for audio")
    for setting, value in settings.items():
        setattr(context, setting, value)
    return context
