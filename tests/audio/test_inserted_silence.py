"""Silence that was put into a stream never moves a time."""

from __future__ import annotations

import pytest

from asrgateway_server.audio.inserted_silence import InsertedSilence


@pytest.fixture
def splice() -> InsertedSilence:
    """One second of audio, half a second of silence in two parts, a second of audio, a second of silence."""
    made = InsertedSilence()
    made.add(1000, 200)
    made.add(1200, 300)
    made.add(2500, 1000)
    return made


@pytest.mark.parametrize(
    ("with_silence", "without"),
    [
        (0, 0),
        (999, 999),
        (1000, 1000),
        (1300, 1000),
        (1500, 1000),
        (1501, 1001),
        (2499, 1999),
        (3000, 2000),
        (3600, 2100),
    ],
)
def test_times_are_those_of_the_audio(splice: InsertedSilence, with_silence: int, without: int) -> None:
    assert splice.without(with_silence) == without


def test_all_silence_is_counted(splice: InsertedSilence) -> None:
    assert splice.added_ms == 1500


def test_a_stream_without_silence_keeps_its_times() -> None:
    assert InsertedSilence().without(1234) == 1234
