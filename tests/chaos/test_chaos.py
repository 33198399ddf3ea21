"""Random faults at random times: no word is lost, none is doubled, and nothing stays open.

``make chaos`` runs 3,000 schedules, the tests 150. A failure is shrunk to the simplest schedule that still fails, and
printed with the command that repeats it.
"""

from __future__ import annotations

import asyncio
import os
import random
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st

from chaos.run import faults_in, outcomes_with
from chaos.schedules import SCHEDULES, Schedule

COUNT: Final = int(os.environ.get("CHAOS_SCHEDULES", "150"))
#: They have nothing to do with each other, and most of their time is waiting.
AT_ONCE: Final = 6
SEED: Final = int(os.environ.get("CHAOS_SEED") or random.randrange(2**32))


# A schedule takes half a second; the search for the simplest one that fails takes longer.
@pytest.mark.timeout(300 + 4 * COUNT)
@seed(SEED)
@given(schedules=st.lists(SCHEDULES, min_size=1, max_size=AT_ONCE))
@settings(
    max_examples=COUNT * 2 // (AT_ONCE + 1),
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)
def test_no_word_is_lost_or_doubled_whatever_goes_wrong(schedules: list[Schedule]) -> None:
    note(f"to repeat it: CHAOS_SEED={SEED} CHAOS_SCHEDULES={COUNT} python -m pytest tests/chaos")
    outcomes = asyncio.run(outcomes_with(schedules))
    assert [faults_in(schedule, outcome) for schedule, outcome in zip(schedules, outcomes, strict=True)] == [
        [] for _ in schedules
    ]
