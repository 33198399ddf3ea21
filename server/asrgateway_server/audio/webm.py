"""WebM, as browsers record it, to Opus packets.

The parts of a file are read one after the other, those that hold others like the others: so it does not matter whether
their sizes are known, and a stream may be joined at any cluster. Where a part is broken, the next one is looked for,
and the time stamps of the blocks on both sides say how much was lost.

Source: RFC 8794 (EBML); RFC 9559 (Matroska).
"""

from __future__ import annotations

import re
from typing import Final

from asrgateway_server.audio import opus
from asrgateway_server.audio.packets import Gap, Packet, Unit, refused, whole
from asrgateway_server.audio.webm_laces import lace, opened
from asrgateway_server.audio.webm_parts import (
    BLOCK,
    BLOCKS,
    CLUSTER,
    CONTAINERS,
    EBML,
    GROUP,
    IN_GROUP,
    NO_PART,
    NUMBERS,
    PADDING,
    SIMPLE_BLOCK,
    TICK,
    TIME,
    TOP,
    TRACK,
    Part,
    number,
    part_at,
)
from asrgateway_server.audio.webm_tracks import TRACK_VALUES, Tracks
from asrgateway_server.config import AudioFormat

# Where a file or a cluster begins, and where a part of a cluster may: a block, a group, a time.
_BEGINNINGS: Final = re.compile(rb"\x1a\x45\xdf\xa3|\x1f\x43\xb6\x75")
_BEGINNINGS_IN_CLUSTER: Final = re.compile(_BEGINNINGS.pattern + rb"|\xa3(?=[\x10-\xfe])|\xa0|\xe7(?=[\x81-\x88])")
# A block of one of the first tracks, or nothing more: there is no need to look closer.
_USUAL: Final = re.compile(rb"\xa3(?:[\x84-\xfe]|[\x40-\x45].|\x10\0[\0-\5].)[\x81-\x84]|\Z", re.DOTALL)
_LONGEST_BEGINNING: Final = 4
_MOST_VALUE_BYTES: Final = 4096
# Larger blocks are not looked through for others; Opus has none.
_MOST_DOUBTED_BYTES: Final = 8 * 1024
_MOST_LACE_BYTES: Final = 64 * 1024
# A time, its group and what is said of the cluster before the block, and what follows that.
_MOST_PARTS_BEFORE: Final = 6
_LONGEST_GAP_SAMPLES: Final = 10 * opus.RATE_HERTZ
_TICK_NANOSECONDS: Final = 1_000_000
_READ: Final = frozenset((*TRACK_VALUES, PADDING, TIME, TICK))


class WebmFramer:
    """Takes WebM, returns the packets of its first track in Opus; see ``Framer``."""

    def __init__(self, _: AudioFormat) -> None:
        self.stray_bytes = 0
        self._pending = b""
        self._skipped_bytes = 0
        self._is_synchronised = False
        self._is_in_cluster = False
        self._tracks = Tracks()
        self._track: int | None = None
        self._is_open = False
        self._held: bytes | None = None
        self._tick_nanoseconds = _TICK_NANOSECONDS
        self._cluster_ticks = 0
        self._is_after_loss = False
        self._end: int | None = None

    def feed(self, data: bytes) -> list[Unit]:
        """See ``Framer``."""
        self._pending += data
        units: list[Unit] = []
        while self._advance(units):
            pass
        return units

    def flush(self) -> list[Unit]:
        """See ``Framer``."""
        units: list[Unit] = []
        self._release(units)
        return units

    def _advance(self, units: list[Unit]) -> bool:
        """Take one part off the pending bytes; False if it needs more of them."""
        if self._skipped_bytes:
            skipped = min(self._skipped_bytes, len(self._pending))
            self._skipped_bytes -= skipped
            self._pending = self._pending[skipped:]
        if not self._is_synchronised and not self._search():
            return False
        part = self._part_at(0)
        if part is None:
            return False
        if part is NO_PART:
            return self._lose()
        if part.name not in IN_GROUP:
            self._release(units)
        if part.name in TOP:
            self._is_in_cluster = part.name == CLUSTER
        return self._enter(part) if part.name in CONTAINERS else self._read(part, units)

    def _enter(self, part: Part) -> bool:
        self._pending = self._pending[part.start :]
        if part.name == TRACK:
            self._tracks.add()
        return True

    def _read(self, part: Part, units: list[Unit]) -> bool:
        """Read or pass over a part that holds no others."""
        is_block = part.name in BLOCKS
        if is_block or (part.name in _READ and part.size <= _MOST_VALUE_BYTES):
            if len(self._pending) < part.end:
                return False
            if is_block and self._holds_others(part):
                return self._lose()
            body = self._pending[part.start : part.end]
            self._pending = self._pending[part.end :]
            self._take(part.name, body, units)
            return True
        if part.name == EBML:
            self._tracks, self._track, self._tick_nanoseconds = Tracks(), None, _TICK_NANOSECONDS
        # It may have been a block before a byte of its name was changed.
        self._is_after_loss |= self._is_in_cluster and part.name not in NUMBERS
        self._pending, self._skipped_bytes = self._pending[part.start :], part.size
        return True

    def _take(self, name: int, body: bytes, units: list[Unit]) -> None:
        self.stray_bytes = 0
        if name == SIMPLE_BLOCK:
            self._blocks(body, units)
        elif name == BLOCK:
            self._release(units)
            self._held = body
        elif name == PADDING:
            held, self._held = self._held, None
            self._blocks(held or b"", units, int.from_bytes(body, "big", signed=True) * opus.RATE_HERTZ // 10**9)
        elif name == TIME:
            self._cluster_ticks = int.from_bytes(body, "big")
        elif name == TICK:
            self._tick_nanoseconds = int.from_bytes(body, "big")
        else:
            self._tracks.read(name, body)

    def _release(self, units: list[Unit]) -> None:
        """Return the block of a group that has ended."""
        held, self._held = self._held, None
        if held is not None:
            self._blocks(held, units)

    def _blocks(self, body: bytes, units: list[Unit], padding_samples: int = 0) -> None:
        track, start = number(body, 0, 8)
        if track is None or len(body) < start + 3:
            return
        if self._track is None:
            self._choose(track, units)
        if track != self._track:
            return
        packets = [packet for packet in opened(body[start + 2], body[start + 3 :]) if opus.packet_samples(packet)]
        if not packets:
            self._is_after_loss = True
            return
        if not self._is_open:
            units.append(opus.stream_from_packet(packets[0]))
            self._is_open = True
        self._place(int.from_bytes(body[start : start + 2], "big", signed=True), packets, units)
        units.extend(whole(packet, opus.packet_samples(packet)) for packet in packets)
        if padding_samples > 0:
            samples = opus.packet_samples(packets[-1])
            units[-1] = Packet(packets[-1], samples, max(0, samples - padding_samples))

    def _place(self, ticks: int, packets: list[bytes], units: list[Unit]) -> None:
        """Note where a block ends; after a loss, return a gap of as many packets as fit in front of it."""
        begin = (self._cluster_ticks + ticks) * self._tick_nanoseconds * opus.RATE_HERTZ // 10**9
        if self._is_after_loss and self._end is not None:
            samples = opus.packet_samples(packets[0])
            lost = round((begin - self._end) / samples) * samples
            if 0 < lost <= _LONGEST_GAP_SAMPLES:
                units.append(Gap(lost))
        self._is_after_loss = False
        self._end = begin + sum(map(opus.packet_samples, packets))

    def _choose(self, number: int, units: list[Unit]) -> None:
        """Take the first track in Opus; without a header, the first one that comes."""
        self._end = None
        if not self._tracks:
            self._track, self._is_open = number, False
            return
        track = self._tracks.first_opus
        if track is None:
            codecs = ", ".join(track.codec.decode("ascii", "replace")[:40] for track in self._tracks[:4])
            raise refused(f"the WebM file holds {codecs}; A_OPUS that is not compressed or encrypted again is taken")
        self._track, self._is_open = track.number, bool(track.setup)
        if track.setup:
            units.append(opus.stream_from_head(track.setup, track.delay_samples))

    # Broken parts ------------------------------------------------------------------------------------------------

    def _part_at(self, position: int) -> Part | None:
        """Return the part at a position as ``part_at`` does; blocks are examined."""
        part = part_at(self._pending, position, is_in_cluster=self._is_in_cluster)
        return self._examined(part) if part and part.name in BLOCKS else part

    def _examined(self, block: Part) -> Part | None:
        track, start = number(self._pending, block.start, 8)
        if track is None:
            return NO_PART if start else None
        if track != self._wanted_track():
            return block if self._tracks.may_have(track) else NO_PART
        size = block.end - start - 3
        if size < 0:
            return NO_PART
        beginning = self._pending[start + 2 : min(start + 5, block.end)]
        if len(beginning) < min(3, size + 1):
            return None
        is_right = size <= _MOST_LACE_BYTES if lace(beginning[0]) else opus.may_have_size(beginning[1:], size)
        return block if is_right else NO_PART

    def _wanted_track(self) -> int | None:
        if self._track is not None:
            return self._track
        track = self._tracks.first_opus
        return track.number if track else None

    def _holds_others(self, block: Part) -> bool:
        """Whether a block is too large: what follows may not stand there, and another block begins inside."""
        if not self._is_in_cluster or block.end > _MOST_DOUBTED_BYTES or _USUAL.match(self._pending, block.end):
            return False
        if self._part_at(block.end) is not NO_PART:
            return False
        inside = _BEGINNINGS_IN_CLUSTER.finditer(self._pending, 1, block.end)
        return any(self._goes_on_at(found.start()) for found in inside)

    def _goes_on_at(self, position: int) -> bool | None:
        """Whether a file or cluster begins, or a block of the wanted track and another part do; None: not known yet."""
        if _BEGINNINGS.match(self._pending, position):
            return True
        is_block_found = False
        for _ in range(_MOST_PARTS_BEFORE):
            part = self._part_at(position)
            if part is None:
                return None
            if part is NO_PART or is_block_found:
                return part is not NO_PART
            if part.name in BLOCKS:
                is_block_found = number(self._pending, part.start, 8)[0] == self._wanted_track()
            if not is_block_found and part.name not in NUMBERS and part.name != GROUP:
                return False
            position = part.end
        return False

    def _search(self) -> bool:
        """Go to where the file goes on; False if that has not come."""
        is_track_known = self._is_in_cluster and self._wanted_track() is not None
        beginnings = _BEGINNINGS_IN_CLUSTER if is_track_known else _BEGINNINGS
        for found in beginnings.finditer(self._pending):
            goes_on = self._goes_on_at(found.start())
            if goes_on is not False:
                self._drop(found.start())
                self._is_synchronised = bool(goes_on)
                return self._is_synchronised
        self._drop(max(0, len(self._pending) - _LONGEST_BEGINNING + 1))
        return False

    def _lose(self) -> bool:
        """Look for where the file goes on, as what stands here is no part of it."""
        self._is_synchronised, self._is_after_loss = False, True
        # The name of the cluster may be what is broken.
        self._is_in_cluster |= self._wanted_track() is not None
        self._drop(1)
        return True

    def _drop(self, count: int) -> None:
        self._pending = self._pending[count:]
        self.stray_bytes += count
