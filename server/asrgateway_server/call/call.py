"""One call, from its first byte to its last result.

One task reads the client and appends its audio to the log; beside it the upstream loop carries the log to the model
and its results to the client. A third one sends a cursor when no response was sent for a while.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Final, Protocol

from asrgateway_server.audio.pipeline import AudioPipeline
from asrgateway_server.backends.base import Commit
from asrgateway_server.backends.route import Route
from asrgateway_server.call.arrival_times import ArrivalTimes
from asrgateway_server.call.audio_log import AudioLog
from asrgateway_server.call.clock import Clock
from asrgateway_server.call.going_away import GoingAwayNotice
from asrgateway_server.call.limits import Limits
from asrgateway_server.call.model_choice import ModelChoice
from asrgateway_server.call.options import is_supported, unsupported_in_update
from asrgateway_server.call.pacer import Pacer
from asrgateway_server.call.quiet import QuietDetector
from asrgateway_server.call.replay_memory import ReplayMemory
from asrgateway_server.call.responder import Responder, ResponseWriter
from asrgateway_server.call.results import Results
from asrgateway_server.call.statistics import Statistics
from asrgateway_server.call.task_input import PACKET_MS, CallAudio
from asrgateway_server.call.upstream_loop import UpstreamLoop
from asrgateway_server.config import KeepAlivePolicy, RecognitionConfig, Resume, Update
from asrgateway_server.errors import InvalidRequest, first_error
from asrgateway_server.metrics import Metrics

#: Packets that may wait in the log; with the windows of gRPC and the kernel it stays under a second of audio.
WAITING_PACKETS: Final = 3
# Given to the decoder in one piece: resampling a whole message of 2 MB takes 150 ms, and blocks all other calls
# meanwhile. Of coded audio, which may be minutes, the pipeline decodes a part at a time.
_DECODED_BYTES: Final = 16 * 1024


class Client(ResponseWriter, Protocol):
    """The client's side of a call."""

    def reading(self) -> AbstractAsyncContextManager[None]:
        """Return the context in which all requests are read; the gateway may end it while ``read`` waits."""

    async def read(self) -> bytes | Commit | Update | None:
        """Return the next audio, commit or update; None once the client has half-closed."""


async def recognize(
    config: RecognitionConfig,
    route: Route,
    client: Client,
    limits: Limits,
    metrics: Metrics,
    going_away: GoingAwayNotice,
    memory: ReplayMemory,
) -> None:
    """Run one call to its end; send the client a notice if it has to end sooner.

    Raises:
        GatewayError: The call cannot go on; any subclass but ``UpstreamLost``.
    """
    await _Call(config, route, client, limits, metrics, going_away, memory).run()


class _Call:
    def __init__(
        self,
        config: RecognitionConfig,
        route: Route,
        client: Client,
        limits: Limits,
        metrics: Metrics,
        going_away: GoingAwayNotice,
        memory: ReplayMemory,
    ) -> None:
        asked, rate_hertz = config, config.model_rate_hertz
        does_hibernate = config.keep_alive.policy is KeepAlivePolicy.HIBERNATE
        self._config = config
        self._client = client
        self._limits = limits
        self._metrics = metrics
        self._pipeline = AudioPipeline(config.audio, rate_hertz)
        self._quiet = _quiet_detector(config, limits)
        self._log = AudioLog(
            WAITING_PACKETS * rate_hertz * PACKET_MS // 1000, round(limits.replay_seconds * rate_hertz), memory
        )
        self._models = models = ModelChoice(route, asked, lambda: self._log.adaptation or asked.adaptation, metrics)
        config = models.config(needs_words=False)
        self._arrival_times = ArrivalTimes()
        self._statistics = Statistics(config, metrics)
        self._responder = Responder(config, client, self._statistics, going_away, models.warnings)
        audio = CallAudio(
            log=self._log,
            clock=Clock(rate_hertz, config.resume.audio_offset_ms),
            results=Results(config.resume.next_result_index, config.resume.audio_offset_ms),
            statistics=self._statistics,
            sample_rate_hertz=rate_hertz,
            quiet=self._quiet,
            hibernate_after_seconds=limits.hibernate_after_seconds if does_hibernate else None,
            answer_seconds=limits.answer_seconds,
            pacer=Pacer(),
            replay_speed=limits.replay_speed,
            backlog_speed=limits.backlog_speed,
        )
        self._upstream = UpstreamLoop(config, models, audio, limits, self._responder, self._arrival_times)

    async def run(self) -> None:
        try:
            with self._metrics.backlog_of(lambda: self._statistics.backlog_seconds):
                async with asyncio.TaskGroup() as tasks:
                    waking = self._responder.keep_awake(self._limits.cursor_interval_seconds)
                    self._waking = tasks.create_task(waking, name="keep awake")
                    tasks.create_task(self._upstream.run(self._finish), name="upstream loop")
                    # In the handler's own task: only there does a cancelled call differ from a half-closed one.
                    await self._read_client()
        except BaseExceptionGroup as group:
            raise first_error(group) from group
        finally:
            self._statistics.close()
            self._log.close()

    async def _finish(self) -> None:
        """Send the summary, the last response."""
        self._responder.stop_keeping_awake()
        await self._waking
        self._pipeline.verify_end()
        await self._responder.write(self._statistics.finished())

    async def _read_client(self) -> None:
        async with self._client.reading():
            while (item := await self._client.read()) is not None:
                match item:
                    case bytes() if item:
                        await self._append(item)
                    case Commit():
                        await self._log.mark(item)
                    case Update():
                        await self._update(item)
        self._statistics.delays.half_close_read = time.monotonic()
        await self._log.append(self._pipeline.flush())
        self._statistics.received(0, self._pipeline.received_ms)
        # A call that resumes another one may have nothing left to recognise.
        if not self._statistics.received_ms and self._config.resume == Resume():
            self._pipeline.verify_end()
            raise InvalidRequest("no audio was received before the end of the stream", field="audio")
        self._log.end()

    async def _append(self, data: bytes) -> None:
        """Decode a message and append it; a long one piece by piece when there is room."""
        now = time.monotonic()
        if self._statistics.delays.audio_read is None:
            self._statistics.delays.audio_read = now
        for start in range(0, len(data), _DECODED_BYTES):
            await self._log.append(self._decode(data[start : start + _DECODED_BYTES], now))
            while self._pipeline.has_more:
                await asyncio.sleep(0)  # A piece that holds no audio does not wait in the log.
                await self._log.append(self._decode(b"", now))
        if self._quiet:
            # The client could not send while its audio waited here, so it was not quiet.
            self._quiet.hold(asyncio.get_running_loop().time())

    def _decode(self, data: bytes, read_at: float) -> bytes:
        pcm = self._pipeline.feed(data)
        received_ms = self._pipeline.received_ms
        seconds = self._statistics.received(len(data), received_ms)
        self._arrival_times.add(received_ms, read_at)
        if self._quiet:
            self._quiet.add(asyncio.get_running_loop().time(), seconds)
        return pcm

    async def _update(self, update: Update) -> None:
        await self._responder.warn_of_update(
            unsupported_in_update(replace(self._config, model=self._models.model), update)
        )
        if is_supported(self._models.model, update):
            await self._log.mark(update)


def _quiet_detector(config: RecognitionConfig, limits: Limits) -> QuietDetector | None:
    """Return the detector of the client's quiet; None if the call wants no silence."""
    if config.keep_alive.policy is KeepAlivePolicy.OFF:
        return None
    quiet_after_ms = config.keep_alive.quiet_after_ms
    return QuietDetector(
        limits.quiet_after_seconds if quiet_after_ms is None else quiet_after_ms / 1000,
        limits.max_injected_silence_seconds,
    )
