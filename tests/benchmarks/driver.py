"""Runs a plan's streams in one process, whatever they are streams of, and tells the bench when the window is open."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Final, Protocol

from benchmarks.recorder import Outcome, Recorder, StreamRecord
from benchmarks.workload import PACKET, PACKET_SECONDS, TAIL_SECONDS, Plan

# The words by which the bench knows where the process is.
WINDOW_OPEN: Final = "window open"
WINDOW_CLOSED: Final = "window closed"
DONE: Final = "done"

_OPEN_SECONDS: Final = 20.0
_END_SECONDS: Final = 20.0


class Stream(Protocol):
    """One stream that is ready for audio."""

    async def send(self, packet: bytes) -> object:
        """Send a packet."""

    async def finish(self) -> object:
        """Say that the audio has ended."""

    async def read(self) -> str | bytes | None:
        """Return the next message, unparsed; None at the end."""


#: Opens a stream and waits until it is ready; leaving it closes it.
OpenStream = Callable[[], AbstractAsyncContextManager[Stream]]


def parse_arguments(**more: str) -> argparse.Namespace:
    """Read what every measuring process is told, and what only this one is, with its defaults."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--window-seconds", type=float, required=True)
    parser.add_argument("--settle-seconds", type=float, required=True)
    for name, default in more.items():
        parser.add_argument(f"--{name.replace('_', '-')}", default=default)
    return parser.parse_args()


def plan_from(arguments: argparse.Namespace) -> Plan:
    """Return the plan that the process was told."""
    return Plan(
        streams=arguments.streams,
        window_seconds=arguments.window_seconds,
        settle_seconds=arguments.settle_seconds,
    )


def tell(word: str, **fields: Any) -> None:  # Any: JSON values
    """Write a line for the bench."""
    print(json.dumps({"at": word, **fields}), flush=True)  # noqa: T201 the bench reads it from the pipe


async def drive(open_stream: OpenStream, plan: Plan) -> Outcome:
    """Run every stream of the plan from its opening to its end."""
    recorder = Recorder()
    begin = time.monotonic() + 0.1
    span = _Span(plan, begin)
    async with asyncio.TaskGroup() as tasks:
        for opening in plan.openings():
            tasks.create_task(_survive(recorder, open_stream, begin + opening, span))
        end = await span.decide_end() - TAIL_SECONDS
        await asyncio.sleep(end - plan.window_seconds - time.monotonic())
        recorder.is_open = True
        tell(WINDOW_OPEN)
        await asyncio.sleep(end - time.monotonic())
        recorder.is_open = False
        tell(WINDOW_CLOSED)
    return recorder.outcome()


class _Span:
    """When all streams end: known once all have opened, or have failed to, so that a slow machine shortens no window.

    Attributes:
        end: When they send their last packet, on the monotonic clock; never, as long as it is not known.
        latest_seconds: How long the longest stream may take, its last result included.
    """

    def __init__(self, plan: Plan, begin: float) -> None:
        self._plan = plan
        self._begin = begin
        self._opening = plan.streams
        self._all_open = asyncio.Event()
        self.end = math.inf
        self.latest_seconds = (
            plan.ramp_seconds + _OPEN_SECONDS + plan.settle_seconds + plan.window_seconds + TAIL_SECONDS + _END_SECONDS
        )

    def opened(self) -> None:
        """One more stream is open, or has failed to open."""
        self._opening -= 1
        if not self._opening:
            self._all_open.set()

    async def decide_end(self) -> float:
        """Wait for the last opening and return ``end``."""
        await self._all_open.wait()
        settled = max(time.monotonic(), self._begin + self._plan.ramp_seconds) + self._plan.settle_seconds
        self.end = settled + self._plan.window_seconds + TAIL_SECONDS
        return self.end


async def _survive(recorder: Recorder, open_stream: OpenStream, opening: float, span: _Span) -> None:
    """Run one stream; its failure is noted and leaves the others alone."""
    try:
        await _run(recorder.stream(), open_stream, opening, span)
    except Exception as error:  # noqa: BLE001 whatever ends a stream is part of the account
        recorder.errors.append(repr(error)[:300])


async def _run(record: StreamRecord, open_stream: OpenStream, opening: float, span: _Span) -> None:
    await asyncio.sleep(opening - time.monotonic())
    async with asyncio.timeout(span.latest_seconds), AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                stream = await stack.enter_async_context(open_stream())
        finally:
            span.opened()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_speak(record, stream, span))
            while (message := await stream.read()) is not None:
                record.heard(message)


async def _speak(record: StreamRecord, stream: Stream, span: _Span) -> None:
    due = time.monotonic()
    record.speak(due)
    while (due := due + PACKET_SECONDS) < span.end:
        if (early := due - time.monotonic()) > 0:
            await asyncio.sleep(early)
        await stream.send(PACKET)
        record.sent()
    await stream.finish()
