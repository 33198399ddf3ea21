"""What containers and framing give: streams, their packets, and gaps between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from asrgateway_server.errors import UndecodableAudio


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Coded audio begins, or continues in another way.

    Attributes:
        codec: As ``codec.py`` names it.
        sample_rate_hertz: Of all numbers of samples here.
        channel_count: What the header says.
        setup: What the codec has to know before its first packet.
        skipped_samples: What the coder put in front of the audio.
        declared_rates_hertz: Other rates by which a client may know it.
        declared_channel_counts: Other counts by which a client may know it.
    """

    codec: str
    sample_rate_hertz: int
    channel_count: int
    setup: bytes = b""
    skipped_samples: int = 0
    declared_rates_hertz: tuple[int, ...] = ()
    declared_channel_counts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Packet:
    """What a codec decodes at once.

    Attributes:
        data: The coded audio.
        samples: How much it is.
        kept_samples: How much of that is audio; the rest follows it and was added by the coder.
    """

    data: bytes
    samples: int
    kept_samples: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Audio that was lost.

    Attributes:
        samples: How much it is.
    """

    samples: int


Unit = Stream | Packet | Gap


class Framer(Protocol):
    """Finds the packets in a call's bytes."""

    @property
    def stray_bytes(self) -> int:
        """How many bytes in a row were of no use, up to now."""

    def feed(self, data: bytes) -> Sequence[Unit]:
        """Return what ``data`` completes.

        Raises:
            UndecodableAudio: The bytes hold something else.
        """

    def flush(self) -> Sequence[Unit]:
        """Return what is complete because nothing follows."""


def whole(data: bytes, samples: int) -> Packet:
    """Return a packet that is all audio."""
    return Packet(data, samples, samples)


def refused(what: str) -> UndecodableAudio:
    """Return the error for audio that is well-formed and not taken."""
    return UndecodableAudio(what, field="audio")
