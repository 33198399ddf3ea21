"""G.711, as telephones send it: 8 bits for each sample, by mu-law or A-law.

Source: ITU-T G.711.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from asrgateway_server.audio.declared import declared_rate
from asrgateway_server.audio.frames import FrameAligner
from asrgateway_server.audio.linear16 import HeaderGuard
from asrgateway_server.audio.pcm import PcmFormat
from asrgateway_server.audio.samples import widen
from asrgateway_server.config import AudioFormat

_RATE_HERTZ: Final = 8_000


def _mulaw(code: int) -> int:
    code = ~code & 0xFF
    size = ((code & 0x0F) << 3) + 0x84 << (code >> 4 & 0x07)
    return 0x84 - size if code & 0x80 else size - 0x84


def _alaw(code: int) -> int:
    code ^= 0x55
    exponent, size = code >> 4 & 0x07, ((code & 0x0F) << 4) + 8
    if exponent:
        size = size + 0x100 << exponent - 1
    return size if code & 0x80 else -size


def _tables(decode: Callable[[int], int]) -> tuple[bytes, bytes]:
    values = [struct.pack("<h", decode(code)) for code in range(256)]
    return bytes(value[0] for value in values), bytes(value[1] for value in values)


MULAW: Final = _tables(_mulaw)
ALAW: Final = _tables(_alaw)


class G711Decoder:
    """Samples of 8 bits without a header; see ``AudioDecoder``.

    Args:
        audio: What the config says.
        tables: The lower and upper byte of each code's sample.
    """

    has_more = False

    def __init__(self, audio: AudioFormat, tables: tuple[bytes, bytes]) -> None:
        channel_count = audio.channel_count or 1
        self.pcm_format: PcmFormat | None = PcmFormat(declared_rate(audio, _RATE_HERTZ), channel_count)
        self._tables = tables
        self._frames = FrameAligner(channel_count, channel_count)
        self._guard = HeaderGuard(audio.encoding)

    def decode(self, data: bytes) -> bytes:
        """Return the whole frames; see ``AudioDecoder``."""
        self._guard.verify(data)
        return widen(self._frames.align(data), *self._tables)

    def flush(self) -> bytes:
        """See ``AudioDecoder``."""
        return b""

    def verify_end(self) -> None:
        """See ``AudioDecoder``."""
        self._frames.verify_end()
