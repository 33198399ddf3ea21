"""How much speech an upstream may leave unanswered; silence is none."""

from __future__ import annotations

import math
from array import array

import pytest

from asrgateway_server.backends.unanswered_speech import UnansweredSpeech, is_loud
from dashscope_emulator.recognizers.markers import marker_audio

RATE = 16_000
CHUNK_SECONDS = 0.1


def tone(dbfs: float, hertz: float = 440.0) -> bytes:
    """A tenth of a second of a tone, as loud as its mean says."""
    peak = math.sqrt(2) * 32_768 * 10 ** (dbfs / 20)
    samples = (round(peak * math.sin(2 * math.pi * hertz * at / RATE)) for at in range(RATE // 10))
    return array("h", samples).tobytes()


@pytest.mark.parametrize("hertz", [100.0, 440.0, 1000.0, 3000.0])
@pytest.mark.parametrize(("dbfs", "loud"), [(-60.0, False), (-48.0, False), (-42.0, True), (-20.0, True)])
def test_what_is_louder_than_minus_45_db_may_be_speech(dbfs: float, hertz: float, *, loud: bool) -> None:
    assert is_loud(tone(dbfs, hertz)) is loud


def test_silence_is_not_loud() -> None:
    assert not is_loud(bytes(3200))
    assert not is_loud(b"")


def told(chunks: list[bytes], *, speed: float = 1.0, limit_seconds: float = 8.0) -> list[float]:
    """Seconds of audio after which it is too much."""
    unanswered = UnansweredSpeech(limit_seconds, RATE)
    moments = []
    for number, chunk in enumerate(chunks, start=1):
        now = 100.0 + number * CHUNK_SECONDS / speed
        unanswered.sent(chunk, now)
        if unanswered.is_too_much(now):
            moments.append(number * CHUNK_SECONDS)
    return moments


def test_eight_seconds_of_speech_are_too_much_within_another() -> None:
    moments = told([tone(-20.0)] * 120)
    assert 8.0 <= moments[0] <= 9.2


def test_ten_minutes_of_silence_are_not() -> None:
    assert told([bytes(3200)] * 6000) == []


def test_pauses_do_not_count() -> None:
    speech, pause = [tone(-20.0)] * 20, [bytes(3200)] * 80
    moments = told([*pause, *(speech + pause) * 3, *speech, *pause, *speech])
    assert moments[0] > 38.0


def test_a_backlog_has_the_same_time_as_live_audio() -> None:
    assert told([tone(-20.0)] * 200, speed=100.0) == []


def test_an_answer_begins_it_anew() -> None:
    unanswered = UnansweredSpeech(8.0, RATE)
    for number in range(200):
        unanswered.sent(tone(-20.0), number * CHUNK_SECONDS)
        assert not unanswered.is_too_much(number * CHUNK_SECONDS)
        if number % 80 == 79:
            unanswered.answered()


def test_the_markers_of_other_tests_are_loud() -> None:
    assert is_loud(marker_audio(0, 10))
