"""Coded bytes, cut anywhere, to whole frames of interleaved 16-bit samples. One class per encoding."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from asrgateway_server.audio.pcm import BYTES_PER_SAMPLE
from asrgateway_server.config import AudioFormat, Encoding
from asrgateway_server.errors import InvalidRequest, UndecodableAudio

MIN_SAMPLE_RATE_HERTZ: Final = 4_000
MAX_SAMPLE_RATE_HERTZ: Final = 192_000
MAX_CHANNELS: Final = 16

_FORMAT_FIELD: Final = "streaming_config.decoding_config"
# "RIFF", a size and "WAVE": by these a WAV file is known.
_HEADER_NAMES_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """What decoded audio is: interleaved, 16-bit little-endian.

    Attributes:
        sample_rate_hertz: Samples per second and channel.
        channel_count: Samples per frame.
    """

    sample_rate_hertz: int
    channel_count: int

    @property
    def frame_bytes(self) -> int:
        """Size of one sample of every channel."""
        return self.channel_count * BYTES_PER_SAMPLE


class AudioDecoder(Protocol):
    """Turns one call's bytes into PCM.

    Attributes:
        pcm_format: What ``decode`` returns; None until a header has told it.
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


class Linear16Decoder:
    """Samples without a header; see ``AudioDecoder``."""

    def __init__(self, audio: AudioFormat) -> None:
        rate = audio.sample_rate_hertz
        if rate is None:
            raise InvalidRequest(
                "LINEAR16 audio has no header, so its sample rate must be given, such as 16000",
                field=f"{_FORMAT_FIELD}.sample_rate_hertz",
            )
        self.pcm_format: PcmFormat | None = PcmFormat(rate, audio.channel_count or 1)
        self._frames = FrameAligner(self.pcm_format.frame_bytes)
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


class FrameAligner:
    """Keeps back the bytes of a frame that has not arrived whole."""

    def __init__(self, frame_bytes: int) -> None:
        self._frame_bytes = frame_bytes
        self._rest = b""

    def align(self, data: bytes) -> bytes:
        """Return the whole frames of what was kept back and ``data``; copy nothing if they fit."""
        if self._rest:
            data = self._rest + data
        surplus = len(data) % self._frame_bytes
        if not surplus:
            self._rest = b""
            return data
        self._rest = data[-surplus:]
        return data[:-surplus]

    def verify_end(self) -> None:
        """Raise UndecodableAudio if part of a frame is left."""
        if self._rest:
            raise UndecodableAudio(
                f"the audio ends inside a sample: {len(self._rest)} byte(s) beyond a multiple of "
                f"{self._frame_bytes} (2 bytes for each channel); what came before was recognised",
                field="audio",
            )


class WavDecoder:
    """A RIFF/WAVE stream of 16-bit PCM; see ``AudioDecoder``.

    The header may arrive in pieces. Sizes that a live recorder could not know (0 or 0xFFFFFFFF) mean "to the end".
    What follows the samples, such as tags, is passed over.

    Source: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0"; RFC 2361.
    """

    def __init__(self, audio: AudioFormat) -> None:
        self.pcm_format: PcmFormat | None = None
        self._claimed = audio
        self._header: WavHeader | None = WavHeader()
        self._left = 0
        self._frames = FrameAligner(BYTES_PER_SAMPLE)

    def decode(self, data: bytes) -> bytes:
        """Return the whole frames; see ``AudioDecoder``."""
        if self._header is not None:
            data = self._read_header(self._header, data)
        if len(data) > self._left:
            data = data[: self._left]
        self._left -= len(data)
        return self._frames.align(data)

    def verify_end(self) -> None:
        """See ``AudioDecoder``."""
        if self._header is not None and self._header.has_begun:
            raise UndecodableAudio("the audio ends inside its WAV header", field="audio")
        self._frames.verify_end()

    def _read_header(self, header: WavHeader, data: bytes) -> bytes:
        """Return the bytes after the header once it is whole, else nothing."""
        samples = header.read(data)
        if not header.is_whole or header.pcm_format is None:
            return b""
        self._header = None
        self.pcm_format, self._left = header.pcm_format, header.data_bytes
        self._frames = FrameAligner(self.pcm_format.frame_bytes)
        _verify_claim("sample_rate_hertz", self._claimed.sample_rate_hertz, self.pcm_format.sample_rate_hertz)
        _verify_claim("audio_channel_count", self._claimed.channel_count, self.pcm_format.channel_count)
        return samples


DECODERS: Final[Mapping[Encoding, Callable[[AudioFormat], AudioDecoder]]] = {
    Encoding.LINEAR16: Linear16Decoder,
    Encoding.WAV: WavDecoder,
}

_UNKNOWN_SIZES: Final = (0, 0xFFFFFFFF)
_WAVE_PCM: Final = 1
_WAVE_EXTENSIBLE: Final = 0xFFFE
_LONGEST_HEADER: Final = 1 << 20
# Far more than any program writes; each costs time.
_MOST_PARTS: Final = 1000
_PART: Final = struct.Struct("<4sI")


class WavHeader:
    """The header of a WAV stream; each byte is read once, however the stream is cut.

    Attributes:
        pcm_format: What the samples are; None until it is known.
        data_bytes: How many bytes they are.
        is_whole: Whether the samples have been reached.
    """

    def __init__(self) -> None:
        self.pcm_format: PcmFormat | None = None
        self.data_bytes = 0
        self.is_whole = False
        self._pending = bytearray()
        self._position = 0
        self._parts = 0
        self._body_bytes = 0
        self._needed_bytes = _HEADER_NAMES_BYTES
        self._step: Callable[[bytes], None] = _verify_names

    @property
    def has_begun(self) -> bool:
        """Whether anything has come."""
        return bool(self._position or self._pending)

    def read(self, data: bytes) -> bytes:
        """Return the bytes that follow the header, once it is whole.

        Raises:
            UndecodableAudio: It is none, or of audio that is not taken.
        """
        self._pending += data
        if not self._position:
            _verify_names(bytes(self._pending[:_HEADER_NAMES_BYTES]))
        start = 0
        while not self.is_whole and len(self._pending) - start >= self._needed_bytes:
            piece = bytes(self._pending[start : start + self._needed_bytes])
            start += len(piece)
            self._position += len(piece)
            # After a body comes the head of the next part; after a head, what that says.
            self._needed_bytes, step, self._step = _PART.size, self._step, self._read_part
            step(piece)
        rest = bytes(self._pending[start:]) if self.is_whole else b""
        del self._pending[:start]
        return rest

    def _read_part(self, head: bytes) -> None:
        name, size = _PART.unpack(head)
        self._parts += 1
        if name == b"data":
            if self.pcm_format is None:
                raise UndecodableAudio("the WAV header holds no format before the samples", field="audio")
            self.data_bytes = 1 << 62 if size in _UNKNOWN_SIZES else size
            self.is_whole = True
            return
        if self._position + size > _LONGEST_HEADER:
            raise UndecodableAudio(
                f"the WAV header is broken: a part of {size} bytes reaches beyond {_LONGEST_HEADER}", field="audio"
            )
        if self._parts > _MOST_PARTS:
            raise UndecodableAudio(
                f"the WAV header is broken: it has more than {_MOST_PARTS} parts before the samples", field="audio"
            )
        self._body_bytes = size
        self._needed_bytes = size + size % 2
        self._step = self._read_format if name == b"fmt " else _pass_over

    def _read_format(self, body: bytes) -> None:
        self.pcm_format = _parse_wav_format(body[: self._body_bytes])


def _pass_over(_body: bytes) -> None:
    """Read a part that is of no use, such as tags."""


def _verify_names(data: bytes) -> None:
    if not (data[:4] == b"RIFF"[: len(data)] and data[8:12] == b"WAVE"[: max(0, len(data) - 8)]):
        raise UndecodableAudio(
            "the audio does not start as a WAV file does; set the encoding that it has", field="audio"
        )


def _parse_wav_format(body: bytes) -> PcmFormat:
    if len(body) < 16:
        raise UndecodableAudio(f"the WAV header is broken: a format of {len(body)} bytes", field="audio")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if tag == _WAVE_EXTENSIBLE and len(body) >= 26:
        (tag,) = struct.unpack_from("<H", body, 24)
    if tag != _WAVE_PCM or bits != 8 * BYTES_PER_SAMPLE:
        raise UndecodableAudio(
            f"the WAV file holds format {tag} with {bits} bits; 16-bit PCM (format 1) is what is taken", field="audio"
        )
    if not MIN_SAMPLE_RATE_HERTZ <= rate <= MAX_SAMPLE_RATE_HERTZ:
        raise UndecodableAudio(
            f"the WAV file has {rate} Hz; {MIN_SAMPLE_RATE_HERTZ} to {MAX_SAMPLE_RATE_HERTZ} are taken", field="audio"
        )
    if not 1 <= channels <= MAX_CHANNELS:
        raise UndecodableAudio(f"the WAV file has {channels} channels; 1 to {MAX_CHANNELS} are taken", field="audio")
    return PcmFormat(rate, channels)


def _verify_claim(field: str, claimed: int | None, found: int) -> None:
    if claimed not in (None, found):
        raise InvalidRequest(
            f"the config says {claimed}, the WAV header {found}; leave it out, or make them agree",
            field=f"{_FORMAT_FIELD}.{field}",
        )


def _refuse_header(data: bytes) -> None:
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        raise InvalidRequest(
            "the audio starts with a WAV header, which LINEAR16 would take for sound; set the encoding to WAV",
            field=f"{_FORMAT_FIELD}.encoding",
        )
