"""What turns coded bytes, cut anywhere, into whole frames of interleaved 16-bit samples."""

from __future__ import annotations

from typing import Protocol

from asrgateway_server.audio.pcm import PcmFormat


class AudioDecoder(Protocol):
    """Turns one call's bytes into PCM, in steps of a few milliseconds at most."""

    @property
    def pcm_format(self) -> PcmFormat | None:
        """What ``decode`` returns; None until the audio has told it, and never changed afterwards."""

    @property
    def has_more(self) -> bool:
        """Whether the bytes so far hold more than was decoded: ``decode(b"")`` goes on."""

    def decode(self, data: bytes) -> bytes:
        """Return whole frames that ``data`` completes, or the first of them.

        Raises:
            UndecodableAudio: The bytes are not of this encoding.
            InvalidRequest: They contradict the config.
        """

    def flush(self) -> bytes:
        """Return the rest; nothing may follow."""

    def verify_end(self) -> None:
        """Raise UndecodableAudio if the audio may not end where it has."""
