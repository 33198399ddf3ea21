"""The channels of a call that are recognized each by itself: one reader, one numbering and one clock for all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from asrgateway_server import logs
from asrgateway_server.audio.channel_split import split
from asrgateway_server.audio.pipeline import AudioPipeline
from asrgateway_server.backends.base import Commit
from asrgateway_server.call.channel import CallParts, Channel, MakeResponder
from asrgateway_server.call.responder import Responder
from asrgateway_server.call.responses import CallFinished, ChannelFailed, Cursor
from asrgateway_server.call.statistics import Statistics
from asrgateway_server.call.summaries import summed
from asrgateway_server.call.task_input import PACKET_MS
from asrgateway_server.config import Update
from asrgateway_server.errors import (
    GatewayError,
    InvalidRequest,
    Overloaded,
    UpstreamProtocolError,
    UpstreamRefused,
    UpstreamUnavailable,
)
from asrgateway_server.events import OptionWarning

log = logging.getLogger(__name__)

# What one channel may meet and another one not; all else is the client's, or concerns the whole call.
_FAULTS_OF_ONE: Final = (Overloaded, UpstreamProtocolError, UpstreamRefused, UpstreamUnavailable)
_COUNT_FIELD: Final = "streaming_config.decoding_config.audio_channel_count"


class SeparateChannels:
    """All channels of a call; used like one ``Channel``. Of audio whose header has not come yet the first one is there.

    Attributes:
        received_ms: The client's audio received.
        responder: Writes what concerns the whole call.

    Args:
        call: What they are made of.
        pipeline: Knows how many there are, sooner or later.
        responder: Makes the call's responder; see ``Channel``.
        take_streams: Counts the streams of the call beyond its first; raises Overloaded.
    """

    responder: Responder

    def __init__(
        self,
        call: CallParts,
        pipeline: AudioPipeline,
        responder: MakeResponder,
        take_streams: Callable[[int], None],
    ) -> None:
        self.received_ms = 0
        self._call = call
        self._pipeline = pipeline
        self._take_streams = take_streams
        self._make_responder = responder
        self._channels: list[Channel] = []
        self._running: dict[int, Channel] = {}
        self._errors: dict[int, GatewayError] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._is_known = False
        self._open(pipeline.channel_count or call.config.audio.channel_count)

    # Opening ----------------------------------------------------------------------------------------------------

    def _open(self, count: int | None) -> None:
        """Open the channels that are known of; None: the first."""
        self._is_known = count is not None
        if count is not None:
            self._verify(count)
            self._take_streams(count - 1)
        resume = self._call.config.resume
        offsets_ms = resume.channel_offsets_ms
        for number in range(len(self._channels), count or 1):
            skipped_ms = offsets_ms[number] - resume.audio_offset_ms if offsets_ms else 0
            channel = Channel(self._call, self._responder_of_next, skipped_ms)
            self._channels.append(channel)
            self._running[number] = channel
            self._start(number, channel)

    def _verify(self, count: int) -> None:
        if count > (most := self._call.limits.max_channels):
            field = _COUNT_FIELD if self._call.config.audio.channel_count else "audio"
            raise InvalidRequest(
                f"the audio has {count} channels; this gateway recognises at most {most} of one call each by itself: "
                "send fewer, or use channel mode MIX",
                field=field,
            )
        if (offsets := self._call.config.resume.channel_offsets_ms) and len(offsets) != count:
            raise InvalidRequest(
                f"resume.channel_offsets has {len(offsets)} offsets for {count} channels; it must have one for each",
                field="streaming_config.resume.channel_offsets",
            )

    def _responder_of_next(self, statistics: Statistics, warnings: tuple[OptionWarning, ...]) -> Responder:
        if not self._channels:
            self.responder = self._make_responder(statistics, warnings)
        return self.responder.of_channel(len(self._channels), statistics)

    # Running ----------------------------------------------------------------------------------------------------

    def start(self, tasks: asyncio.TaskGroup, finish: Callable[[], Awaitable[None]]) -> None:
        """Begin to recognize them; ``finish`` follows the last."""
        self._tasks, self._finish = tasks, finish
        for number, channel in self._running.items():
            self._start(number, channel)

    def _start(self, number: int, channel: Channel) -> None:
        if self._tasks:
            self._tasks.create_task(self._run(number, channel), name=f"channel {number}")

    async def _run(self, number: int, channel: Channel) -> None:
        logs.add_to_task(channel=number)
        try:
            await channel.run(lambda: self._end_one(number))
        except _FAULTS_OF_ONE as error:
            # A call begins with all of its channels, or not at all: another try may find room for them.
            if isinstance(error, Overloaded) and self._is_beginning(channel):
                raise
            self._errors[number] = error
            if len(self._errors) == len(self._channels):
                raise
            await self._fail(number, channel, error)

    def _is_beginning(self, channel: Channel) -> bool:
        """Whether no task has had more than the packet with which a worker is taken.

        A resumed channel may begin when the others have long been running; they then go on.
        """
        begun_with = self._channels if channel.is_late else (channel,)
        return all(one.statistics.sent_ms <= PACKET_MS for one in begun_with)

    async def _fail(self, number: int, channel: Channel, error: GatewayError) -> None:
        """Go on without a channel."""
        channel.log.abandon()
        channel.statistics.metrics.failed_channels.inc()
        log.warning("channel failed", extra={"reason": error.reason})
        failed = ChannelFailed(error=error, start_ms=channel.statistics.final_ms)
        await channel.responder.write_after_start(failed)
        await self._end_one(number)

    async def _end_one(self, number: int) -> None:
        del self._running[number]
        if not self._running:
            await self._finish()

    # The client's audio -----------------------------------------------------------------------------------------

    async def append(self, pcm: bytes, byte_count: int, received_ms: int, read_at: float) -> None:
        """Add a piece of audio, interleaved; wait until the slowest channel has room."""
        self.received_ms = received_ms
        if not self._is_known:
            self._open(self._pipeline.channel_count)
        elif pcm and self._pipeline.channel_count != len(self._channels):
            raise InvalidRequest(
                f"the config says {len(self._channels)} channels, the audio has {self._pipeline.channel_count}; "
                "leave it out, or make them agree",
                field=_COUNT_FIELD,
            )
        for number, part in enumerate(split(pcm, len(self._channels))):
            if number not in self._errors:
                self._channels[number].add(part, byte_count, received_ms, read_at)
                byte_count = 0  # Those of a message are counted once.
        for channel in [*self._running.values()]:
            if channel.log.is_full:
                await self._wait_for(channel)

    async def _wait_for(self, slowest: Channel) -> None:
        """Wait for room; meanwhile the client is not quiet in any channel."""
        for channel in self._channels:
            channel.log.is_writing = True
        try:
            await slowest.log.room()
        finally:
            for channel in self._channels:
                channel.log.go_on()

    def hold(self) -> None:
        """See ``Channel.hold``."""
        for channel in self._running.values():
            channel.hold()

    async def mark(self, item: Commit | Update) -> None:
        """Add a commit or an update to every channel, at the same place."""
        for number, channel in [*self._running.items()]:
            if number not in self._errors:  # It runs until the client has read that it failed.
                await channel.mark(item)

    def half_close(self, now: float) -> None:
        """See ``Channel.half_close``."""
        for channel in self._channels:
            channel.half_close(now)

    def end(self) -> None:
        """End the audio of all channels."""
        for channel in self._running.values():
            channel.end()

    def close(self) -> None:
        """Give up everything."""
        for channel in self._channels:
            channel.close()

    # What is known of the call ------------------------------------------------------------------------------------

    @property
    def backlog_seconds(self) -> float:
        """The audio that was received and has not been sent, in the slowest channel."""
        return max((channel.backlog_seconds for channel in self._running.values()), default=0.0)

    @property
    def cursor(self) -> Cursor:
        """How far the call has come: as far as the slowest channel of those that have not failed."""
        alive = [channel for number, channel in enumerate(self._channels) if number not in self._errors]
        alive = alive or self._channels
        return Cursor(
            received_ms=self.received_ms,
            sent_ms=min(self.received_ms, *(channel.sent_ms for channel in alive)),
            final_ms=min(channel.statistics.final_ms for channel in alive),
            silence_ms=sum(channel.statistics.silence_ms for channel in self._channels),
            channel_final_ms=tuple(channel.statistics.final_ms for channel in self._channels),
        )

    def finished(self) -> CallFinished:
        """Return the summary of the call and of each channel."""
        return summed(
            tuple(
                replace(channel.finished(), error=self._errors.get(number))
                for number, channel in enumerate(self._channels)
            )
        )
