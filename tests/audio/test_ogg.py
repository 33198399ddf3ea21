from __future__ import annotations

import pytest

from asrgateway_server.audio.encodings import open_decoder
from asrgateway_server.audio.ogg import OggReader
from asrgateway_server.audio.ogg_framer import ogg_opus
from asrgateway_server.audio.packets import Gap, Packet, Stream, Unit
from asrgateway_server.config import AudioFormat, Encoding
from asrgateway_server.errors import UndecodableAudio
from coded_audio import decoded_by, pieces
from containers import CONTINUED, FIRST, LAST, OPUS_SILENCE, OPUS_TAGS, ogg_page, opus_head

OPUS = AudioFormat(encoding=Encoding.OGG_OPUS)
HEAD = ogg_page([opus_head(skipped=312)], position=0, sequence=0, flags=FIRST)
TAGS = ogg_page([OPUS_TAGS], position=0, sequence=1)


def audio(sequence: int, count: int, position: int, flags: int = 0) -> bytes:
    return ogg_page([OPUS_SILENCE] * count, position=position, sequence=sequence, flags=flags)


def packets(data: bytes, size: int = 10_000) -> list[bytes]:
    reader = OggReader(b"first")
    return [packet for piece in pieces(data, size) for page in reader.feed(piece) for packet in page.packets]


def units(data: bytes, size: int = 10_000) -> list[Unit]:
    framer = ogg_opus(OPUS)
    return [unit for piece in pieces(data, size) for unit in framer.feed(piece)]


def kept(data: bytes) -> list[int]:
    return [unit.kept_samples for unit in units(data) if isinstance(unit, Packet)]


LONG = bytes(range(256)) * 2
PAGES = (
    ogg_page([b"first"], position=0, sequence=0, flags=FIRST)
    + ogg_page([b"a", b"", bytes(255), LONG[:510]], position=1, sequence=1, is_open=True)
    + ogg_page([LONG[510:], b"b"], position=2, sequence=2, flags=CONTINUED)
)


@pytest.mark.parametrize("size", [1, 2, 27, 300, 10_000])
def test_packets_are_whole_however_their_pages_are_cut(size: int) -> None:
    assert packets(PAGES, size) == [b"first", b"a", b"", bytes(255), LONG, b"b"]


def test_a_packet_leaves_before_its_page_is_whole() -> None:
    page = ogg_page([b"one", b"two" * 50], position=1, sequence=1)
    assert packets(ogg_page([b"first"], position=0, sequence=0, flags=FIRST) + page[:40]) == [b"first", b"one"]


def test_other_streams_are_passed_over() -> None:
    other = ogg_page([b"video"], position=0, sequence=0, serial=8, flags=FIRST)
    more = ogg_page([b"picture"], position=0, sequence=1, serial=8)
    assert packets(other + PAGES + more) == packets(PAGES)


def test_a_page_that_is_broken_where_its_place_is_not_sure_is_passed_over() -> None:
    broken = bytearray(ogg_page([b"lost"], position=1, sequence=1))
    broken[-1] ^= 1
    assert packets(b"OggS" + bytes(50) + bytes(broken) + ogg_page([b"found"], position=2, sequence=2)) == [b"found"]


def test_a_packet_whose_beginning_is_lost_is_dropped() -> None:
    begin, end = PAGES.rindex(b"OggS"), len(PAGES)
    assert packets(PAGES[begin:end]) == [b"b"]


def test_a_comment_of_hundreds_of_kilobytes_is_not_kept() -> None:
    reader = OggReader(b"first")
    list(reader.feed(ogg_page([b"first"], position=0, sequence=0, flags=FIRST)))
    for number in range(1, 6):
        flags = CONTINUED if number > 1 else 0
        page = ogg_page([bytes(255 * 255)], position=-1, sequence=number, flags=flags, is_open=True)
        assert [packet for part in reader.feed(page) for packet in part.packets] == []
    end = ogg_page([b"end", b"next"], position=1, sequence=6, flags=CONTINUED)
    assert [packet for part in reader.feed(end) for packet in part.packets] == [b"next"]


# Opus -------------------------------------------------------------------------------------------------------------


def test_the_end_of_a_stream_is_cut_where_its_last_page_says() -> None:
    data = HEAD + TAGS + audio(2, 5, 4_800) + audio(3, 5, 4_800 + 2_000, LAST)
    assert kept(data) == [960] * 5 + [960, 960, 80]


def test_a_stream_without_its_last_page_is_not_cut() -> None:
    assert kept(HEAD + TAGS + audio(2, 5, 4_800)) == [960] * 5


def test_a_lost_page_becomes_silence() -> None:
    found = units(HEAD + TAGS + audio(2, 5, 4_800) + audio(4, 5, 3 * 4_800))
    assert [unit for unit in found if isinstance(unit, Gap)] == [Gap(4_800)]


def test_a_jump_of_positions_is_no_loss() -> None:
    found = units(HEAD + TAGS + audio(2, 5, 4_800) + audio(4, 5, 10**12))
    assert [unit for unit in found if isinstance(unit, Gap)] == []


def test_each_stream_of_a_chain_has_a_delay_of_its_own() -> None:
    second = ogg_page([opus_head(channels=2, skipped=99)], position=0, sequence=0, serial=9, flags=FIRST)
    streams = [unit for unit in units(HEAD + TAGS + audio(2, 5, 4_800, LAST) + second) if isinstance(unit, Stream)]
    assert [(stream.channel_count, stream.skipped_samples) for stream in streams] == [(1, 312), (2, 99)]


def test_silence_counts_as_audio_in_its_place() -> None:
    decoder = open_decoder(OPUS)
    pcm = decoded_by(decoder, HEAD + TAGS + audio(2, 5, 4_800) + audio(4, 5, 3 * 4_800), 9)
    assert len(pcm) == 2 * (3 * 4_800 - 312)


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (opus_head()[:12], "it has 12 bytes"),
        (opus_head(version=16), "of version 1; version 0"),
        (opus_head(channels=0), "0 channels in mapping 0"),
        (opus_head(channels=3), "3 channels in mapping 0"),
        (opus_head(channels=9, family=1), "9 channels in mapping 1"),
        (opus_head(family=2), "mapping 2 of 1 channels"),
        (opus_head(channels=2, family=255), "mapping 255 of 2 channels"),
    ],
)
def test_a_head_that_is_broken_is_refused(head: bytes, says: str) -> None:
    with pytest.raises(UndecodableAudio, match=says):
        decoded_by(open_decoder(OPUS), ogg_page([head], position=0, sequence=0, flags=FIRST) + TAGS)
