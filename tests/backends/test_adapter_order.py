"""The order in which an adapter may be called."""

from __future__ import annotations

import itertools

import pytest

from asrgateway_server.backends.adapter_order import TRANSITIONS, AdapterOrder, State, Step

START, AUDIO, COMMIT, UPDATE, FINISH, RECEIVE, READY, END = Step


def after(*steps: Step) -> AdapterOrder:
    order = AdapterOrder()
    for step in steps:
        order.take(step)
    return order


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        ((), State.NEW),
        ((RECEIVE,), State.NEW),
        ((START,), State.STARTING),
        ((START, RECEIVE), State.STARTING),
        ((START, RECEIVE, READY), State.READY),
        ((START, RECEIVE, READY, AUDIO, COMMIT, UPDATE, RECEIVE, AUDIO), State.READY),
        ((START, RECEIVE, READY, FINISH), State.FINISHING),
        ((START, RECEIVE, READY, FINISH, RECEIVE), State.FINISHING),
        ((START, RECEIVE, READY, FINISH, RECEIVE, END), State.ENDED),
    ],
)
def test_a_task_goes_from_its_start_to_its_end(steps: tuple[Step, ...], state: State) -> None:
    order = after(*steps)
    assert order.state is state
    assert order.is_ready is (state is State.READY)


@pytest.mark.parametrize("steps", [(), (START,), (START, READY), (START, READY, FINISH)])
def test_a_server_may_end_it_at_any_time(steps: tuple[Step, ...]) -> None:
    assert after(*steps, END).state is State.ENDED


@pytest.mark.parametrize(
    ("steps", "step"),
    [
        ((), AUDIO),
        ((), FINISH),
        ((), READY),
        ((START,), START),
        ((START,), AUDIO),
        ((START,), COMMIT),
        ((START,), UPDATE),
        ((START,), FINISH),
        ((START, READY), START),
        ((START, READY), READY),
        ((START, READY, FINISH), AUDIO),
        ((START, READY, FINISH), COMMIT),
        ((START, READY, FINISH), UPDATE),
        ((START, READY, FINISH), FINISH),
        *(((START, READY, FINISH, END), step) for step in Step),
    ],
)
def test_any_other_order_is_a_mistake(steps: tuple[Step, ...], step: Step) -> None:
    order = after(*steps)
    before = order.state
    with pytest.raises(RuntimeError, match=f"{before} cannot take the step '{step}'"):
        order.take(step)
    assert order.state is before


def test_audio_is_taken_where_it_is_ready_and_changes_nothing() -> None:
    """So an adapter may look at ``is_ready`` alone, for every packet."""
    takes_audio = {pair: after for pair, after in TRANSITIONS.items() if Step.AUDIO in pair}
    assert takes_audio == {(State.READY, Step.AUDIO): State.READY}


def test_no_step_leads_out_of_the_end() -> None:
    assert not [pair for pair in itertools.product([State.ENDED], Step) if pair in TRANSITIONS]
