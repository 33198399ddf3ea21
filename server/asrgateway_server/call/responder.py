"""What the client is told: results with their numbers, how far the call has come, and in the end what it took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from asrgateway_server.call.delays import Delays, observe
from asrgateway_server.call.going_away import GoingAwayNotice
from asrgateway_server.call.responses import CallFinished, Cursor, GoingAway, Response, Result, Started
from asrgateway_server.call.results import ResultNumbering
from asrgateway_server.config import RecognitionConfig
from asrgateway_server.events import FinalResult, Finished, InterimResult, OptionWarning, Ready
from asrgateway_server.metrics import ModelMetrics
from asrgateway_server.tracing import call_trace


class Client(Protocol):
    """Whoever is told."""

    async def write(self, response: Response | None, cursor: Cursor) -> None:
        """Tell the client something, or just how far the call has come."""


class Responder:
    """Tells one client what happens in its call.

    Args:
        config: What the client asked for; what it did not ask for is left out.
        client: Whom to tell.
        cursor: Returns how far the call has come.
        delays: Gets the instants of the first text and of the end.
        metrics: Count what is told.
        going_away: Brings the news that the call has to end.
    """

    def __init__(
        self,
        config: RecognitionConfig,
        client: Client,
        cursor: Callable[[], Cursor],
        delays: Delays,
        metrics: ModelMetrics,
        going_away: GoingAwayNotice,
    ) -> None:
        self._config = config
        self._client = client
        self._cursor = cursor
        self._delays = delays
        self._metrics = metrics
        self._going_away_notice = going_away
        self._numbering = ResultNumbering(config.resume.next_result_index)
        self._request_ids: list[str] = []
        self._is_started = False
        self._remarks: list[OptionWarning] = []
        self._waiting: list[OptionWarning] = []
        self._billed_ms: int | None = None
        self._last_response_at = time.monotonic()
        self._may_rest = False

    async def tell(self, response: Response | None) -> None:
        """Tell something, or just how far the call has come."""
        self._last_response_at = time.monotonic()
        await self._client.write(response, self._cursor())

    async def warnings(self, warnings: tuple[OptionWarning, ...]) -> None:
        """Tell, once the call has begun, which options have no effect."""
        if not self._is_started:
            self._waiting += warnings
            return
        for notice in warnings:
            await self.tell(notice)

    async def remark(self, notice: OptionWarning) -> None:
        """Tell, once and after the call has begun, what the backend found out about a wish."""
        if notice in self._remarks:
            return
        self._remarks.append(notice)
        if self._is_started:
            await self.tell(notice)

    async def ready(self, ready: Ready, warnings: tuple[OptionWarning, ...]) -> None:
        """Tell that the call has begun; only remember the name of a task that follows the first."""
        if ready.request_id:
            self._request_ids.append(ready.request_id)
        if self._is_started:
            return
        self._is_started = True
        warnings = (*warnings, *self._remarks)
        await self.tell(
            Started(
                model=self._config.model,
                sample_rate_hertz=self._config.model_rate_hertz,
                upstream_request_id=ready.request_id,
                downgrades=warnings,
            )
        )
        # Those of updates that came before are none of the call's own.
        await self.warnings((*warnings, *self._waiting))

    async def interim(self, event: InterimResult, read_at: float) -> None:
        """Tell text that is still spoken, if the client wants it."""
        if self._config.interim_results and (result := self._numbering.interim(event)):
            await self._result(result, read_at)

    async def final(self, event: FinalResult, read_at: float, heard_at: float | None) -> None:
        """Tell text that will not change; nothing for a noise of which nothing was told.

        Args:
            event: The text, on the client's clock.
            read_at: When it was read from the backend.
            heard_at: When the last audio of it had come; None if that is not known.
        """
        if result := self._numbering.final(event):
            await self._result(result, read_at)
            if heard_at is not None:
                self._metrics.result_lag.observe(time.monotonic() - heard_at, call_trace.get().exemplar)

    async def keep_awake(self, interval_seconds: float) -> None:
        """Tell when the call has to end, and send a sign of life after so much quiet, until ``rest`` is called."""
        while not self._may_rest:
            try:
                async with asyncio.timeout(self._last_response_at + interval_seconds - time.monotonic()):
                    await self._going_away_notice.news.wait()
            except TimeoutError:
                if time.monotonic() - self._last_response_at >= interval_seconds:
                    await self.tell(None)
            else:
                await self._going_away()

    def rest(self) -> None:
        """End ``keep_awake``; not by a cancel, which would leave half a message in gRPC's hands."""
        self._may_rest = True
        self._going_away_notice.news.set()

    def backend_finished(self, finished: Finished, read_at: float) -> None:
        """Remember when the backend had told everything, and what is billed."""
        self._delays.end_read = read_at
        self._billed_ms = finished.billed_ms

    async def finish(self) -> None:
        """Tell what the call took."""
        delays, metrics, cursor = self._delays, self._metrics, self._cursor()
        exemplar = call_trace.get().exemplar
        last_package = delays.last_package_seconds(time.monotonic())
        observe(metrics.first_package_delay_client.observe, delays.first_package_seconds, exemplar)
        observe(metrics.first_package_delay_upstream.observe, delays.upstream_first_package_seconds, exemplar)
        observe(metrics.last_package_delay_client.observe, last_package, exemplar)
        observe(metrics.last_package_delay_upstream.observe, delays.upstream_last_package_seconds, exemplar)
        observe(metrics.realtime_factor.observe, delays.realtime_factor(cursor.sent_ms / 1000))
        await self.tell(
            CallFinished(
                first_package_delay_seconds=delays.first_package_seconds,
                last_package_delay_seconds=last_package,
                upstream_first_package_delay_seconds=delays.upstream_first_package_seconds,
                upstream_last_package_delay_seconds=delays.upstream_last_package_seconds,
                audio_ms=cursor.received_ms,
                silence_ms=cursor.silence_ms,
                billed_ms=self._billed_ms,
                estimated_cost_cny=self._estimated_cost_cny(cursor),
                final_results=self._numbering.finals,
                upstream_request_ids=tuple(self._request_ids),
            )
        )

    async def _going_away(self) -> None:
        self._going_away_notice.news.clear()
        if self._going_away_notice.deadline is not None and not self._may_rest:
            left_seconds = max(self._going_away_notice.deadline - time.monotonic(), 0.0)
            await self.tell(GoingAway(left_ms=round(left_seconds * 1000)))

    async def _result(self, result: Result, read_at: float) -> None:
        features = self._config.features
        if (result.words and not features.word_time_offsets) or (result.emotion and not features.emotion):
            result = replace(
                result,
                words=result.words if features.word_time_offsets else (),
                emotion=result.emotion if features.emotion else None,
            )
        is_first_text = result.text and self._delays.text_read is None
        if is_first_text:
            self._delays.text_read = read_at
        await self.tell(result)
        now = time.monotonic()
        if is_first_text:
            self._delays.text_given = now
        self._metrics.overhead.observe(now - read_at)
        (self._metrics.final_results if result.is_final else self._metrics.partial_results).inc()

    def count_bill(self) -> None:
        """Count what the call costs; a call that failed is billed as well."""
        if not self._config.model.is_remote:
            return
        cursor = self._cursor()
        self._metrics.billed_audio_seconds.inc(self._billed_seconds(cursor))
        self._metrics.estimated_cost_cny.inc(self._estimated_cost_cny(cursor) or 0.0)

    def _billed_seconds(self, cursor: Cursor) -> float:
        return (cursor.sent_ms + cursor.silence_ms if self._billed_ms is None else self._billed_ms) / 1000

    def _estimated_cost_cny(self, cursor: Cursor) -> float | None:
        price = self._config.model.price_per_second_cny
        return None if price is None else price * self._billed_seconds(cursor)
