"""When a client counts as quiet: its messages give it a lead, the clock takes it away."""

from __future__ import annotations

from itertools import accumulate

import pytest

from asrgateway_server.call.quiet import QuietDetector


def test_before_the_first_audio_nobody_is_quiet() -> None:
    assert QuietDetector(0.5).quiet_at is None


def test_a_message_lasts_as_long_as_its_audio() -> None:
    lead = QuietDetector(0.5)
    lead.add(10.0, 0.1)
    assert lead.quiet_at == pytest.approx(10.6)


def test_messages_in_time_keep_the_lead() -> None:
    lead = QuietDetector(0.5)
    lead.add(10.0, 0.1)
    lead.add(10.1, 0.1)
    assert lead.quiet_at == pytest.approx(10.7)


def test_a_burst_lasts_at_most_two_seconds() -> None:
    lead = QuietDetector(0.5)
    lead.add(10.0, 60.0)
    assert lead.quiet_at == pytest.approx(12.5)


def test_after_a_mute_the_lead_begins_anew() -> None:
    lead = QuietDetector(0.5)
    lead.add(10.0, 0.1)
    lead.add(20.0, 0.1)
    assert lead.quiet_at == pytest.approx(20.6)


def test_a_client_that_could_not_send_counts_as_quiet_from_when_it_could() -> None:
    lead = QuietDetector(0.5)
    lead.add(10.0, 60.0)
    lead.hold(70.0)
    assert lead.quiet_at == pytest.approx(70.5)


def test_a_client_that_had_not_to_wait_keeps_its_lead() -> None:
    lead = QuietDetector(0.5)
    lead.add(10.0, 1.0)
    lead.hold(10.0)
    assert lead.quiet_at == pytest.approx(11.5)


def test_to_wait_before_the_first_audio_begins_nothing() -> None:
    lead = QuietDetector(0.5)
    lead.hold(10.0)
    assert lead.quiet_at is None


@pytest.mark.parametrize("message_seconds", [0.02, 0.1, 0.25, 0.32, 0.512])
def test_a_client_that_speaks_at_its_own_pace_is_never_quiet(message_seconds: float) -> None:
    lead = QuietDetector(0.5)
    for arrival in accumulate([message_seconds] * 100):
        assert lead.quiet_at is None or arrival < lead.quiet_at
        lead.add(arrival, message_seconds)


def test_bursts_of_ten_with_jitter_are_no_quiet() -> None:
    lead = QuietDetector(0.5)
    for burst in range(30):
        jitter = 0.15 * (burst % 3 - 1)
        arrival = 1.0 + burst + jitter
        assert lead.quiet_at is None or arrival < lead.quiet_at
        for _ in range(10):
            lead.add(arrival, 0.1)


def test_silence_in_a_row_stands_in_for_so_long_and_no_longer() -> None:
    lead = QuietDetector(0.5, max_silence_seconds=0.3)
    lead.add(10.0, 0.1)
    for _ in range(3):
        assert lead.quiet_at == pytest.approx(10.6)
        lead.add_silence(100)
    assert lead.quiet_at is None
    lead.add(20.0, 0.0)  # The header of a file, or half a sample.
    assert lead.quiet_at is None
    lead.add(30.0, 0.1)
    assert lead.quiet_at == pytest.approx(30.6)
