from __future__ import annotations

import random
from collections.abc import Sequence
from unittest.mock import Mock, patch

import pytest

from asrgateway_server.audio.packets import Gap, Packet, Stream, Unit
from asrgateway_server.audio.webm import WebmFramer
from asrgateway_server.config import AudioFormat, Encoding
from asrgateway_server.errors import UndecodableAudio
from coded_audio import pieces
from containers import OPUS_SILENCE, UNKNOWN, block, cluster, opus_head, part, track, webm_header

WEBM = AudioFormat(encoding=Encoding.WEBM_OPUS)
HEADER = webm_header(track(setup=opus_head(skipped=312)))
ONE, TWO = OPUS_SILENCE + b"1", OPUS_SILENCE + b"22"
BIG = OPUS_SILENCE + bytes(300)


def units(data: bytes, size: int = 10_000) -> list[Unit]:
    framer = WebmFramer(WEBM)
    return [*(unit for piece in pieces(data, size) for unit in framer.feed(piece)), *framer.flush()]


def packets(data: bytes, size: int = 10_000) -> list[bytes]:
    return [unit.data for unit in units(data, size) if isinstance(unit, Packet)]


@pytest.mark.parametrize("size", [1, 3, 50, 10_000])
def test_packets_of_clusters_of_unknown_size_are_whole(size: int) -> None:
    assert packets(HEADER + cluster(block(ONE), block(TWO)) + cluster(block(BIG)), size) == [ONE, TWO, BIG]


def test_clusters_of_known_size_are_read_like_others() -> None:
    known = part(0x1F43B675, part(0xE7, b"\0") + block(ONE))
    assert packets(HEADER + known + known) == [ONE, ONE]


@pytest.mark.parametrize(
    ("lacing", "payload"),
    [
        (1, bytes((2, len(ONE), 255, len(BIG) - 255)) + ONE + BIG + TWO),
        (3, bytes((2, 0x80 | len(ONE))) + (0x4000 | 8191 + len(BIG) - len(ONE)).to_bytes(2, "big") + ONE + BIG + TWO),
    ],
    ids=["as in Xiph", "as in EBML"],
)
def test_a_lace_is_opened(lacing: int, payload: bytes) -> None:
    assert packets(HEADER + cluster(block(payload, lacing=lacing))) == [ONE, BIG, TWO]


def test_a_lace_of_equal_packets_is_opened() -> None:
    assert packets(HEADER + cluster(block(b"\2" + ONE * 3, lacing=2))) == [ONE] * 3


@pytest.mark.parametrize("payload", [b"", b"\xff", b"\3\xff\xff", b"\2\x81\xff\xff" + ONE])
@pytest.mark.parametrize("lacing", [1, 2, 3])
def test_a_lace_that_is_broken_holds_nothing(payload: bytes, lacing: int) -> None:
    assert packets(HEADER + cluster(block(payload, lacing=lacing), block(ONE)))[-1] == ONE


def test_other_tracks_are_passed_over() -> None:
    header = webm_header(track(codec=b"V_VP8"), track(number=2, setup=opus_head()))
    assert packets(header + cluster(block(bytes(5_000)), block(ONE, number=2))) == [ONE]


def test_the_delay_of_the_track_goes_before_that_of_the_head() -> None:
    delay = part(0x56AA, (6_500_000).to_bytes(4, "big"))
    header = webm_header(track(setup=opus_head(skipped=100), more=delay))
    (stream,) = (unit for unit in units(header + cluster(block(ONE))) if isinstance(unit, Stream))
    assert stream.skipped_samples == 312


def test_a_delay_of_more_than_two_seconds_is_refused() -> None:
    delay = part(0x56AA, (2_100_000_000).to_bytes(4, "big"))
    with pytest.raises(UndecodableAudio, match=r"CodecDelay is 2\.1 s; 2 s at most") as caught:
        units(webm_header(track(setup=opus_head(), more=delay)) + cluster(block(ONE)))
    assert caught.value.field == "audio"


def test_padding_at_the_end_is_cut() -> None:
    padding = part(0x75A2, (10_000_000).to_bytes(4, "big"))
    group = part(0xA0, part(0xA1, bytes((0x81, 0, 0, 0)) + ONE) + part(0x9B, b"\x14") + padding)
    found = [unit.kept_samples for unit in units(HEADER + cluster(block(ONE)) + group) if isinstance(unit, Packet)]
    assert found == [960, 480]


def test_a_block_of_a_group_is_given_when_the_next_part_begins_or_nothing_follows() -> None:
    group = part(0xA0, part(0xA1, bytes((0x81, 0, 0, 0)) + ONE))
    assert packets(HEADER + cluster(group, block(TWO), group)) == [ONE, TWO, ONE]


def test_a_stream_may_be_joined_at_any_cluster() -> None:
    assert packets(bytes(99) + cluster(block(ONE), block(TWO))) == [ONE, TWO]


def test_a_part_of_another_kind_is_passed_over_however_large_it_is() -> None:
    framer = WebmFramer(WEBM)
    framer.feed(HEADER + part(0x1254C367, b"", size=b"\x08" + (1 << 30).to_bytes(4, "big")))
    assert framer.feed(bytes(100_000)) == []


def test_a_file_without_opus_is_refused() -> None:
    with pytest.raises(UndecodableAudio, match="holds A_VORBIS; A_OPUS"):
        units(webm_header(track(codec=b"A_VORBIS")) + cluster(block(ONE)))


@pytest.mark.parametrize("size", [UNKNOWN, b"\x08\xff\xff\xff\xff"])
def test_a_block_of_senseless_size_is_not_waited_for(size: bytes) -> None:
    broken = part(0xA3, b"", size=size)
    assert packets(HEADER + cluster(broken) + bytes(50) + cluster(block(TWO))) == [TWO]


# What is broken ---------------------------------------------------------------------------------------------------

CHANCE = random.Random(1)
#: As Opus of 32 kbit/s: 20 ms each.
FRAMES = [b"\xf8" + CHANCE.randbytes(79) for _ in range(20)]
BLOCKS = [block(frame, ticks=20 * number) for number, frame in enumerate(FRAMES)]
BEFORE, AFTER = HEADER + cluster(*BLOCKS[:5]), b"".join(BLOCKS[6:])


def samples(found: Sequence[Unit]) -> int:
    """How much audio units are."""
    return sum(unit.samples for unit in found if not isinstance(unit, Stream))


def test_bytes_that_are_no_part_cost_nothing_else() -> None:
    assert packets(HEADER + cluster(block(ONE)) + bytes(100) + block(TWO) + cluster(block(BIG))) == [ONE, TWO, BIG]


@pytest.mark.parametrize(("change", "size"), [(1, 10_000), (0x20, 10_000), (0x40, 10_000), (0x80, 10_000), (0xFF, 40)])
def test_a_wrong_byte_costs_a_few_packets_and_moves_no_later_one(change: int, size: int) -> None:
    for place in range(len(BLOCKS[5])):
        broken = bytearray(BLOCKS[5])
        broken[place] ^= change
        found = units(BEFORE + broken + AFTER, size)
        heard = [unit.data for unit in found if isinstance(unit, Packet)]
        assert len(set(heard) & set(FRAMES)) >= 17, place
        assert heard[-10:] == FRAMES[-10:], place
        assert abs(samples(found) - 20 * 960) <= 6 * 960, place


@pytest.mark.parametrize("place", range(4))
def test_a_cluster_whose_name_is_broken_is_heard(place: int) -> None:
    broken = bytearray(cluster(*BLOCKS))
    broken[place] ^= 0x10
    assert packets(HEADER + cluster(block(ONE)) + broken) == [ONE, *FRAMES]
    assert packets(HEADER + broken) == FRAMES


def test_audio_that_was_lost_becomes_a_gap() -> None:
    found = units(HEADER + cluster(*BLOCKS[:10]) + bytes(2_000) + cluster(*BLOCKS[:5], ticks=1_003))
    assert [unit for unit in found if isinstance(unit, Gap)] == [Gap(40 * 960)]


def test_a_gap_is_counted_in_the_ticks_of_the_file() -> None:
    info = part(0x1549A966, part(0x2AD7B1, (100_000).to_bytes(4, "big")))
    found = units(HEADER + info + cluster(BLOCKS[0]) + bytes(9) + cluster(BLOCKS[0], ticks=400))
    assert [unit for unit in found if isinstance(unit, Gap)] == [Gap(960)]


def test_time_that_no_loss_explains_is_no_gap() -> None:
    found = units(HEADER + cluster(BLOCKS[0]) + cluster(BLOCKS[0], ticks=500))
    assert [unit for unit in found if isinstance(unit, Gap)] == []


def test_what_looks_like_a_large_part_of_a_cluster_is_not_passed_over() -> None:
    for name in (0xEC, 0xAF, 0x75A1, 0x42FF, 0x1254C368):
        large = part(name, b"", size=b"\x10\x02\0\0")
        assert packets(HEADER + cluster(BLOCKS[0]) + large + BLOCKS[1] + BLOCKS[2]) == FRAMES[:3]


def test_a_block_that_took_others_is_opened() -> None:
    large = part(0xA3, b"\x81\0\0\0" + FRAMES[0][:30], size=b"\x42\0")
    assert packets(HEADER + cluster(large, *BLOCKS[1:])) == FRAMES[1:]


def test_after_a_loss_parts_are_sought_without_much_work() -> None:
    """Each place may begin something; none may be followed far."""
    for decoy in (b"\xe7\x81\0", b"\xa0\x90", b"\xa3\x90\x81\0\0\0\xf8", b"\xa3\x81\x81"):
        framer = WebmFramer(WEBM)
        framer.feed(HEADER + cluster(BLOCKS[0]) + bytes(9))
        parts = Mock(wraps=framer._part_at)
        with patch.object(framer, "_part_at", parts):
            framer.feed(decoy * 200)
        assert parts.call_count < 4_000, decoy


def test_a_header_of_a_thousand_tracks_is_refused() -> None:
    with pytest.raises(UndecodableAudio, match="more than 100 tracks"):
        units(webm_header(*[track()] * 1_000))
