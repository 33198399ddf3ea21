"""Writes responses in order: the start with its warnings, results, events, cursors, and the summary."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from asrgateway_server.call.going_away import GoingAwayNotice
from asrgateway_server.call.responses import Cursor, GoingAway, Response, Result, Started
from asrgateway_server.call.statistics import Statistics
from asrgateway_server.config import RecognitionConfig
from asrgateway_server.events import OptionWarning, Ready


class ResponseWriter(Protocol):
    """Takes responses to the client."""

    async def write(self, response: Response | None, cursor: Cursor) -> None:
        """Send a response; with None only the cursor."""


class Responder:
    """Writes the responses of one call.

    Args:
        config: The call's config; what it does not ask for is left out of responses.
        writer: Takes the responses.
        statistics: Has the cursor; receives the instants of the first text.
        going_away: Has the deadline of the call.
        warnings: Those that are known before the call starts.
    """

    def __init__(
        self,
        config: RecognitionConfig,
        writer: ResponseWriter,
        statistics: Statistics,
        going_away: GoingAwayNotice,
        warnings: tuple[OptionWarning, ...],
    ) -> None:
        self._config = config
        self._writer = writer
        self._statistics = statistics
        self._going_away = going_away
        self._is_started = False
        self._downgrades = warnings
        self._update_warnings: tuple[OptionWarning, ...] = ()
        self._last_response_at = time.monotonic()
        self._is_stopping = False

    @property
    def wants_interim_results(self) -> bool:
        """Whether the client wants interim results."""
        return self._config.interim_results

    @property
    def wants_speech_events(self) -> bool:
        """Whether the client wants begin and end of speech."""
        return self._config.features.voice_activity_events

    async def write(self, response: Response | None) -> None:
        """Send a response; with None only the cursor."""
        self._last_response_at = time.monotonic()
        await self._writer.write(response, self._statistics.cursor)

    async def warn(self, warning: OptionWarning) -> None:
        """Send a warning about an option of the call, once: with the start, or at once after it."""
        if warning in self._downgrades:
            return
        self._downgrades = (*self._downgrades, warning)
        if self._is_started:
            await self.write(warning)

    async def warn_of_update(self, warnings: tuple[OptionWarning, ...]) -> None:
        """Send the warnings about an update, after those about the call."""
        if self._is_started:
            await self._write_all(warnings)
        else:
            self._update_warnings += warnings

    async def start(self, ready: Ready, config: RecognitionConfig) -> None:
        """Send that the call has started, with its warnings; send nothing for a task after the first."""
        if self._is_started:
            return
        self._is_started = True
        await self.write(
            Started(
                model=config.model,
                sample_rate_hertz=config.model_rate_hertz,
                upstream_request_id=ready.request_id,
                downgrades=self._downgrades,
            )
        )
        await self._write_all((*self._downgrades, *self._update_warnings))

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
        while not self._is_stopping:
            try:
                async with asyncio.timeout(self._last_response_at + interval_seconds - time.monotonic()):
                    await self._going_away.announced.wait()
            except TimeoutError:
                if time.monotonic() - self._last_response_at >= interval_seconds:
                    await self.write(None)
            else:
                await self._write_going_away()

    def stop_keeping_awake(self) -> None:
        """End ``keep_awake``; not by a cancel, which could interrupt gRPC in the middle of a message."""
        self._is_stopping = True
        self._going_away.announced.set()

    async def _write_all(self, responses: Sequence[Response]) -> None:
        for response in responses:
            await self.write(response)

    async def _write_going_away(self) -> None:
        self._going_away.announced.clear()
        if self._going_away.deadline is not None and not self._is_stopping:
            left_seconds = max(self._going_away.deadline - time.monotonic(), 0.0)
            await self.write(GoingAway(left_ms=round(left_seconds * 1000)))
