"""One call, from its first byte to its last result.

One task reads the client and appends its audio to the log; beside it the upstream loop carries the log to the model
and its results to the client, with channel mode SEPARATE one for each channel. Another one sends a cursor when no
response was sent for a while.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from asrgateway_server.audio.pipeline import AudioPipeline
from asrgateway_server.backends.base import Commit
from asrgateway_server.backends.route import Route
from asrgateway_server.call.channel import CallParts, Channel
from asrgateway_server.call.going_away import GoingAwayNotice
from asrgateway_server.call.limits import Limits
from asrgateway_server.call.replay_memory import ReplayMemory
from asrgateway_server.call.responder import Responder, ResponseWriter
from asrgateway_server.call.responses import Cursor
from asrgateway_server.call.separate_channels import SeparateChannels
from asrgateway_server.call.statistics import Statistics
from asrgateway_server.config import ChannelMode, RecognitionConfig, Resume, Update
from asrgateway_server.errors import InvalidRequest, first_error
from asrgateway_server.events import OptionWarning
from asrgateway_server.metrics import Metrics

# Given to the decoder in one piece: resampling a whole message of 2 MB takes 150 ms, and blocks all other calls
# meanwhile. Of coded audio, which may be minutes, the pipeline decodes a part at a time.
_DECODED_BYTES: Final = 16 * 1024


class Client(ResponseWriter, Protocol):
    """The client's side of a call."""

    def reading(self) -> AbstractAsyncContextManager[None]:
        """Return the context in which all requests are read; the gateway may end it while ``read`` waits."""

    async def read(self) -> bytes | Commit | Update | None:
        """Return the next audio, commit or update; None once the client has half-closed."""


def _no_limit(_streams: int) -> None:
    """Let a call take as many streams as it has channels."""


async def recognize(
    config: RecognitionConfig,
    route: Route,
    client: Client,
    limits: Limits,
    metrics: Metrics,
    going_away: GoingAwayNotice,
    memory: ReplayMemory,
    *,
    take_streams: Callable[[int], None] = _no_limit,
) -> None:
    """Run one call to its end; send the client a notice if it has to end sooner.

    Args:
        config: What the client asks for.
        route: The models that it asks for.
        client: The client.
        limits: The operator's limits.
        metrics: Count the call.
        going_away: Has the deadline of the call.
        memory: Bounds what all calls keep.
        take_streams: Counts the streams of the call beyond its first; raises Overloaded.

    Raises:
        GatewayError: The call cannot go on; any subclass but ``UpstreamLost``.
    """
    parts = CallParts(
        config=config,
        route=route,
        limits=limits,
        metrics=metrics,
        memory=memory,
        indexes=itertools.count(config.resume.next_result_index),
    )
    await _Call(parts, client, going_away, take_streams).run()


class _Call:
    def __init__(
        self, parts: CallParts, client: Client, going_away: GoingAwayNotice, take_streams: Callable[[int], None]
    ) -> None:
        self._parts = parts
        self._client = client
        self._going_away = going_away
        self._pipeline = AudioPipeline(parts.config.audio, parts.config.model_rate_hertz)
        self._channels: Channel | SeparateChannels
        if parts.config.audio.channel_mode is ChannelMode.SEPARATE:
            self._channels = SeparateChannels(parts, self._pipeline, self._responder, take_streams)
        else:
            self._channels = Channel(parts, self._responder)

    def _responder(self, statistics: Statistics, warnings: tuple[OptionWarning, ...]) -> Responder:
        return Responder(self._parts.config, self._client, statistics, self._cursor, self._going_away, warnings)

    def _cursor(self) -> Cursor:
        return self._channels.cursor

    async def run(self) -> None:
        responder, channels, parts = self._channels.responder, self._channels, self._parts
        try:
            with parts.metrics.backlog_of(lambda: channels.backlog_seconds):
                async with asyncio.TaskGroup() as tasks:
                    waking = responder.keep_awake(parts.limits.cursor_interval_seconds)
                    self._waking = tasks.create_task(waking, name="keep awake")
                    channels.start(tasks, self._finish)
                    # In the handler's own task: only there does a cancelled call differ from a half-closed one.
                    await self._read_client()
        except BaseExceptionGroup as group:
            raise first_error(group) from group
        finally:
            channels.close()

    async def _finish(self) -> None:
        """Send the summary, the last response."""
        responder = self._channels.responder
        responder.stop_keeping_awake()
        await self._waking
        self._pipeline.verify_end()
        await responder.finish(self._channels.finished())

    async def _read_client(self) -> None:
        async with self._client.reading():
            while (item := await self._client.read()) is not None:
                match item:
                    case bytes() if item:
                        await self._append(item)
                    case Commit() | Update():
                        await self._channels.mark(item)
        now = time.monotonic()
        self._channels.half_close(now)
        rest, received_ms = self._pipeline.flush(), self._pipeline.received_ms
        if rest:
            await self._channels.append(rest, 0, received_ms, now)
        # A call that resumes another one may have nothing left to recognise.
        if not received_ms and self._parts.config.resume == Resume():
            self._pipeline.verify_end()
            raise InvalidRequest("no audio was received before the end of the stream", field="audio")
        self._channels.end()

    async def _append(self, data: bytes) -> None:
        """Decode a message and append it; a long one piece by piece when there is room."""
        now = time.monotonic()
        for start in range(0, len(data), _DECODED_BYTES):
            await self._feed(data[start : start + _DECODED_BYTES], now)
            while self._pipeline.has_more:
                await asyncio.sleep(0)  # A piece that holds no audio does not wait in the log.
                await self._feed(b"", now)
        self._channels.hold()

    def _feed(self, data: bytes, read_at: float) -> Awaitable[None]:
        pcm = self._pipeline.feed(data)
        return self._channels.append(pcm, len(data), self._pipeline.received_ms, read_at)
