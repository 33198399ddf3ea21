"""The audio that all calls of the process keep."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from asrgateway_server.call.replay_memory import ReplayMemory


class Kept:
    """A log that has read all its audio, and may give it up."""

    def __init__(self, memory: ReplayMemory) -> None:
        self.kept_bytes = 0
        self._memory = memory

    def add(self, size: int) -> None:
        self.kept_bytes += size
        self._memory.grown(self, size)

    def drop(self, size: int) -> None:
        self.kept_bytes -= size
        self._memory.shrunk(size)


class Unread:
    """A log whose reader has read nothing: it can give up nothing."""

    kept_bytes = 0

    def drop(self, size: int) -> None:
        raise AssertionError(f"asked for {size} bytes that it needs")


def logs(limit_bytes: int, sizes: Sequence[int]) -> tuple[ReplayMemory, list[Kept]]:
    memory = ReplayMemory(limit_bytes)
    made = [Kept(memory) for _ in sizes]
    for log, size in zip(made, sizes, strict=True):
        log.add(size)
    return memory, made


def test_what_fits_is_kept() -> None:
    memory, made = logs(1000, (400, 600))
    assert [log.kept_bytes for log in made] == [400, 600]
    assert memory.held_bytes == 1000


def test_the_longest_log_gives_up_the_older_half_of_its_own() -> None:
    memory, made = logs(1000, (800, 100, 102))
    assert [log.kept_bytes for log in made] == [400, 100, 102]
    assert memory.held_bytes == 602


def test_logs_are_shortened_until_it_is_enough() -> None:
    memory, made = logs(1000, (400, 400))
    made[0].add(2000)
    assert [log.kept_bytes for log in made] == [600, 400]
    assert memory.held_bytes == 1000


@pytest.mark.parametrize("size", [6, 10, 1002])
def test_whole_samples_are_given_up(size: int) -> None:
    _, (log,) = logs(size - 2, (size,))
    assert log.kept_bytes % 2 == 0
    assert log.kept_bytes <= size - 2


def test_the_last_sample_is_given_up_too() -> None:
    memory, (log,) = logs(0, (2,))
    assert (log.kept_bytes, memory.held_bytes) == (0, 0)


def test_audio_that_is_still_needed_stays_beyond_the_limit() -> None:
    memory = ReplayMemory(10)
    memory.grown(Unread(), 100)
    assert memory.held_bytes == 100


def test_others_give_up_what_they_can_for_audio_that_is_needed() -> None:
    memory, (kept,) = logs(100, (60,))
    memory.grown(Unread(), 90)
    assert (kept.kept_bytes, memory.held_bytes) == (8, 98)


def test_a_closed_log_holds_nothing_and_is_asked_for_nothing() -> None:
    memory, (first, second) = logs(1000, (600, 300))
    memory.closed(first, 600)
    assert memory.held_bytes == 300
    second.add(900)
    assert (first.kept_bytes, second.kept_bytes, memory.held_bytes) == (600, 600, 600)
