"""How long an utterance, or silence, may last in a task."""

from __future__ import annotations

import struct

import pytest

from asrgateway_server.call.utterance import Utterance
from asrgateway_server.call.utterance_limit import UtteranceLimit


def utterance(*, max_silence_ms: float | None = None, is_open: bool = False, is_always_open: bool = False) -> Utterance:
    return Utterance(
        UtteranceLimit(1_000), max_silence_ms=max_silence_ms, is_open=is_open, is_always_open=is_always_open
    )


def packet(amplitude: int, tail_amplitude: int | None = None) -> bytes:
    """100 ms of a square wave at 16 kHz; its last 20 ms may have another amplitude."""
    tail = amplitude if tail_amplitude is None else tail_amplitude
    return struct.pack("<2h", amplitude, -amplitude) * 640 + struct.pack("<2h", tail, -tail) * 160


def test_an_utterance_has_a_longest_duration() -> None:
    spoken = utterance()
    spoken.open(200)
    assert not spoken.is_to_be_ended(1_200)
    assert spoken.is_to_be_ended(1_201)


def test_an_utterance_begins_with_its_first_text() -> None:
    spoken = utterance()
    spoken.open(200)
    spoken.open(900)
    assert spoken.is_to_be_ended(1_300)


def test_an_utterance_ends_in_a_pause_shortly_before_its_longest_duration() -> None:
    spoken = utterance(is_open=True)
    spoken.sent(packet(8_000), 700)
    spoken.sent(packet(8_000, tail_amplitude=500), 800)
    assert spoken.is_to_be_ended(800)


@pytest.mark.parametrize(
    ("level", "tail", "sent_ms"),
    [
        pytest.param(8_000, 4_000, 800, id="a weaker sound is no pause"),
        pytest.param(8_000, 0, 750, id="a pause long before the limit"),
        pytest.param(0, 0, 800, id="silence since long before is no pause within speech"),
    ],
)
def test_an_utterance_does_not_end_early_without_a_pause(level: int, tail: int, sent_ms: int) -> None:
    spoken = utterance(is_open=True)
    spoken.sent(packet(level), 600)
    spoken.sent(packet(level, tail_amplitude=tail), sent_ms)
    assert not spoken.is_to_be_ended(sent_ms)


def test_a_pause_ends_the_utterance_at_once_or_not_at_all() -> None:
    spoken = utterance(is_open=True)
    spoken.sent(packet(8_000), 600)
    spoken.sent(packet(8_000, tail_amplitude=0), 700)
    spoken.sent(packet(8_000), 800)
    assert not spoken.is_to_be_ended(800)


def test_a_task_may_begin_within_an_utterance() -> None:
    assert utterance(is_open=True).is_to_be_ended(1_001)
    assert not utterance().is_to_be_ended(1_001)


def test_an_utterance_is_ended_once() -> None:
    spoken = utterance()
    spoken.open(200)
    spoken.close(900)
    assert not spoken.is_to_be_ended(5_000)


def test_an_utterance_that_a_commit_did_not_find_yet_is_not_committed_again() -> None:
    spoken = utterance()
    spoken.close(1_500)
    spoken.open(200)
    assert not spoken.is_to_be_ended(2_500)
    assert spoken.is_to_be_ended(2_501)


def test_silence_has_no_limit_where_the_task_lasts() -> None:
    assert not utterance().is_to_be_ended(100_000)


def test_silence_ends_a_task_that_the_vendor_would_end() -> None:
    silent = utterance(max_silence_ms=500)
    assert not silent.is_to_be_ended(500)
    assert silent.is_to_be_ended(501)


def test_any_message_of_the_upstream_ends_the_silence() -> None:
    silent = utterance(max_silence_ms=500)
    silent.message(400)
    assert not silent.is_to_be_ended(900)


def test_where_only_commits_end_utterances_one_is_always_open() -> None:
    manual = utterance(is_always_open=True)
    assert manual.is_to_be_ended(1_001)
    manual.close(1_000)
    assert not manual.is_to_be_ended(2_000)
    assert manual.is_to_be_ended(2_001)
