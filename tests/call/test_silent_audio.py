from __future__ import annotations

from array import array

import pytest

from asrgateway_server.call.silent_audio import SilentAudio, is_audible

RATE = 16_000


def packet(level: int) -> bytes:
    return array("h", [level, -level] * 800).tobytes()


@pytest.mark.parametrize(("level", "audible"), [(0, False), (50, False), (100, False), (120, True), (20_000, True)])
def test_what_is_above_the_noise_of_a_line_is_audible(level: int, audible: bool) -> None:
    assert is_audible(packet(level)) == audible


def test_silence_is_long_after_so_many_seconds_in_a_row() -> None:
    silence = SilentAudio(1.0, RATE)
    for _ in range(9):
        silence.sent(packet(0))
    assert not silence.is_long
    silence.sent(packet(0))
    assert silence.is_long


def test_a_sound_begins_the_count_anew() -> None:
    silence = SilentAudio(0.2, RATE)
    for level in (0, 20_000, 0):
        silence.sent(packet(level))
    assert not silence.is_long


def test_words_of_a_soft_voice_begin_the_count_anew() -> None:
    silence = SilentAudio(0.1, RATE)
    silence.sent(packet(0))
    silence.restart()
    assert not silence.is_long
