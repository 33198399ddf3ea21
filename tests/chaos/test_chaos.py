"""Random faults at random times: no word is lost, none is doubled, and nothing stays open.

``make chaos`` runs 3,000 schedules, the tests 150. A failure is shrunk to the simplest schedule that still fails, and
printed with the command that repeats it.
"""

from __future__ import annotations

import asyncio
import os
import random
from typing import Final

from hypothesis import HealthCheck, Phase, given, note, seed, settings

from chaos.run import faults_in, outcome_with
from chaos.schedules import SCHEDULES, Schedule

COUNT: Final = int(os.environ.get("CHAOS_SCHEDULES", "150"))
SEED: Final = int(os.environ.get("CHAOS_SEED") or random.randrange(2**32))


@seed(SEED)
@given(schedule=SCHEDULES)
@settings(
    max_examples=COUNT,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)
def test_no_word_is_lost_or_doubled_whatever_goes_wrong(schedule: Schedule) -> None:
    note(f"to repeat it: CHAOS_SEED={SEED} CHAOS_SCHEDULES={COUNT} python -m pytest tests/chaos")
    outcome = asyncio.run(outcome_with(schedule))
    for event in (response.stream_event for response in outcome.responses if response.HasField("stream_event")):
        note(f"event {event.type} at {event.start_offset.ToMilliseconds()} ms: {event.reason}")
    assert faults_in(schedule, outcome) == []
