"""How long an utterance, or silence, may last in a task."""

from __future__ import annotations

from asrgateway_server.call.utterance import Utterance


def utterance(*, max_silence_ms: float | None = None, is_always_open: bool = False) -> Utterance:
    return Utterance(max_utterance_ms=1_000, max_silence_ms=max_silence_ms, is_always_open=is_always_open)


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


def test_an_utterance_is_ended_once() -> None:
    spoken = utterance()
    spoken.open(200)
    spoken.close(900)
    assert not spoken.is_to_be_ended(5_000)


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
