"""Ogg pages, cut anywhere."""

from __future__ import annotations

import pytest

from coded_speech import coded
from dashscope_emulator.ogg import OggPackets
from dashscope_emulator.plain_audio import UndecodableAudio


def test_how_pages_are_cut_does_not_matter() -> None:
    data, packets = coded("opus"), OggPackets()
    cut = [packet for begin in range(0, len(data), 7) for packet in packets.feed(data[begin : begin + 7])]
    assert cut == OggPackets().feed(data)
    assert cut[0].startswith(b"OpusHead")


def test_bytes_between_the_pages_of_a_file_are_skipped() -> None:
    data = coded("opus")
    second = data.index(b"OggS", 1)
    assert OggPackets().feed(data[:second] + b"stray" + data[second:]) == OggPackets().feed(data)


def test_a_file_without_pages_is_refused() -> None:
    with pytest.raises(UndecodableAudio, match="no Ogg file"):
        OggPackets().feed(bytes(70_000))
