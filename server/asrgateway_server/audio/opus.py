"""What Opus packets and the head of an Opus stream say of themselves.

Source: RFC 6716, section 3; RFC 7845, section 5.1.
"""

from __future__ import annotations

from typing import Final

from asrgateway_server.audio.packets import Stream, refused

RATE_HERTZ: Final = 48_000
HEAD: Final = b"OpusHead"
# All other rates that Opus codes; a client may declare any of them.
_RATES_HERTZ: Final = (8_000, 12_000, 16_000, 24_000)
#: Rates of audio that Opus codes as it is.
CODED_RATES_HERTZ: Final = (*_RATES_HERTZ, RATE_HERTZ)
_HEAD_BYTES: Final = 19
_MOST_SAMPLES: Final = 5_760
_MOST_FRAME_BYTES: Final = 1_275
_MOST_PADDED_BYTES: Final = 64 * 1024
_FRAME_SAMPLES: Final = (
    *((480, 960, 1_920, 2_880) * 3),
    *((480, 960) * 2),
    *((120, 240, 480, 960) * 4),
)


def packet_samples(packet: bytes) -> int:
    """Return how long a packet is, at 48 kHz; 0 if it is none."""
    if not packet:
        return 0
    code = packet[0] & 3
    if code == 3 and len(packet) < 2:
        return 0
    count = packet[1] & 0x3F if code == 3 else (1, 2, 2)[code]
    samples = count * _FRAME_SAMPLES[packet[0] >> 3]
    return samples if samples <= _MOST_SAMPLES else 0


def may_have_size(beginning: bytes, size: int) -> bool:
    """Whether a packet that begins so, with at least two bytes if it has them, may have so many."""
    if not beginning:
        return size == 0
    code, second = beginning[0] & 3, beginning[1] if len(beginning) > 1 else 0
    if code == 3 and second & 0x40:
        return size <= _MOST_PADDED_BYTES
    count = second & 0x3F if code == 3 else (1, 2, 2)[code]
    return size <= 2 + count * (_MOST_FRAME_BYTES + 2)


def stream_from_head(head: bytes, delay_samples: int | None = None) -> Stream:
    """Return the stream that a head describes.

    Args:
        head: The first packet in Ogg, ``CodecPrivate`` in WebM.
        delay_samples: What the container says of the coder's delay; None: the head says.

    Raises:
        UndecodableAudio: It is broken, or of a version or a mapping of channels that is not known.
    """
    if len(head) < _HEAD_BYTES or not head.startswith(HEAD):
        raise refused(f"the Opus header is broken: it has {len(head)} bytes")
    channel_count, family = head[9], head[18]
    if head[8] >= 16:
        raise refused(f"the Opus header is of version {head[8] >> 4}; version 0 is taken")
    if not channel_count or (family == 0 and channel_count > 2) or (family == 1 and channel_count > 8):
        raise refused(f"the Opus header is broken: {channel_count} channels in mapping {family}")
    if family not in (0, 1, 255) or (family and len(head) < _HEAD_BYTES + 2 + channel_count):
        raise refused(f"the Opus header has mapping {family} of {channel_count} channels; it is broken or not known")
    skipped = int.from_bytes(head[10:12], "little") if delay_samples is None else delay_samples
    return Stream(
        codec="opus",
        sample_rate_hertz=RATE_HERTZ,
        channel_count=channel_count,
        setup=head[:10] + bytes(2) + head[12:],  # The delay is cut here, not by the codec.
        skipped_samples=skipped,
        declared_rates_hertz=(*_RATES_HERTZ, int.from_bytes(head[12:16], "little")),
    )


def stream_from_packet(packet: bytes) -> Stream:
    """Return the stream to which a packet belongs whose head has not been seen."""
    return Stream(
        codec="opus",
        sample_rate_hertz=RATE_HERTZ,
        channel_count=2 if packet[0] & 4 else 1,
        declared_rates_hertz=_RATES_HERTZ,
        declared_channel_counts=(1, 2),
    )
