"""Random faults at random times: no word is lost, none is doubled, and nothing stays open.

``make chaos`` runs 3,000 schedules, the tests 150. A failure is shrunk to the simplest schedule that still fails, and
printed with the command that repeats it.
"""

from __future__ import annotations

import asyncio
import os
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings

from chaos.run import faults_in, outcome_with
from chaos.schedules import SCHEDULES, Schedule

COUNT: Final = int(os.environ.get("CHAOS_SCHEDULES", "150"))


@pytest.mark.filterwarnings("error")
@given(schedule=SCHEDULES)
@settings(
    max_examples=COUNT,
    deadline=None,
    print_blob=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
def test_no_word_is_lost_or_doubled_whatever_goes_wrong(schedule: Schedule) -> None:
    outcome = asyncio.run(outcome_with(schedule))
    for event in outcome.responses:
        if event.HasField("stream_event"):
            note(f"{event.stream_event.type}: {event.stream_event.reason}")
    assert faults_in(schedule, outcome) == []
