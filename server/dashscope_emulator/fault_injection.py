"""Applying faults to an open connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from dashscope_emulator.connection import Connection
from dashscope_emulator.faults import (
    Action,
    Close,
    Delay,
    Drop,
    Duplicate,
    Fail,
    FailItem,
    Garbage,
    Garble,
    Refuse,
    SlowRead,
    Stall,
    Throttle,
)

_HUGE_CHARACTERS: Final = 10 * 1024 * 1024
_BROKEN_JSON: Final = '{"header": {"event": "result-gener'


async def apply(connection: Connection, actions: Iterable[Action]) -> None:
    """Let these things go wrong, one after the other."""
    for action in actions:
        await _apply(connection, action)


async def _apply(connection: Connection, action: Action) -> None:  # noqa: C901  (one line for each action)
    sender = connection.sender
    match action:
        case Stall(seconds=seconds):
            sender.stall(seconds)
        case Drop():
            await sender.reset()
        case Close(code=code, reason=reason):
            await sender.close(code, reason)
        case Fail(code=code, message=message):
            await connection.fail(code, message)
        case Throttle(starts_per_second=limit):
            if connection.services.faults.is_too_fast(limit, connection.now()):
                await connection.fail("Throttling.RateQuota", "Requests rate limit exceeded, please try again later.")
        case Duplicate(count=count):
            sender.duplicate(count)
        case Garble(kind=kind):
            await _garble(connection, kind)
        case Delay(delay_ms=delay_ms, jitter_ms=jitter_ms):
            sender.delay(delay_ms / 1000, jitter_ms / 1000)
        case SlowRead(seconds=seconds):
            await asyncio.sleep(seconds)
        case FailItem(code=code, message=message):
            connection.fail_next_item(code, message)
        case Refuse():  # too late for a status
            await sender.close(1011)


async def _garble(connection: Connection, kind: Garbage) -> None:
    match kind:
        case Garbage.BROKEN_JSON:
            await connection.sender.send(_BROKEN_JSON)
        case Garbage.BINARY:
            await connection.sender.send_bytes(b"\x00\x01\x02\xff")
        case Garbage.HUGE:
            await connection.sender.send(connection.unknown_event(_HUGE_CHARACTERS))
        case Garbage.UNKNOWN_EVENT:
            await connection.sender.send(connection.unknown_event(0))
