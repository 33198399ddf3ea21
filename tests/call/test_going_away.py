"""The notice that a call has to end soon."""

from __future__ import annotations

import asyncio
import time

from asrgateway_server.call.going_away import GoingAwayNotice


def test_a_call_has_no_deadline_at_first() -> None:
    notice = GoingAwayNotice()
    assert (notice.deadline, notice.announced.is_set()) == (None, False)


async def test_whoever_waits_for_the_notice_finds_the_deadline_in_it() -> None:
    notice = GoingAwayNotice()
    waiting = asyncio.create_task(notice.announced.wait())
    before = time.monotonic()
    notice.announce(30.0)
    after = time.monotonic()
    async with asyncio.timeout(60):
        await waiting
    assert notice.deadline is not None
    assert before + 30.0 <= notice.deadline <= after + 30.0


def test_a_later_notice_replaces_the_deadline() -> None:
    notice = GoingAwayNotice()
    notice.announce(3600.0)
    first = notice.deadline
    notice.announce(1.0)
    assert first is not None
    assert notice.deadline is not None
    assert notice.deadline < first
