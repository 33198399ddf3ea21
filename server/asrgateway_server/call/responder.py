"""Writes responses in order: the start with its warnings, results, events, cursors, and the summary."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Protocol

from asrgateway_server.call.going_away import GoingAwayNotice
from asrgateway_server.call.responses import (
    CallFinished,
    ChannelFailed,
    ChannelResponse,
    Cursor,
    GoingAway,
    OfChannel,
    Response,
    Result,
    Started,
)
from asrgateway_server.call.statistics import Statistics
from asrgateway_server.config import RecognitionConfig
from asrgateway_server.events import OptionWarning, Ready


class ResponseWriter(Protocol):
    """Takes responses to the client."""

    async def write(self, response: Response | None, cursor: Cursor) -> None:
        """Send a response; with None only the cursor."""


@dataclass(slots=True)
class _Course:
    """What all responders of a call share.

    Attributes:
        downgrades: The warnings about options of the call.
        waiting: What is to be written in this order: the start, these, and what comes meanwhile.
        turn: Who has it writes what waits.
    """

    downgrades: tuple[OptionWarning, ...]
    waiting: deque[Response] = field(default_factory=deque)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_started: bool = False
    is_stopping: bool = False
    last_response_at: float = field(default_factory=time.monotonic)


class Responder:
    """Writes the responses of one call, or of one of its channels.

    Args:
        config: The call's config; what it does not ask for is left out of responses.
        writer: Takes the responses.
        statistics: Receives the instants of the first text.
        cursor: Returns how far the call has come.
        going_away: Has the deadline of the call.
        warnings: Those that are known before the call starts.
    """

    def __init__(
        self,
        config: RecognitionConfig,
        writer: ResponseWriter,
        statistics: Statistics,
        cursor: Callable[[], Cursor],
        going_away: GoingAwayNotice,
        warnings: tuple[OptionWarning, ...],
    ) -> None:
        self._config = config
        self._writer = writer
        self._statistics = statistics
        self._cursor = cursor
        self._going_away = going_away
        self._course = _Course(warnings)
        self._channel: int | None = None

    def of_channel(self, channel: int, statistics: Statistics) -> Responder:
        """Return one for a channel: its responses have the channel's number."""
        responder = copy(self)
        responder._channel, responder._statistics = channel, statistics  # noqa: SLF001 its own class
        return responder

    @property
    def wants_interim_results(self) -> bool:
        """Whether the client wants interim results."""
        return self._config.interim_results

    @property
    def wants_speech_events(self) -> bool:
        """Whether the client wants begin and end of speech."""
        return self._config.features.voice_activity_events

    async def write(self, response: ChannelResponse) -> None:
        """Send a response."""
        self._course.last_response_at = time.monotonic()
        await self._writer.write(self._numbered(response), self._cursor())

    async def finish(self, summary: CallFinished) -> None:
        """Send the last response."""
        await self._write(summary)

    def _numbered(self, response: ChannelResponse) -> Response:
        return response if self._channel is None else OfChannel(channel=self._channel, response=response)

    async def _write(self, response: Response | None) -> None:
        self._course.last_response_at = time.monotonic()
        await self._writer.write(response, self._cursor())

    async def warn(self, warning: OptionWarning) -> None:
        """Send a warning about an option of the call, once: with the start, or at once after it."""
        course = self._course
        if warning in course.downgrades:
            return
        course.downgrades = (*course.downgrades, warning)
        if course.is_started:
            course.waiting.append(warning)
            await self._write_waiting()

    async def warn_of_update(self, warnings: tuple[OptionWarning, ...]) -> None:
        """Send the warnings about an update, after those about the call."""
        for warning in warnings:
            await self.write_after_start(warning)

    async def write_after_start(self, response: OptionWarning | ChannelFailed) -> None:
        """Send a response now, or after the start."""
        self._course.waiting.append(self._numbered(response))
        if self._course.is_started:
            await self._write_waiting()

    async def start(self, ready: Ready, config: RecognitionConfig) -> None:
        """Send that the call has started, with its warnings; for a task after the first only wait for these."""
        course = self._course
        if not course.is_started:
            course.is_started = True
            started = Started(
                model=config.model,
                sample_rate_hertz=config.model_rate_hertz,
                upstream_request_id=ready.request_id,
                downgrades=course.downgrades,
            )
            course.waiting.extendleft((*reversed(course.downgrades), started))
        await self._write_waiting()

    async def write_result(self, result: Result, read_at: float) -> None:
        """Send a result read from the upstream at ``read_at``, without fields that the client does not want."""
        features, statistics = self._config.features, self._statistics
        if (result.words and not features.word_time_offsets) or (result.emotion and not features.emotion):
            result = replace(
                result,
                words=result.words if features.word_time_offsets else (),
                emotion=result.emotion if features.emotion else None,
            )
        is_first_text = result.text and statistics.delays.text_read is None
        if is_first_text:
            statistics.delays.text_read = read_at
        await self.write(result)
        now = time.monotonic()
        if is_first_text:
            statistics.delays.text_written = now
        metrics = statistics.metrics
        metrics.overhead.observe(now - read_at)
        (metrics.final_results if result.is_final else metrics.partial_results).inc()

    async def keep_awake(self, interval_seconds: float) -> None:
        """Send the going-away notice, and a cursor after so long without a response, until ``stop_keeping_awake``."""
        course = self._course
        while not course.is_stopping:
            try:
                async with asyncio.timeout(course.last_response_at + interval_seconds - time.monotonic()):
                    await self._going_away.announced.wait()
            except TimeoutError:
                if time.monotonic() - course.last_response_at >= interval_seconds:
                    await self._write(None)
            else:
                await self._write_going_away()

    def stop_keeping_awake(self) -> None:
        """End ``keep_awake``; not by a cancel, which could interrupt gRPC in the middle of a message."""
        self._course.is_stopping = True
        self._going_away.announced.set()

    async def _write_waiting(self) -> None:
        async with self._course.turn:
            while self._course.waiting:
                await self._write(self._course.waiting.popleft())

    async def _write_going_away(self) -> None:
        self._going_away.announced.clear()
        if self._going_away.deadline is not None and not self._course.is_stopping:
            left_seconds = max(self._going_away.deadline - time.monotonic(), 0.0)
            await self._write(GoingAway(left_ms=round(left_seconds * 1000)))
