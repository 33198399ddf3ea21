from __future__ import annotations

import pytest

from asrgateway_server.audio.chunk import PcmChunk
from asrgateway_server.audio.chunker import Chunker

PCM = bytes(range(250)) * 40  # 10 000 bytes: three chunks at 16 kHz and 400 bytes more


def test_a_chunk_holds_a_tenth_of_a_second() -> None:
    assert Chunker(16_000).cut(bytes(3200)) == [PcmChunk(bytes(3200), 0)]


def test_nothing_leaves_before_a_chunk_is_full() -> None:
    assert Chunker(16_000).cut(bytes(3198)) == []


def test_chunks_follow_each_other_without_a_gap() -> None:
    assert Chunker(16_000).cut(PCM) == [
        PcmChunk(PCM[:3200], 0),
        PcmChunk(PCM[3200:6400], 1600),
        PcmChunk(PCM[6400:9600], 3200),
    ]


@pytest.mark.parametrize("size", [2, 4, 398, 3198, 3200, 3202, 6400, 9998])
def test_chunks_do_not_depend_on_how_the_samples_came(size: int) -> None:
    chunker = Chunker(16_000)
    pieces = [PCM[start : start + size] for start in range(0, len(PCM), size)]
    cut = [chunk for piece in pieces for chunk in chunker.cut(piece)]
    assert cut + chunker.flush() == [*Chunker(16_000).cut(PCM), PcmChunk(PCM[9600:], 4800)]


def test_the_rest_leaves_as_a_short_chunk() -> None:
    chunker = Chunker(16_000)
    chunker.cut(PCM[:400])
    assert chunker.flush() == [PcmChunk(PCM[:400], 0)]


def test_audio_after_a_flush_goes_on_where_it_stopped() -> None:
    chunker = Chunker(16_000)
    chunker.cut(PCM[:400])
    chunker.flush()
    assert chunker.cut(PCM[400:3600]) == [PcmChunk(PCM[400:3600], 200)]


def test_without_a_rest_nothing_is_flushed() -> None:
    chunker = Chunker(16_000)
    chunker.cut(bytes(3200))
    assert chunker.flush() == []


def test_a_chunk_ends_where_the_next_one_starts() -> None:
    assert PcmChunk(bytes(3200), 1600).end_samples == 3200
