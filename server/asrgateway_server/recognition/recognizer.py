"""recognize(): one call, from its first byte to its last result.

`hear` carries the client's audio into the outbox; beside it `ask` carries the outbox to the backend and its events to
the client, and after much quiet `keep_awake` sends a sign of life.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final, Protocol

from asrgateway_server.audio.chunk import PcmChunk
from asrgateway_server.audio.pipeline import AudioPipeline
from asrgateway_server.config import RecognitionConfig
from asrgateway_server.errors import (
    InvalidRequest,
    UpstreamLost,
    UpstreamProtocolError,
    UpstreamUnavailable,
    first_error,
)
from asrgateway_server.events import (
    BackendEvent,
    CommitEmpty,
    FinalResult,
    Finished,
    InterimResult,
    Ready,
    SpeechEnded,
    SpeechStarted,
)
from asrgateway_server.metrics import Metrics
from asrgateway_server.recognition.delays import Delays, observe
from asrgateway_server.recognition.outbox import Outbox
from asrgateway_server.recognition.pace import Pace
from asrgateway_server.recognition.replies import CallFinished, Cursor, Notice, Reply, Result, Started
from asrgateway_server.recognition.results import ResultNumbering
from asrgateway_server.recognition.timeline import Timeline
from asrgateway_server.recognition.wishes import unmet
from asrgateway_server.transports.base import Backend, Commit

# A third of a second of live audio: with what is added on the way (pipeline, window of the transport, kernel) it stays
# under a second.
OUTBOX_CHUNKS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the operator sets for every call.

    Attributes:
        max_utterance_seconds: An utterance that goes on for longer is ended.
        cursor_interval_seconds: After so much quiet the client is sent a cursor.
        backlog_speed: How many times faster than realtime a vendor is sent audio that waits.
    """

    max_utterance_seconds: float
    cursor_interval_seconds: float
    backlog_speed: float


class Client(Protocol):
    """The client's side of a call."""

    async def read(self) -> bytes | Commit | None:
        """Return the next audio or commit; None once the client has half-closed."""

    async def write(self, reply: Reply | None, cursor: Cursor) -> None:
        """Tell the client something, or just how far the call has come."""


class _CommitOrigin(Enum):
    CLIENT = auto()
    GATEWAY = auto()


async def recognize(
    config: RecognitionConfig, backend: Backend, client: Client, limits: Limits, metrics: Metrics
) -> None:
    """Run one call to its end.

    Raises:
        GatewayError: The call cannot go on; any of the family but ``UpstreamLost``.
    """
    notices = unmet(config)
    await _Call(config, backend, client, limits, metrics, notices).run()


class _Call:
    def __init__(
        self,
        config: RecognitionConfig,
        backend: Backend,
        client: Client,
        limits: Limits,
        metrics: Metrics,
        notices: tuple[Notice, ...],
    ) -> None:
        self._config = config
        self._backend = backend
        self._client = client
        self._limits = limits
        self._notices = notices
        self._metrics = metrics.of_model(config.model.name)
        self._received_bytes = metrics.audio_received_bytes.labels(config.audio.encoding.name)
        self._rate = config.model_rate_hertz
        self._pipeline = AudioPipeline(config.audio, self._rate)
        self._outbox = Outbox(OUTBOX_CHUNKS)
        self._timeline = Timeline(config.resume.audio_offset_ms)
        # What runs in this gateway takes audio as fast as it can.
        self._pace = Pace(limits.backlog_speed) if config.model.is_remote else None
        self._numbering = ResultNumbering(config.resume.next_result_index)
        self._delays = Delays()
        self._sent_ms = 0
        self._final_ms = 0
        self._utterance_start_ms: int | None = None
        self._commits: deque[_CommitOrigin] = deque()
        self._request_ids: list[str] = []
        self._is_started = False
        self._billed_ms: int | None = None
        self._last_reply = time.monotonic()

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                asking = tasks.create_task(self._ask(), name="ask")
                waking = tasks.create_task(self._keep_awake(), name="keep awake")
                # In the call's own task, where a cancelled call cannot be taken for a half-closed one.
                await self._hear()
                await asking
                waking.cancel()
        except BaseExceptionGroup as group:
            raise first_error(group) from group
        self._pipeline.verify_end()
        await self._finish()

    # The client's side ------------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        while (item := await self._client.read()) is not None:
            if isinstance(item, Commit):
                await self._put(self._pipeline.drain())
                await self._outbox.put(item)
            elif item:
                await self._hear_audio(item)
        self._delays.half_close_read = time.monotonic()
        await self._put(self._pipeline.flush())
        if not self._pipeline.received_ms:
            self._pipeline.verify_end()
            raise InvalidRequest("no audio was received before the end of the stream", field="audio")
        await self._outbox.close()

    async def _hear_audio(self, data: bytes) -> None:
        if self._delays.audio_read is None:
            self._delays.audio_read = time.monotonic()
        before = self._pipeline.received_ms
        chunks = self._pipeline.feed(data)
        self._received_bytes.inc(len(data))
        self._metrics.audio_received_seconds.inc((self._pipeline.received_ms - before) / 1000)
        await self._put(chunks)

    async def _put(self, chunks: list[PcmChunk]) -> None:
        for chunk in chunks:
            await self._outbox.put(chunk)

    async def _keep_awake(self) -> None:
        interval = self._limits.cursor_interval_seconds
        while True:
            await asyncio.sleep(self._last_reply + interval - time.monotonic())
            if time.monotonic() - self._last_reply >= interval:
                await self._tell(None)

    # The backend's side -----------------------------------------------------------------------------------------

    async def _ask(self) -> None:
        try:
            await self._backend.converse(self._config, self._next_chunk, self._receive)
        except UpstreamLost as lost:
            raise UpstreamUnavailable(
                f"{lost.message}; try again",
                retry_after_seconds=1.0,
                upstream_code=lost.upstream_code,
                upstream_request_id=lost.upstream_request_id,
            ) from lost
        if self._delays.end_sent is None:
            raise UpstreamProtocolError("the backend ended the call before its audio ended")

    async def _next_chunk(self) -> PcmChunk | Commit | None:
        """Return what the backend hears next; see ``ChunkSource``."""
        if self._is_utterance_too_long():
            self._commits.append(_CommitOrigin.GATEWAY)
            return Commit()
        item = await self._outbox.take()
        match item:
            case PcmChunk():
                await self._count_sent(item)
            case Commit():
                self._commits.append(_CommitOrigin.CLIENT)
            case None:
                self._delays.end_sent = time.monotonic()
        return item

    async def _count_sent(self, chunk: PcmChunk) -> None:
        sent_ms = chunk.end_samples * 1000 // self._rate
        seconds = (sent_ms - self._sent_ms) / 1000
        if self._pace and (pause := self._pace.wait_seconds(time.monotonic(), seconds)):
            await asyncio.sleep(pause)
        if self._delays.audio_sent is None:
            self._delays.audio_sent = time.monotonic()
        self._metrics.upstream_audio_sent_seconds.inc(seconds)
        self._sent_ms = sent_ms

    def _is_utterance_too_long(self) -> bool:
        start = self._utterance_start_ms
        return (
            start is not None
            and not self._commits
            and self._sent_ms - start > self._limits.max_utterance_seconds * 1000
        )

    async def _receive(self, event: BackendEvent, read_at: float) -> None:
        """Tell the client what the backend told; see ``Emit``."""
        match event:
            case InterimResult():
                await self._receive_interim(event, read_at)
            case FinalResult():
                await self._receive_final(event, read_at)
            case SpeechStarted() | SpeechEnded():
                await self._receive_boundary(event)
            case CommitEmpty():
                self._utterance_start_ms = None
                if self._commits.popleft() is _CommitOrigin.CLIENT:
                    await self._tell(event)
            case Ready():
                await self._start(event)
            case Finished():
                self._delays.end_read = read_at
                self._billed_ms = event.billed_ms

    async def _receive_interim(self, event: InterimResult, read_at: float) -> None:
        self._open_utterance(event.start_ms)
        if self._config.interim_results:
            await self._tell_result(self._numbering.interim(self._timeline.move_result(event)), read_at)

    def _open_utterance(self, start_ms: int | None) -> None:
        if self._utterance_start_ms is None:
            self._utterance_start_ms = self._sent_ms if start_ms is None else start_ms

    async def _receive_boundary(self, event: SpeechStarted | SpeechEnded) -> None:
        if isinstance(event, SpeechStarted):
            self._open_utterance(event.offset_ms)
        if self._config.features.voice_activity_events:
            await self._tell(self._timeline.move_boundary(event))

    async def _receive_final(self, event: FinalResult, read_at: float) -> None:
        self._utterance_start_ms = None
        if event.is_forced:
            self._commits.popleft()
        moved = self._timeline.move_result(event)
        self._final_ms = max(self._final_ms, self._sent_ms if event.end_ms is None else event.end_ms)
        if result := self._numbering.final(moved):
            await self._tell_result(result, read_at)

    async def _start(self, ready: Ready) -> None:
        if ready.request_id:
            self._request_ids.append(ready.request_id)
        if self._is_started:
            return
        self._is_started = True
        await self._tell(
            Started(
                model=self._config.model,
                sample_rate_hertz=self._rate,
                upstream_request_id=ready.request_id,
                downgrades=self._notices,
            )
        )
        for notice in self._notices:
            await self._tell(notice)

    # To the client ----------------------------------------------------------------------------------------------

    async def _tell_result(self, result: Result, read_at: float) -> None:
        if (result.words and not self._config.features.word_time_offsets) or (
            result.emotion and not self._config.features.emotion
        ):
            result = self._without_the_unasked(result)
        is_first_text = result.text and self._delays.text_read is None
        if is_first_text:
            self._delays.text_read = read_at
        await self._tell(result)
        now = time.monotonic()
        if is_first_text:
            self._delays.text_given = now
        self._metrics.overhead.observe(now - read_at)
        (self._metrics.final_results if result.is_final else self._metrics.partial_results).inc()

    def _without_the_unasked(self, result: Result) -> Result:
        features = self._config.features
        return replace(
            result,
            words=result.words if features.word_time_offsets else (),
            emotion=result.emotion if features.emotion else None,
        )

    async def _finish(self) -> None:
        delays = self._delays
        last_package = delays.last_package_seconds(time.monotonic())
        observe(self._metrics.first_package_delay_client.observe, delays.first_package_seconds)
        observe(self._metrics.first_package_delay_upstream.observe, delays.upstream_first_package_seconds)
        observe(self._metrics.last_package_delay_client.observe, last_package)
        observe(self._metrics.last_package_delay_upstream.observe, delays.upstream_last_package_seconds)
        await self._tell(
            CallFinished(
                first_package_delay_seconds=delays.first_package_seconds,
                last_package_delay_seconds=last_package,
                upstream_first_package_delay_seconds=delays.upstream_first_package_seconds,
                upstream_last_package_delay_seconds=delays.upstream_last_package_seconds,
                audio_ms=self._pipeline.received_ms,
                billed_ms=self._billed_ms,
                estimated_cost_cny=self._estimated_cost_cny(),
                final_results=self._numbering.finals,
                upstream_request_ids=tuple(self._request_ids),
            )
        )

    def _estimated_cost_cny(self) -> float | None:
        price = self._config.model.price_per_second_cny
        if price is None:
            return None
        billed_ms = self._sent_ms if self._billed_ms is None else self._billed_ms
        return price * billed_ms / 1000

    async def _tell(self, reply: Reply | None) -> None:
        self._last_reply = time.monotonic()
        await self._client.write(
            reply, Cursor(received_ms=self._pipeline.received_ms, sent_ms=self._sent_ms, final_ms=self._final_ms)
        )
