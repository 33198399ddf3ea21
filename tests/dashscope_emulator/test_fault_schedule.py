"""Where and how often faults are applied."""

from __future__ import annotations

from typing import Any

import pytest

from dashscope_emulator.fault_schedule import FaultSchedule
from dashscope_emulator.faults import Drop, Fail, Fault, Phase

SELECTIONS: dict[str, tuple[dict[str, Any], list[bool]]] = {
    "all": ({}, [True, True, True]),
    "a connection": ({"connections": (2,)}, [False, True, False]),
    "a task": ({"tasks": (1, 3)}, [True, False, True]),
    "a model": ({"model": "fun-asr-realtime"}, [True, False, True]),
    "a number of times": ({"times": 2}, [True, True, False]),
}


@pytest.mark.parametrize(("where", "applied"), SELECTIONS.values(), ids=SELECTIONS.keys())
async def test_a_fault_is_applied_where_it_says(
    start: Any, connect: Any, where: dict[str, Any], applied: list[bool]
) -> None:
    emulator = await start(faults=(Fault(action=Fail(), phase=Phase.START, **where),))
    models = ["fun-asr-realtime", "paraformer-realtime-v2", "fun-asr-realtime"]
    clients = [await connect(emulator) for _ in models]
    answers = [await client.run(model) for client, model in zip(clients, models, strict=True)]
    assert [answer["header"]["event"] == "task-failed" for answer in answers] == applied


def test_a_fault_is_applied_to_a_task_once() -> None:
    schedule = FaultSchedule((Fault(action=Drop(), audio_ms=100),))
    pending = schedule.select(Phase.SPEECH, connection=1)
    assert [pending.due(audio_ms=ms, packets=1) for ms in (50, 100, 150)] == [[], [Drop()], []]


def test_starts_are_counted_for_one_second() -> None:
    schedule = FaultSchedule(())
    assert [schedule.is_too_fast(2, now) for now in (0.0, 0.5, 0.9, 1.0, 1.4)] == [False, False, True, False, True]
