"""WAV: a header, and the samples that it describes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from asrgateway_server.audio.declared import ENCODING_FIELD, verify_declared, verify_format
from asrgateway_server.audio.frames import FrameAligner
from asrgateway_server.audio.pcm import BYTES_PER_SAMPLE, PcmFormat
from asrgateway_server.audio.sniff import SNIFFED_BYTES, advice, find_magic
from asrgateway_server.audio.wav_samples import CONVERTERS, Converter
from asrgateway_server.config import AudioFormat
from asrgateway_server.errors import UndecodableAudio

# "RIFF", a size and "WAVE": by these a WAV file is known.
_HEADER_NAMES_BYTES: Final = 12
_UNKNOWN_SIZES: Final = (0, 0xFFFFFFFF)
_WAVE_EXTENSIBLE: Final = 0xFFFE
_LONGEST_HEADER: Final = 1 << 20
# Far more than any program writes; each costs time.
_MOST_PARTS: Final = 1000
_PART: Final = struct.Struct("<4sI")


class WavDecoder:
    """A RIFF/WAVE stream; see ``AudioDecoder``.

    The header may arrive in pieces. Sizes that a live recorder could not know (0 or 0xFFFFFFFF) mean "to the end".
    What follows the samples, such as tags, is passed over.

    Source: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0"; RFC 2361.
    """

    has_more = False

    def __init__(self, audio: AudioFormat) -> None:
        self.pcm_format: PcmFormat | None = None
        self._declared = audio
        self._header: WavHeader | None = WavHeader()
        self._left = 0
        self._frames = FrameAligner(BYTES_PER_SAMPLE, 1)
        self._convert: Converter | None = None

    def decode(self, data: bytes) -> bytes:
        """Return the whole frames; see ``AudioDecoder``."""
        if self._header is not None:
            data = self._read_header(self._header, data)
        if len(data) > self._left:
            data = data[: self._left]
        self._left -= len(data)
        frames = self._frames.align(data)
        return self._convert(frames) if self._convert else frames

    def flush(self) -> bytes:
        """See ``AudioDecoder``."""
        return b""

    def verify_end(self) -> None:
        """See ``AudioDecoder``."""
        if self._header is not None and self._header.has_begun:
            raise UndecodableAudio("the audio ends inside its WAV header", field="audio")
        self._frames.verify_end()

    def _read_header(self, header: WavHeader, data: bytes) -> bytes:
        """Return the bytes after the header once it is whole, else nothing."""
        samples = header.read(data)
        if not header.is_whole or header.format is None:
            return b""
        self._header, self._left = None, header.data_bytes
        self._convert = header.format.convert
        self.pcm_format = found = header.format.pcm_format
        self._frames = FrameAligner(header.format.sample_bytes * found.channel_count, found.channel_count)
        verify_declared(self._declared, "WAV", (found.sample_rate_hertz,), (found.channel_count,))
        return samples


@dataclass(frozen=True, slots=True)
class WavFormat:
    """What the samples of a WAV stream are.

    Attributes:
        pcm_format: What they become.
        sample_bytes: Their size.
        convert: Makes 16-bit samples of them; None: they are.
    """

    pcm_format: PcmFormat
    sample_bytes: int
    convert: Converter | None


class WavHeader:
    """The header of a WAV stream; each byte is read once, however the stream is cut.

    Attributes:
        format: What the samples are; None until it is known.
        data_bytes: How many bytes they are.
        is_whole: Whether the samples have been reached.
    """

    def __init__(self) -> None:
        self.format: WavFormat | None = None
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
            _verify_names(bytes(self._pending[:SNIFFED_BYTES]))
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
            if self.format is None:
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
        self.format = _parse_wav_format(body[: self._body_bytes])


def _pass_over(_body: bytes) -> None:
    """Read a part that is of no use, such as tags."""


def _verify_names(data: bytes) -> None:
    """Raise UndecodableAudio unless these are the first bytes, or the first 12 of them, of a WAV stream."""
    if not (data[:4] == b"RIFF"[: len(data)] and data[8:12] == b"WAVE"[: max(0, len(data) - 8)]):
        complaint = "the audio does not start as a WAV file does"
        raise UndecodableAudio(f"{complaint}; {advice(find_magic(data))}", field=ENCODING_FIELD)


def _parse_wav_format(body: bytes) -> WavFormat:
    if len(body) < 16:
        raise UndecodableAudio(f"the WAV header is broken: a format of {len(body)} bytes", field="audio")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if tag == _WAVE_EXTENSIBLE and len(body) >= 26:
        (tag,) = struct.unpack_from("<H", body, 24)
    open_converter = CONVERTERS.get((tag, bits))
    if open_converter is None:
        raise UndecodableAudio(
            f"the WAV file holds format {tag} with {bits} bits; PCM (format 1) with 8, 16, 24 or 32, floating point "
            "(3) with 32 or 64, A-law (6) and mu-law (7) with 8 are taken",
            field="audio",
        )
    verify_format("WAV file", rate, channels)
    return WavFormat(PcmFormat(rate, channels), bits // 8, open_converter())
