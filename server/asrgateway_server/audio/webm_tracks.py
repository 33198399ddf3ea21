"""The tracks that the header of a WebM file describes.

Source: RFC 9559 (Matroska), section 5.1.4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from asrgateway_server.audio import opus
from asrgateway_server.audio.packets import refused
from asrgateway_server.audio.webm_parts import CODEC, DELAY, ENCODINGS, NUMBER, SETUP

_MOST_TRACKS: Final = 100
# Coders of Opus put 80 ms at most in front.
_MOST_DELAY_SECONDS: Final = 2


@dataclass(slots=True)
class Track:
    """A track.

    Attributes:
        number: What its blocks begin with.
        codec: Its name, as Matroska has it.
        setup: What the codec has to know before its first packet.
        delay_samples: What the coder put in front, at 48 kHz; None: not said.
        is_encoded: Its blocks are compressed or encrypted again.
    """

    number: int = 0
    codec: bytes = b""
    setup: bytes = b""
    delay_samples: int | None = None
    is_encoded: bool = False

    @property
    def is_opus(self) -> bool:
        """Whether it can be decoded."""
        return self.codec == b"A_OPUS" and not self.is_encoded


class Tracks(list[Track]):
    """The tracks of a header, in its order; none, if no header has been seen."""

    def add(self) -> None:
        """Begin another track."""
        if len(self) >= _MOST_TRACKS:
            raise refused(f"the WebM header is broken: it has more than {_MOST_TRACKS} tracks")
        self.append(Track())

    def read(self, name: int, body: bytes) -> None:
        """Note one of ``TRACK_VALUES`` for the last track."""
        if self:
            TRACK_VALUES[name](self[-1], body)

    def may_have(self, number: int) -> bool:
        """Whether a block may begin with a number."""
        return not self or any(track.number == number for track in self)

    @property
    def first_opus(self) -> Track | None:
        """The track that is decoded."""
        return next((track for track in self if track.is_opus), None)


def _set_number(track: Track, body: bytes) -> None:
    track.number = int.from_bytes(body, "big")


def _set_codec(track: Track, body: bytes) -> None:
    track.codec = body.rstrip(b"\0")


def _set_setup(track: Track, body: bytes) -> None:
    track.setup = body


def _set_delay(track: Track, body: bytes) -> None:
    seconds = int.from_bytes(body, "big") / 10**9
    if seconds > _MOST_DELAY_SECONDS:
        raise refused(
            f"the WebM header is broken: CodecDelay is {seconds:.1f} s; {_MOST_DELAY_SECONDS} s at most are taken"
        )
    track.delay_samples = int.from_bytes(body, "big") * opus.RATE_HERTZ // 10**9


def _set_encoded(track: Track, _body: bytes) -> None:
    track.is_encoded = True


TRACK_VALUES: Final[dict[int, Callable[[Track, bytes], None]]] = {
    NUMBER: _set_number,
    CODEC: _set_codec,
    SETUP: _set_setup,
    DELAY: _set_delay,
    ENCODINGS: _set_encoded,
}
