"""When a client counts as quiet: its messages give it a lead, the clock takes it away."""

from __future__ import annotations

from itertools import accumulate

import pytest

from asrgateway_server.call.quiet import QuietDetector


def test_before_the_first_audio_no_client_is_quiet() -> None:
    assert QuietDetector(0.5).silence_at is None


def test_a_message_lasts_as_long_as_its_audio() -> None:
    quiet = QuietDetector(0.5)
    quiet.add(10.0, 0.1)
    assert quiet.silence_at == pytest.approx(10.6)


def test_messages_in_time_are_no_quiet() -> None:
    quiet = QuietDetector(0.5)
    quiet.add(10.0, 0.1)
    quiet.add(10.1, 0.1)
    assert quiet.silence_at == pytest.approx(10.7)


def test_a_burst_lasts_at_most_two_seconds() -> None:
    quiet = QuietDetector(0.5)
    quiet.add(10.0, 60.0)
    assert quiet.silence_at == pytest.approx(12.5)


def test_after_a_long_pause_earlier_audio_does_not_count() -> None:
    quiet = QuietDetector(0.5)
    quiet.add(10.0, 0.1)
    quiet.add(20.0, 0.1)
    assert quiet.silence_at == pytest.approx(20.6)


def test_a_client_that_could_not_send_counts_as_quiet_from_when_it_could() -> None:
    quiet = QuietDetector(0.5)
    quiet.add(10.0, 60.0)
    quiet.hold(70.0)
    assert quiet.silence_at == pytest.approx(70.5)


def test_a_client_that_did_not_wait_loses_nothing() -> None:
    quiet = QuietDetector(0.5)
    quiet.add(10.0, 1.0)
    quiet.hold(10.0)
    assert quiet.silence_at == pytest.approx(11.5)


def test_waiting_before_the_first_audio_has_no_effect() -> None:
    quiet = QuietDetector(0.5)
    quiet.hold(10.0)
    assert quiet.silence_at is None


@pytest.mark.parametrize("message_seconds", [0.02, 0.1, 0.25, 0.32, 0.512])
def test_a_client_that_sends_in_real_time_is_never_quiet(message_seconds: float) -> None:
    quiet = QuietDetector(0.5)
    for arrival in accumulate([message_seconds] * 100):
        assert quiet.silence_at is None or arrival < quiet.silence_at
        quiet.add(arrival, message_seconds)


def test_bursts_of_ten_messages_with_jitter_are_no_quiet() -> None:
    quiet = QuietDetector(0.5)
    for burst in range(30):
        jitter = 0.15 * (burst % 3 - 1)
        arrival = 1.0 + burst + jitter
        assert quiet.silence_at is None or arrival < quiet.silence_at
        for _ in range(10):
            quiet.add(arrival, 0.1)


def test_silence_in_a_row_has_a_limit() -> None:
    quiet = QuietDetector(0.5, max_silence_seconds=0.3)
    quiet.add(10.0, 0.1)
    for number in range(3):
        assert quiet.silence_at == pytest.approx(10.6 + number / 10)
        quiet.add_silence(10.6 + number / 10, 100)
    assert quiet.silence_at is None
    quiet.add(20.0, 0.0)  # The header of a file, or half a sample.
    assert quiet.silence_at is None
    quiet.add(30.0, 0.1)
    assert quiet.silence_at == pytest.approx(30.6)


def test_silence_keeps_the_pace_of_the_clock() -> None:
    quiet = QuietDetector(0.5)
    quiet.add(10.0, 0.0)
    quiet.add_silence(10.5, 100)
    assert quiet.silence_at == pytest.approx(10.6)
    quiet.add_silence(10.7, 100)
    assert quiet.silence_at == pytest.approx(10.7)


def test_silence_that_a_slow_upstream_missed_is_not_made_up_for() -> None:
    quiet = QuietDetector(0.0)
    quiet.add(10.0, 0.0)
    quiet.add_silence(70.0, 100)
    assert quiet.silence_at == pytest.approx(69.1)


def test_a_late_question_gets_silence_a_moment_later() -> None:
    """Whoever was stopped meanwhile, a container without processor time for one, has not read what arrived."""
    quiet = QuietDetector(0.5)
    quiet.add(10.0, 0.1)
    assert not quiet.is_silence_due(12.0)
    assert quiet.silence_at == pytest.approx(12.1)
    assert quiet.is_silence_due(12.1)


def test_audio_that_was_read_late_is_no_quiet() -> None:
    quiet = QuietDetector(0.5)
    quiet.add(10.0, 0.1)
    assert not quiet.is_silence_due(12.0)
    quiet.add(12.0, 0.1)
    assert quiet.silence_at == pytest.approx(12.6)


def test_one_who_is_always_late_gets_silence_all_the_same() -> None:
    quiet = QuietDetector(0.5)
    quiet.add(10.0, 0.1)
    assert not quiet.is_silence_due(12.0)
    assert quiet.is_silence_due(14.0)
