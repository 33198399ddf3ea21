"""The audio of a task or session, freed of container and code: bytes as received in, samples out. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

from dashscope_emulator.coded_audio import Aac, Amr, Mp3, Opus, Speex
from dashscope_emulator.plain_audio import Pcm, Wav


class AudioInput(Protocol):
    """Takes bytes, gives mono 16-bit little-endian samples."""

    def feed(self, data: bytes) -> bytes:
        """Take more bytes; return the whole samples that became ready.

        Raises:
            UndecodableAudio: They are not what was declared.
        """

    def end(self) -> bytes:
        """No more bytes come: return what is left.

        Raises:
            UndecodableAudio: They are not what was declared.
        """


class UnknownFormat(Exception):
    """There is no such format."""


_PLAIN: Final[Mapping[str, type[Pcm] | type[Wav]]] = MappingProxyType({"pcm": Pcm, "wav": Wav})
_CODED: Final[Mapping[str, type[Opus] | type[Speex] | type[Mp3] | type[Aac] | type[Amr]]] = MappingProxyType(
    {"opus": Opus, "speex": Speex, "mp3": Mp3, "aac": Aac, "amr": Amr}
)


def open_input(name: str, rate_hertz: int, *, resamples: bool) -> AudioInput:
    """Begin to read audio of that format.

    Args:
        name: As the client names it.
        rate_hertz: The samples' rate as the client names it.
        resamples: Coded audio of another rate is converted; otherwise it is taken to have that rate, which it has not.

    Raises:
        UnknownFormat: There is none of that name.
    """
    if name in _PLAIN:
        return _PLAIN[name]()
    if name not in _CODED:
        raise UnknownFormat(name)
    return _CODED[name](rate_hertz if resamples or name == "opus" else None)
