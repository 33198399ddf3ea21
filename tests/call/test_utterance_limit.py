"""How long an utterance may last while tasks are lost."""

from __future__ import annotations

import pytest

from asrgateway_server.call.utterance_limit import UtteranceLimit


def limit(*lost_ms: int) -> UtteranceLimit:
    """A limit of 20 s after tasks were lost that had received so much audio."""
    found = UtteranceLimit(20_000)
    for task_ms in lost_ms:
        found.task_lost(task_ms)
    return found


@pytest.mark.parametrize(
    ("lost_ms", "ms"),
    [
        pytest.param((), 20_000, id="no task was lost"),
        pytest.param((5_000,), 20_000, id="one was"),
        pytest.param((9_000, 5_000), 2_500, id="half of what the second one received"),
        pytest.param((5_000, 9_000, 5_000), 1_125, id="a quarter of that, if the next one did not get far enough"),
        pytest.param((9_000, 16_000, 6_000), 1_500, id="or of what the next one received"),
        pytest.param((5_000, 30_000), 10_000, id="never longer than without losses"),
        pytest.param((5_000, 300, 200), 1_000, id="never shorter than a second"),
        pytest.param((0, 0, 0), 20_000, id="tasks that received nothing say nothing"),
    ],
)
def test_an_utterance_gets_a_part_of_what_lost_tasks_received(lost_ms: tuple[int, ...], ms: float) -> None:
    found = limit(*lost_ms)
    assert (found.ms, found.is_shortened) == (ms, ms < 20_000)


def test_answers_give_the_time_back_step_by_step() -> None:
    found = limit(5_000, 4_000)
    seconds = []
    for _ in range(5):
        found.answered()
        seconds.append(found.ms / 1000)
    assert seconds == [4, 8, 16, 20, 20]


def test_a_single_loss_after_an_answer_does_not_shorten_it_again() -> None:
    found = limit(5_000, 4_000)
    found.answered()
    found.task_lost(1_000)
    assert found.ms == 4_000


def test_a_limit_of_less_than_a_second_stays() -> None:
    found = UtteranceLimit(500)
    found.task_lost(400)
    found.task_lost(400)
    assert found.ms == 500
