"""Audio as the client sends it to samples: takes off container and code, piece by piece. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

from dashscope_emulator.coded_audio import Aac, Amr, Mp3, Opus, Speex
from dashscope_emulator.plain_audio import Pcm, Wav


class AudioInput(Protocol):
    """Takes bytes, returns mono 16-bit little-endian samples."""

    def feed(self, data: bytes) -> bytes:
        """Take more bytes; return the whole samples that became ready.

        Raises:
            UndecodableAudio: They are not what was declared.
        """

    def end(self) -> bytes:
        """Return what is left: no more bytes come.

        Raises:
            UndecodableAudio: They are not what was declared.
        """


class UnknownFormat(Exception):
    """There is no such format."""


_PLAIN: Final[Mapping[str, type[Pcm] | type[Wav]]] = MappingProxyType({"pcm": Pcm, "wav": Wav})
_CODED: Final[Mapping[str, type[Opus] | type[Speex] | type[Mp3] | type[Aac] | type[Amr]]] = MappingProxyType(
    {"opus": Opus, "speex": Speex, "mp3": Mp3, "aac": Aac, "amr": Amr}
)


def open_input(name: str, rate_hertz: int) -> AudioInput:
    """Begin to read audio.

    Args:
        name: The format as the client names it.
        rate_hertz: The rate of the samples that come out. Coded audio is converted to it; plain audio has it.

    Raises:
        UnknownFormat: There is none of that name.
    """
    if name in _PLAIN:
        return _PLAIN[name]()
    if name not in _CODED:
        raise UnknownFormat(name)
    return _CODED[name](rate_hertz)
