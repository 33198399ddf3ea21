"""Packets in a container, or one after the other: decoded, cut as their container says, and bounded."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Final

from asrgateway_server.audio.codec import Codec
from asrgateway_server.audio.declared import ENCODING_FIELD, verify_declared, verify_format
from asrgateway_server.audio.packets import Framer, Gap, Packet, Stream, Unit
from asrgateway_server.audio.pcm import PcmFormat
from asrgateway_server.audio.sniff import ID3_TAG, SNIFFED_BYTES, advice, sniff
from asrgateway_server.config import AudioFormat, Encoding
from asrgateway_server.errors import UndecodableAudio

# Decoded at once: some milliseconds of work at most, and no less than what one live message holds.
_STEP_SECONDS: Final = 0.2
_STEP_UNITS: Final = 32
_STEP_BYTES: Final = 1024
#: Bytes in a row that may hold nothing.
MOST_STRAY_BYTES: Final = 64 * 1024
# Before the first one that can be decoded; MP3 joined in its middle begins with two or three such.
_MOST_BAD_PACKETS: Final = 100
#: Decoded audio may be so long, and a second longer for so many bytes. Silence needs more of them, as `flac` and
#: `opusenc` code it: in FLAC at 8 kHz 22 to 25, at 44.1 kHz 134, and 11 in blocks of 65,535 samples; in Opus with DTX,
#: in packets of 60 ms, 79, and no packets of Opus need less than 16.
FREE_SECONDS: Final = 10
BYTES_PER_SECOND: Final = 8
_ID3: Final = re.compile(ID3_TAG)
_TAGGED: Final = (Encoding.MP3, Encoding.AAC, Encoding.FLAC)


class PacketDecoder:
    """Decodes what a framer finds; see ``AudioDecoder``.

    The first audio determines the format; what comes later in another one is converted. What cannot be decoded among
    audio that can becomes silence of its length.

    Args:
        audio: What the config says.
        framer: Finds the packets.
    """

    def __init__(self, audio: AudioFormat, framer: Callable[[AudioFormat], Framer]) -> None:
        self.pcm_format: PcmFormat | None = None
        self._audio = audio
        self._framer = framer(audio)
        self._start = b""
        self._is_begun = False
        self._input = b""
        self._units: deque[Unit] = deque()
        self._stream: Stream | None = None
        self._codec: Codec | None = None
        self._has_decoded = False
        self._bad_packets = 0
        self._skipped_samples = 0
        self._received_bytes = 0
        self._frames = 0

    @property
    def has_more(self) -> bool:
        """See ``AudioDecoder``."""
        return bool(self._units or self._input)

    def decode(self, data: bytes) -> bytes:
        """Return the next frames; see ``AudioDecoder``."""
        self._received_bytes += len(data)
        self._input += data if self._is_begun else self._begin(data)
        return self._step() if self._input or self._units else b""

    def flush(self) -> bytes:
        """See ``AudioDecoder``."""
        if not self._is_begun:
            self._input += self._begin(b"", is_all=True)
        self._units.extend(self._framer.feed(self._input))
        self._units.extend(self._framer.flush())
        self._input = b""
        pcm = []
        while self._units:
            pcm.append(self._step())
        return b"".join(pcm)

    def verify_end(self) -> None:
        """See ``AudioDecoder``."""
        if not self._received_bytes or self.pcm_format is not None:
            return
        if self._stream is not None:
            raise UndecodableAudio(f"the {self._audio.encoding.name} stream ends before any audio", field="audio")
        raise self._wrong_encoding("holds none")

    def _begin(self, data: bytes, *, is_all: bool = False) -> bytes:
        """Return all that has come once the first bytes are known, else nothing."""
        self._start += data
        if len(self._start) < SNIFFED_BYTES and not is_all:
            return b""
        self._is_begun = True
        likeness = sniff(self._start)
        is_tag = self._audio.encoding in _TAGGED and bool(_ID3.match(self._start))
        if likeness and likeness.encoding is not self._audio.encoding and not is_tag:
            raise self._wrong_encoding("does not start as it does")
        start, self._start = self._start, self._start[:SNIFFED_BYTES]
        return start

    def _step(self) -> bytes:
        pcm: list[bytes] = []
        last_frame = self._frames + int(
            _STEP_SECONDS * (self.pcm_format.sample_rate_hertz if self.pcm_format else 8_000)
        )
        if not self._units:
            self._read()
        for _ in range(_STEP_UNITS):
            if not self._units or self._frames > last_frame:
                break
            pcm.append(self._dispatch(self._units.popleft()))
            self._verify_length()
        return b"".join(pcm)

    def _read(self) -> None:
        piece, self._input = self._input[:_STEP_BYTES], self._input[_STEP_BYTES:]
        self._units.extend(self._framer.feed(piece))
        if self._framer.stray_bytes > MOST_STRAY_BYTES:
            raise self._wrong_encoding(f"holds none in {MOST_STRAY_BYTES} bytes")

    def _dispatch(self, unit: Unit) -> bytes:
        match unit:
            case Stream():
                self._open(unit)
                return b""
            case Gap():
                return self._silence(unit.samples)
            case Packet():
                return self._decode(unit)

    def _open(self, stream: Stream) -> None:
        verify_format(f"{self._audio.encoding.name} audio", stream.sample_rate_hertz, stream.channel_count)
        if self._stream is None:
            verify_declared(
                self._audio,
                self._audio.encoding.name,
                (stream.sample_rate_hertz, *stream.declared_rates_hertz),
                (stream.channel_count, *stream.declared_channel_counts),
            )
        self._stream = stream
        self._codec = Codec(stream, self.pcm_format)
        self._skipped_samples = stream.skipped_samples

    def _decode(self, packet: Packet) -> bytes:
        if self._codec is None:
            return b""
        pcm = self._codec.decode(packet.data)
        if pcm is None:
            return self._undecodable(packet)
        if not pcm:
            return b""
        self._has_decoded = True
        if self.pcm_format is None and self._codec.pcm_format is not None:
            self.pcm_format = self._codec.pcm_format
            verify_format("audio", self.pcm_format.sample_rate_hertz, self.pcm_format.channel_count)
        skipped = min(self._skipped_samples, packet.samples)
        self._skipped_samples -= skipped
        kept = packet.kept_samples if packet.kept_samples < packet.samples else None
        return self._cut(pcm, skipped, kept)

    def _undecodable(self, packet: Packet) -> bytes:
        """Return silence in place of a packet among others; nothing before the first that can be decoded."""
        if self._has_decoded:
            return self._silence(packet.kept_samples)
        self._bad_packets += 1
        if self._bad_packets > _MOST_BAD_PACKETS:
            raise self._wrong_encoding(f"cannot be decoded in {_MOST_BAD_PACKETS} packets")
        return b""

    def _silence(self, samples: int) -> bytes:
        """Return a gap, or the first second of it; the rest comes next."""
        if self._stream is None:
            return b""
        if self.pcm_format is None:
            self.pcm_format = PcmFormat(self._stream.sample_rate_hertz, self._stream.channel_count)
            self._codec = Codec(self._stream, self.pcm_format)
        now = min(samples, self._stream.sample_rate_hertz)
        if samples > now:
            self._units.appendleft(Gap(samples - now))
        return self._cut(bytes(self._bytes_of(now)), 0, None)

    def _cut(self, pcm: bytes, skipped_samples: int, kept_samples: int | None) -> bytes:
        """Count what was decoded, and return the part of it that is audio."""
        if self.pcm_format:
            self._frames += len(pcm) // self.pcm_format.frame_bytes
        begin, end = self._bytes_of(skipped_samples), None if kept_samples is None else self._bytes_of(kept_samples)
        return pcm[begin:end] if begin or end is not None else pcm

    def _bytes_of(self, samples: int) -> int:
        if self._stream is None or self.pcm_format is None:
            return 0
        frames = (samples * self.pcm_format.sample_rate_hertz * 2 // self._stream.sample_rate_hertz + 1) // 2
        return frames * self.pcm_format.frame_bytes

    def _verify_length(self) -> None:
        if self.pcm_format is None:
            return
        seconds = self._frames / self.pcm_format.sample_rate_hertz
        if seconds > FREE_SECONDS + self._received_bytes / BYTES_PER_SECOND:
            raise UndecodableAudio(
                f"{self._received_bytes} bytes of {self._audio.encoding.name} hold more than {seconds:.0f} s of audio; "
                f"{FREE_SECONDS} s and 1 s for each {BYTES_PER_SECOND} bytes are taken",
                field="audio",
            )

    def _wrong_encoding(self, complaint: str) -> UndecodableAudio:
        likeness = sniff(self._start)
        other = likeness if likeness and likeness.encoding is not self._audio.encoding else None
        return UndecodableAudio(
            f"the encoding is declared as {self._audio.encoding.name}, and the audio {complaint}; {advice(other)}",
            field=ENCODING_FIELD,
        )
