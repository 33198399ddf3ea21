from __future__ import annotations

import pytest

from asrgateway_server.call.clock import Clock
from asrgateway_server.events import FinalResult, InterimResult, SpeechEnded, SpeechStarted, Word


def word(start_ms: int) -> Word:
    return Word(text="good", punctuation=".", start_ms=start_ms, end_ms=start_ms + 200)


def test_without_an_offset_both_clocks_agree() -> None:
    event = FinalResult(text="good", start_ms=10, end_ms=250, words=(word(20),))
    assert Clock(16_000, 0).move_result(event) == event


def test_a_result_moves_with_its_words() -> None:
    event = FinalResult(text="good", start_ms=10, end_ms=250, words=(word(20),), is_forced=True)
    assert Clock(16_000, 1_000).move_result(event) == FinalResult(
        text="good", start_ms=1_010, end_ms=1_250, words=(word(1_020),), is_forced=True
    )


def test_a_result_without_times_gets_none() -> None:
    event = InterimResult(text="good", committed="go")
    assert Clock(16_000, 1_000).move_result(event) == event


@pytest.mark.parametrize("boundary", [SpeechStarted, SpeechEnded])
def test_the_bounds_of_speech_move(boundary: type[SpeechStarted | SpeechEnded]) -> None:
    assert Clock(16_000, 1_000).move_boundary(boundary(offset_ms=20)) == boundary(offset_ms=1_020)


def test_silence_never_shows_in_the_clients_times() -> None:
    clock = Clock(16_000, 60_000)
    clock.position_samples = 16_000
    clock.add_silence(300)
    clock.add_silence(200)
    clock.position_samples = 32_000
    event = FinalResult(text="good", start_ms=900, end_ms=1_700, words=(word(1_600),))
    assert clock.move_result(event) == FinalResult(text="good", start_ms=60_900, end_ms=61_200, words=(word(61_100),))
    assert (clock.task_ms, clock.silence_ms, clock.audio_ms(1_700)) == (2_500, 500, 1_200)


def test_a_task_begins_at_zero_where_the_last_one_ended() -> None:
    clock = Clock(16_000, 60_000)
    clock.position_samples = 16_000
    clock.add_silence(300)
    clock.begin_task(clock.position_samples)
    assert (clock.task_ms, clock.position_ms, clock.silence_ms) == (0, 1_000, 300)
    clock.position_samples = 24_000
    clock.add_silence(200)
    assert clock.task_ms == 700
    event = FinalResult(text="good", start_ms=100, end_ms=600, words=(word(200),))
    assert clock.move_result(event) == FinalResult(text="good", start_ms=61_100, end_ms=61_500, words=(word(61_200),))
