"""recognize(): one call, from its first byte to its last result.

`hear` carries the client's audio into the outbox; beside it `ask` carries the outbox to the backend and its events to
the client, and after much quiet the client gets a sign of life.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final, Protocol

from asrgateway_server.audio.chunk import BYTES_PER_SAMPLE, PcmChunk
from asrgateway_server.audio.chunker import CHUNK_MS
from asrgateway_server.audio.pipeline import AudioPipeline
from asrgateway_server.backends.base import Backend, Commit
from asrgateway_server.call import responder
from asrgateway_server.call.arrival_times import ArrivalTimes
from asrgateway_server.call.clock import Timeline
from asrgateway_server.call.delays import Delays
from asrgateway_server.call.going_away import GoingAwayNotice
from asrgateway_server.call.options import is_supported, unsupported_in_update, unsupported_options
from asrgateway_server.call.outbox import Outbox, Silence
from asrgateway_server.call.pacer import Pacer
from asrgateway_server.call.quiet import QuietDetector
from asrgateway_server.call.responder import Responder
from asrgateway_server.call.responses import Cursor
from asrgateway_server.config import KeepAlivePolicy, ManualEndpointing, RecognitionConfig, Update
from asrgateway_server.errors import (
    ClientStalled,
    GatewayError,
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
    OptionWarning,
    Ready,
    SpeechEnded,
    SpeechStarted,
    UpdateApplied,
)
from asrgateway_server.metrics import Metrics
from asrgateway_server.tracing import call_trace

# A third of a second of live audio: with what is added on the way (pipeline, window of the transport, kernel) it stays
# under a second.
OUTBOX_CHUNKS: Final = 3
# Decoded at once: to resample a whole message of 2 MB takes 150 ms, in which no other call goes on.
_DECODED_BYTES: Final = 32 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the operator sets for every call.

    Attributes:
        max_utterance_seconds: An utterance that goes on for longer is ended.
        cursor_interval_seconds: After so much quiet the client is sent a cursor.
        backlog_speed: How many times faster than realtime a vendor is sent audio that waits.
        quiet_after_seconds: When a client counts as quiet, unless it says so itself.
        max_injected_silence_seconds: So much silence in a row is sent in a client's place, and no more until it speaks.
        task_silence_seconds: A vendor's task in which nothing was said for so long is followed by a new one, where the
            vendor would soon end it.
        task_idle_seconds: A vendor's task that has had no audio for so long, since the client has not sent any yet, is
            ended, and another one begins with the first audio.
    """

    max_utterance_seconds: float
    cursor_interval_seconds: float
    backlog_speed: float
    quiet_after_seconds: float
    max_injected_silence_seconds: float
    task_silence_seconds: float
    task_idle_seconds: float


class Client(responder.Client, Protocol):
    """The client's side of a call."""

    async def read(self) -> bytes | Commit | Update | None:
        """Return the next audio, commit or update; None once the client has half-closed."""


class _CommitOrigin(Enum):
    CLIENT = auto()
    GATEWAY = auto()


async def recognize(
    config: RecognitionConfig,
    backend: Backend,
    client: Client,
    limits: Limits,
    metrics: Metrics,
    going_away: GoingAwayNotice,
) -> None:
    """Run one call to its end; tell the client of ``going_away`` when there is news.

    Raises:
        GatewayError: The call cannot go on; any of the family but ``UpstreamLost``.
    """
    warnings = unsupported_options(config)
    await _Call(config, backend, client, limits, metrics, going_away, warnings).run()


class _Call:
    def __init__(
        self,
        config: RecognitionConfig,
        backend: Backend,
        client: Client,
        limits: Limits,
        metrics: Metrics,
        going_away: GoingAwayNotice,
        warnings: tuple[OptionWarning, ...],
    ) -> None:
        self._config = config
        self._backend = backend
        self._client = client
        self._limits = limits
        self._warnings = warnings
        self._metrics = metrics.of_model(config.model.name)
        self._received_bytes = metrics.audio_received_bytes.labels(config.audio.encoding.name)
        self._rate = config.model_rate_hertz
        self._pipeline = AudioPipeline(config.audio, self._rate)
        self._quiet = _quiet(config, limits)
        self._outbox = Outbox(OUTBOX_CHUNKS, self._quiet, self._pipeline.drain)
        self._timeline = Timeline(config.resume.audio_offset_ms)
        # What runs in this gateway takes audio as fast as it can.
        self._pacer = Pacer(limits.backlog_speed) if config.model.is_remote else None
        self._arrival_times = ArrivalTimes()
        self._trace = call_trace.get()
        self._delays = Delays()
        self._responder = Responder(config, client, self._cursor, self._delays, self._metrics, going_away)
        self._final_ms = 0
        # In the backend's time: where the open utterance begins, and where anything was last heard of it.
        self._utterance_start_ms = self._when_nothing_is_open()
        self._news_ms = 0
        # Who asked for each commit that has no answer yet: added as it is sent, taken off as it is answered.
        self._commits: deque[_CommitOrigin] = deque()
        # A task that opens before the first audio may be ended, unseen, to be followed by another one with that.
        self._idle_at: float | None = None
        self._is_ending_idle_task = False
        self._idle_task_limit: asyncio.Timeout | None = None
        self._held: deque[PcmChunk | Silence | None] = deque()

    async def run(self) -> None:
        try:
            with self._metrics.backlog_of(self._backlog_seconds):
                await self._hear_and_ask()
        except BaseExceptionGroup as group:
            raise first_error(group) from group
        finally:
            self._responder.count_bill()
        self._pipeline.verify_end()
        await self._responder.finish()

    async def _hear_and_ask(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(self._ask(), name="ask")
            tasks.create_task(self._responder.keep_awake(self._limits.cursor_interval_seconds), name="keep awake")
            # In the call's own task, where a cancelled call cannot be taken for a half-closed one.
            await self._hear()
            await asking
            self._responder.rest()

    def _backlog_seconds(self) -> float:
        return (self._pipeline.received_ms - self._timeline.sent_ms) / 1000

    def _cursor(self) -> Cursor:
        return Cursor(
            received_ms=self._pipeline.received_ms,
            sent_ms=self._timeline.sent_ms,
            final_ms=self._final_ms,
            silence_ms=self._timeline.silence_ms,
        )

    # The client's side ------------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        while (item := await self._client.read()) is not None:
            match item:
                case Commit():
                    await self._put(self._pipeline.drain())
                    await self._outbox.put(item)
                case Update():
                    await self._hear_update(item)
                case _ if item:
                    await self._hear_audio(item)
        self._delays.half_close_read = time.monotonic()
        await self._put(self._pipeline.flush())
        if not self._pipeline.received_ms:
            self._pipeline.verify_end()
            raise InvalidRequest("no audio was received before the end of the stream", field="audio")
        await self._outbox.close()

    async def _hear_audio(self, data: bytes) -> None:
        now = time.monotonic()
        if self._delays.audio_read is None:
            self._delays.audio_read = now
        if self._idle_task_limit and self._is_ending_idle_task:
            self._idle_task_limit.reschedule(0.0)  # The first word does not wait for a good-bye.
            self._idle_task_limit = None  # Once is enough, and more than once an error.
        self._received_bytes.inc(len(data))
        await self._outbox.put_all(self._decoded(data, now))

    def _decoded(self, data: bytes, read_at: float) -> Iterator[PcmChunk]:
        """Yield the chunks of a message, decoded piece by piece as there is room for them."""
        for start in range(0, len(data), _DECODED_BYTES):
            before = self._pipeline.received_ms
            chunks = self._pipeline.feed(data[start : start + _DECODED_BYTES])
            seconds = (self._pipeline.received_ms - before) / 1000
            self._arrival_times.add(self._pipeline.received_ms, read_at)
            if self._quiet:
                self._quiet.add(asyncio.get_running_loop().time(), seconds)
            self._metrics.audio_received_seconds.inc(seconds)
            yield from chunks

    async def _hear_update(self, update: Update) -> None:
        await self._responder.warnings(unsupported_in_update(self._config, update))
        if is_supported(self._config.model, update):
            await self._put(self._pipeline.drain())
            await self._outbox.put(update)

    async def _put(self, chunks: list[PcmChunk]) -> None:
        await self._outbox.put_all(chunks)

    # The backend's side -----------------------------------------------------------------------------------------

    async def _ask(self) -> None:
        while not await self._is_task_the_last():
            await self._await_audio()
        if self._delays.end_sent is None:
            raise UpstreamProtocolError("the backend ended the call before its audio ended")

    async def _is_task_the_last(self) -> bool:
        """Run a task of the backend; return False if it ended before the client's first audio."""
        self._is_ending_idle_task = False
        self._idle_at = None
        try:
            with self._trace.tasks(self._config.model.name):
                async with asyncio.timeout(None) as self._idle_task_limit:
                    await self._backend.converse(self._config, self._next_item, self._receive)
        except TimeoutError:
            if self._is_ending_idle_task:
                return False
            raise
        except ClientStalled:
            raise
        except UpstreamLost as lost:
            if self._is_ending_idle_task or self._is_idle:
                return False
            raise UpstreamUnavailable(
                f"{lost.message}; try again",
                retry_after_seconds=1.0,
                upstream_code=lost.upstream_code,
                upstream_request_id=lost.upstream_request_id,
            ) from lost
        except GatewayError:
            if self._is_ending_idle_task:
                return False
            raise
        finally:
            self._idle_task_limit = None
        return not self._is_ending_idle_task

    @property
    def _is_idle(self) -> bool:
        """Whether this task is ready, and the client has sent nothing that it was to hear."""
        return self._idle_at is not None and self._delays.audio_sent is None and not self._held

    async def _await_audio(self) -> None:
        """Wait for the client's first audio, without a task; see to what else it asks for."""
        while self._commits:  # The task that went left them open.
            await self._receive_empty(CommitEmpty())
        while isinstance(item := await self._outbox.take(), Commit | Update):
            if isinstance(item, Update):
                self._config = replace(self._config, adaptation=item.adaptation)
            await self._responder.tell(CommitEmpty() if isinstance(item, Commit) else UpdateApplied())
        self._held.append(item)

    async def _take(self) -> PcmChunk | Commit | Update | Silence | None:
        """Return what the backend hears next; None too when the task is to end because no audio has come yet."""
        if self._held:
            return self._held.popleft()
        if not self._is_idle or not self._config.model.is_remote:
            return await self._outbox.take()
        try:
            async with asyncio.timeout_at(self._idle_at):
                return await self._outbox.take()
        except TimeoutError:
            if self._pipeline.received_ms:  # It is on its way.
                return await self._outbox.take()
            self._is_ending_idle_task = True
            return None

    async def _next_item(self) -> PcmChunk | Commit | Update | None:
        """Return what the backend hears next; see ``ItemSource``."""
        if self._is_utterance_too_long() or self._is_task_stale():
            self._commits.append(_CommitOrigin.GATEWAY)
            return Commit()
        asked_at = time.monotonic()
        item = await self._take()
        if self._delays.audio_sent is not None:
            self._delays.idle_seconds += time.monotonic() - asked_at
        match item:
            case PcmChunk():
                await self._count_sent(item)
            case Silence():
                return self._silence()
            case Commit():
                self._commits.append(_CommitOrigin.CLIENT)
            case Update():
                self._config = replace(self._config, adaptation=item.adaptation)
            case None if not self._is_ending_idle_task:
                self._delays.end_sent = time.monotonic()
        return item

    async def _count_sent(self, chunk: PcmChunk) -> None:
        sent_ms = chunk.end_samples * 1000 // self._rate
        seconds = (sent_ms - self._timeline.sent_ms) / 1000
        if self._pacer and (pause := self._pacer.wait_seconds(time.monotonic(), seconds)):
            await asyncio.sleep(pause)
        if self._delays.audio_sent is None:
            self._delays.audio_sent = time.monotonic()
        self._metrics.upstream_audio_sent_seconds.inc(seconds)
        self._timeline.sent_ms = sent_ms

    def _silence(self) -> PcmChunk:
        self._timeline.add_silence(CHUNK_MS)
        self._metrics.silence_injected_seconds.inc(CHUNK_MS / 1000)
        return PcmChunk(bytes(self._rate * CHUNK_MS // 1000 * BYTES_PER_SAMPLE), 0)

    def _is_utterance_too_long(self) -> bool:
        start = self._utterance_start_ms
        return (
            start is not None
            and not self._commits
            and self._timeline.position_ms - start > self._limits.max_utterance_seconds * 1000
        )

    def _is_task_stale(self) -> bool:
        """Whether the vendor may soon end the task because nothing was said in it for so long."""
        return (
            not self._config.model.outlasts_silence
            and self._utterance_start_ms is None
            and not self._commits
            and self._timeline.position_ms - self._news_ms > self._limits.task_silence_seconds * 1000
        )

    async def _receive(self, event: BackendEvent, read_at: float) -> None:
        """Tell the client what the backend told; see ``Emit``."""
        self._news_ms = self._timeline.position_ms
        match event:
            case InterimResult():
                self._open_utterance(event.start_ms)
                await self._responder.interim(self._timeline.move_result(event), read_at)
            case FinalResult():
                await self._receive_final(event, read_at)
            case SpeechStarted() | SpeechEnded():
                await self._receive_boundary(event)
            case CommitEmpty():
                await self._receive_empty(event)
            case Ready():
                self._idle_at = asyncio.get_running_loop().time() + self._limits.task_idle_seconds
                self._trace.task_ready(event.request_id)
                await self._responder.ready(event, self._warnings)
            case UpdateApplied():
                await self._responder.tell(event)
            case OptionWarning():
                await self._responder.remark(event)
            case Finished() if not self._is_ending_idle_task:
                self._responder.backend_finished(event, read_at)

    def _when_nothing_is_open(self) -> int | None:
        """Return where the next utterance begins: unknown, but where only commits end one, it is here."""
        is_asked = isinstance(self._config.endpointing, ManualEndpointing)
        return self._timeline.position_ms if is_asked and "endpointing.manual" in self._config.model.options else None

    def _open_utterance(self, start_ms: int | None) -> None:
        if self._utterance_start_ms is None:
            self._utterance_start_ms = self._timeline.position_ms if start_ms is None else start_ms

    async def _receive_boundary(self, event: SpeechStarted | SpeechEnded) -> None:
        if isinstance(event, SpeechStarted):
            self._open_utterance(event.offset_ms)
        if self._config.features.voice_activity_events:
            await self._responder.tell(self._timeline.move_boundary(event))

    async def _receive_final(self, event: FinalResult, read_at: float) -> None:
        self._utterance_start_ms = self._when_nothing_is_open()
        if event.is_forced:
            self._commits.popleft()
        end_ms = self._timeline.position_ms if event.end_ms is None else event.end_ms
        audio_ms = self._timeline.audio_ms(end_ms)
        self._final_ms = max(self._final_ms, audio_ms)
        heard_at = None if event.end_ms is None else self._arrival_times.of(audio_ms)
        await self._responder.final(self._timeline.move_result(event), read_at, heard_at)

    async def _receive_empty(self, event: CommitEmpty) -> None:
        self._utterance_start_ms = self._when_nothing_is_open()
        if self._commits.popleft() is _CommitOrigin.CLIENT:
            await self._responder.tell(event)


def _quiet(config: RecognitionConfig, limits: Limits) -> QuietDetector | None:
    """Return what tells when the client is quiet; None if nothing is to be done then."""
    if config.keep_alive.policy is KeepAlivePolicy.OFF:
        return None
    quiet_after_ms = config.keep_alive.quiet_after_ms
    return QuietDetector(
        limits.quiet_after_seconds if quiet_after_ms is None else quiet_after_ms / 1000,
        limits.max_injected_silence_seconds,
    )
