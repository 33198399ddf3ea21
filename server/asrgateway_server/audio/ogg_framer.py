"""Opus and Speex in Ogg to packets: where they lie by the positions of their pages.

Source: RFC 7845, section 4, for Opus; the Speex manual, section 7.3, and `speexenc` for Speex.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, Protocol

from asrgateway_server.audio import opus
from asrgateway_server.audio.ogg import OggPage, OggReader
from asrgateway_server.audio.packets import Gap, Packet, Stream, Unit, refused
from asrgateway_server.config import AudioFormat

_LONGEST_GAP_SECONDS: Final = 10


class OggCodec(Protocol):
    """What one codec does with Ogg.

    Attributes:
        head: How its first packet begins.
        is_ahead: Whether the first page's position shows what the coder put in front.
    """

    head: bytes
    is_ahead: bool

    def begin(self, packet: bytes) -> Stream:
        """Return the stream that a first packet describes."""

    def join(self, packet: bytes, /) -> Stream:
        """Return the stream of a packet in its middle."""

    def is_comment(self, packet: bytes, number: int, /) -> bool:
        """Whether a packet, counted from the head, is no audio."""

    def samples(self, packet: bytes) -> int:
        """Return how long a packet is; 0 if it is none."""


class OggFramer:
    """Takes Ogg, returns the packets of one codec; see ``Framer``.

    Args:
        codec: The codec.
    """

    def __init__(self, codec: OggCodec) -> None:
        self._codec = codec
        self._reader = OggReader(codec.head)
        self._stream: Stream | None = None
        self._number = 0
        self._position: int | None = None

    @property
    def stray_bytes(self) -> int:
        """See ``Framer``."""
        return self._reader.stray_bytes

    def feed(self, data: bytes) -> list[Unit]:
        """See ``Framer``."""
        return [unit for page in self._reader.feed(data) for unit in self._units(page)]

    def flush(self) -> list[Unit]:
        """See ``Framer``."""
        return []

    def _units(self, page: OggPage) -> Iterable[Unit]:
        packets = page.packets
        if page.is_first and packets and packets[0].startswith(self._codec.head):
            self._stream = self._codec.begin(packets[0])
            self._number, self._position = 1, 0
            yield self._stream
            packets = packets[1:]
        audio = [packet for packet in packets if self._is_audio(packet)]
        if audio and self._stream is None:
            self._stream = self._codec.join(audio[0])
            yield self._stream
        if page.is_after_loss:
            yield from self._gap(page, audio)
        if audio and self._codec.is_ahead and self._position == 0 and not page.is_begun and not page.is_last:
            yield from self._delay(page.packet_count * self._codec.samples(audio[0]) - page.position)
        for packet in audio:
            yield from self._packet(page, packet)
        if page.is_whole and page.position >= 0 and page.packet_count:
            self._position = page.position

    def _is_audio(self, packet: bytes) -> bool:
        if self._stream is None:
            return self._codec.samples(packet) > 0 and not self._codec.is_comment(packet, 1)
        number, self._number = self._number, self._number + 1
        return not self._codec.is_comment(packet, number) and self._codec.samples(packet) > 0

    def _gap(self, page: OggPage, audio: list[bytes]) -> Iterable[Unit]:
        if self._position is None or page.position < 0 or self._stream is None:
            return
        lost = page.position - self._position - sum(map(self._codec.samples, audio))
        if 0 < lost <= _LONGEST_GAP_SECONDS * self._stream.sample_rate_hertz:
            yield Gap(lost)
        self._position = page.position - sum(map(self._codec.samples, audio))

    def _delay(self, samples: int) -> Iterable[Unit]:
        """Cut what the coder put in front: the first page holds so much more than its position says."""
        if self._stream is not None and 0 < samples <= self._stream.sample_rate_hertz:
            self._position = -samples
            yield replace(self._stream, skipped_samples=samples)

    def _packet(self, page: OggPage, packet: bytes) -> Iterable[Unit]:
        samples = kept = self._codec.samples(packet)
        if self._position is not None:
            if page.is_last and page.position >= 0:
                kept = max(0, min(samples, page.position - self._position))
            self._position += samples
        if kept:
            yield Packet(packet, samples, kept)


class _Opus:
    head = opus.HEAD
    is_ahead = False

    def begin(self, packet: bytes) -> Stream:
        return opus.stream_from_head(packet)

    def join(self, packet: bytes) -> Stream:
        return opus.stream_from_packet(packet)

    def is_comment(self, packet: bytes, _number: int) -> bool:
        return packet.startswith(b"OpusTags")

    def samples(self, packet: bytes) -> int:
        return opus.packet_samples(packet)


_SPEEX_HEAD: Final = struct.Struct("<8s20siiiiiiiiiiiii")


class _Speex:
    """Speex, whose packets are all equally long."""

    head = b"Speex   "
    is_ahead = True

    def __init__(self) -> None:
        self._samples = 1  # Until a header says how many
        self._comments = 0

    def begin(self, packet: bytes) -> Stream:
        if len(packet) < _SPEEX_HEAD.size:
            raise refused(f"the Speex header is broken: it has {len(packet)} bytes")
        fields = _SPEEX_HEAD.unpack_from(packet)
        _, _, _, _, rate, mode, _, channel_count, _, _, _, count, extra, _, _ = fields
        if mode not in (0, 1, 2) or channel_count not in (1, 2) or not 1 <= count <= 10 or not 0 <= extra <= 100:
            raise refused(
                f"the Speex header is broken: mode {mode}, {channel_count} channels, {count} frames in a packet"
            )
        self._samples, self._comments = (160 << mode) * count, 1 + extra
        return Stream(codec="speex", sample_rate_hertz=rate, channel_count=channel_count, setup=packet[:80])

    def join(self, _packet: bytes) -> Stream:
        raise refused("the Speex stream has no header; send it from its beginning")

    def is_comment(self, _packet: bytes, number: int) -> bool:
        return number <= self._comments

    def samples(self, packet: bytes) -> int:
        return self._samples if packet else 0


def ogg_opus(_: AudioFormat) -> OggFramer:
    """Return what takes Opus in Ogg."""
    return OggFramer(_Opus())


def ogg_speex(_: AudioFormat) -> OggFramer:
    """Return what takes Speex in Ogg."""
    return OggFramer(_Speex())
