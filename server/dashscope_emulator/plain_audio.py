"""PCM and WAV to whole samples, piece by piece. Pure."""

from __future__ import annotations

import struct
from typing import Final

_MAX_HEADER_BYTES: Final = 64 * 1024
_CHUNK: Final = struct.Struct("<4sI")
_PCM_FORMAT: Final = struct.Struct("<HHIIHH")


class UndecodableAudio(Exception):
    """The bytes are not what the task declared."""


class Pcm:
    """Raw samples; a half sample waits for its other half."""

    def __init__(self) -> None:
        self._half = b""

    def feed(self, data: bytes) -> bytes:
        """Take more bytes; return whole samples."""
        if not self._half and len(data) % 2 == 0:
            return data
        data = self._half + data
        whole = len(data) & ~1
        self._half = data[whole:]
        return data[:whole]

    def end(self) -> bytes:
        """Return nothing: half a sample is none."""
        return b""


class Wav:
    """A RIFF file: its header is checked and dropped. The rate in it is ignored, as the vendor does."""

    def __init__(self) -> None:
        self._header: bytes | None = b""
        self._pcm = Pcm()

    def feed(self, data: bytes) -> bytes:
        """Take more bytes; return whole samples once the header is over."""
        if self._header is None:
            return self._pcm.feed(data)
        self._header += data
        start = _data_offset(self._header)
        if start is None:
            if len(self._header) > _MAX_HEADER_BYTES:
                raise UndecodableAudio("no data chunk at the beginning of the WAV file")
            return b""
        rest = self._header[start:]
        self._header = None
        return self._pcm.feed(rest)

    def end(self) -> bytes:
        """Return nothing: half a sample is none."""
        return b""


def _data_offset(header: bytes) -> int | None:
    """Return where the samples begin; None while the header is not complete."""
    if len(header) < 12:
        return None
    if header[:4] != b"RIFF" or header[8:12] != b"WAVE":
        raise UndecodableAudio("not a WAV file")
    position = 12
    while position + _CHUNK.size <= len(header):
        name, size = _CHUNK.unpack_from(header, position)
        position += _CHUNK.size
        if name == b"data":
            return position
        if name == b"fmt " and position + _PCM_FORMAT.size <= len(header):
            _check_format(header, position)
        position += size + size % 2
    return None


def _check_format(header: bytes, position: int) -> None:
    _, channels, _, _, _, bits = _PCM_FORMAT.unpack_from(header, position)
    if (channels, bits) != (1, 16):
        raise UndecodableAudio(f"{channels} channels of {bits} bits instead of one of 16")
