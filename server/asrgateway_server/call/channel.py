"""What is recognized by itself: all of a call's audio, mixed, or one of its channels."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from asrgateway_server.audio.pcm import BYTES_PER_SAMPLE
from asrgateway_server.backends.base import Commit
from asrgateway_server.backends.route import Route
from asrgateway_server.call.arrival_times import ArrivalTimes
from asrgateway_server.call.audio_log import AudioLog
from asrgateway_server.call.clock import Clock
from asrgateway_server.call.limits import Limits
from asrgateway_server.call.model_choice import ModelChoice
from asrgateway_server.call.options import is_supported, unsupported_in_update
from asrgateway_server.call.pacer import Pacer
from asrgateway_server.call.quiet import QuietDetector
from asrgateway_server.call.replay_memory import ReplayMemory
from asrgateway_server.call.responder import Responder
from asrgateway_server.call.responses import CallFinished, Cursor
from asrgateway_server.call.results import Results
from asrgateway_server.call.silent_audio import SilentAudio
from asrgateway_server.call.statistics import Statistics
from asrgateway_server.call.task_input import PACKET_MS, CallAudio
from asrgateway_server.call.upstream_loop import UpstreamLoop
from asrgateway_server.config import ChannelMode, KeepAlivePolicy, RecognitionConfig, Update
from asrgateway_server.events import OptionWarning
from asrgateway_server.metrics import Metrics

#: Packets that may wait in the log; with the windows of gRPC and the kernel it stays under a second of audio.
WAITING_PACKETS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CallParts:
    """What all channels of a call are made of.

    Attributes:
        config: What the client asks for.
        route: The models that it asks for.
        limits: The operator's.
        metrics: Count the call.
        memory: Bounds what its logs keep.
        indexes: The numbers of its utterances.
    """

    config: RecognitionConfig
    route: Route
    limits: Limits
    metrics: Metrics
    memory: ReplayMemory
    indexes: Iterator[int]

    @property
    def kept_samples(self) -> int:
        """The most audio that a channel keeps."""
        return round(self.limits.replay_seconds * self.config.model_rate_hertz)


#: Makes what writes a channel's responses, of its statistics and the warnings about the call.
MakeResponder = Callable[[Statistics, tuple[OptionWarning, ...]], Responder]


class Channel:
    """The audio that is recognized by itself, and its way to the upstream and back.

    Attributes:
        log: Its audio.
        statistics: Its amounts of audio, delays and cost.
        responder: Writes its responses.

    Args:
        call: What it is made of.
        responder: Makes what writes its responses, of its statistics and the warnings about the call.
        skipped_ms: Audio at the beginning that an earlier call has recognized.
    """

    def __init__(self, call: CallParts, responder: MakeResponder, skipped_ms: int = 0) -> None:
        asked, rate_hertz = call.config, call.config.model_rate_hertz
        self._asked = asked
        self._skipped_ms = skipped_ms
        self._skipped_bytes = skipped_ms * rate_hertz // 1000 * BYTES_PER_SAMPLE
        self.log = log = AudioLog(WAITING_PACKETS * rate_hertz * PACKET_MS // 1000, call.kept_samples, call.memory)
        self._models = models = ModelChoice(call.route, asked, lambda: log.adaptation or asked.adaptation, call.metrics)
        config = models.config(needs_words=False)
        self.statistics = Statistics(config, call.metrics)
        self.statistics.final_ms = asked.resume.audio_offset_ms + skipped_ms
        self.responder = responder(self.statistics, models.warnings)
        self._quiet = _quiet_detector(asked, call.limits)
        self._arrival_times = ArrivalTimes()
        audio = _audio(call, log, self.statistics, self._quiet)
        audio.let_lag()
        self._upstream = UpstreamLoop(config, models, audio, call.limits, self.responder, self._arrival_times)

    def start(self, tasks: asyncio.TaskGroup, finish: Callable[[], Awaitable[None]]) -> None:
        """Begin to recognize it; see ``UpstreamLoop.run``."""
        tasks.create_task(self.run(finish), name="upstream loop")

    async def run(self, finish: Callable[[], Awaitable[None]]) -> None:
        """Recognize it to its end; see ``UpstreamLoop.run``."""
        await self._upstream.run(finish)

    def append(self, pcm: bytes, byte_count: int, received_ms: int, read_at: float) -> Awaitable[None]:
        """Add a piece of the client's audio, included in ``received_ms``; wait while there is no room."""
        self._count(byte_count, received_ms, read_at)
        return self.log.append(pcm)

    def add(self, pcm: bytes, byte_count: int, received_ms: int, read_at: float) -> None:
        """Add a piece of the client's audio whether there is room or not, without what an earlier call has had."""
        if self._skipped_bytes:
            skipped = min(self._skipped_bytes, len(pcm))
            self._skipped_bytes -= skipped
            pcm = pcm[skipped:]
        if pcm:
            self._count(byte_count, max(received_ms - self._skipped_ms, 0), read_at)
            self.log.add(pcm)
        else:
            self.statistics.received(byte_count, self.statistics.received_ms)

    def _count(self, byte_count: int, received_ms: int, read_at: float) -> None:
        statistics = self.statistics
        if statistics.delays.audio_read is None:
            statistics.delays.audio_read = read_at
        seconds = statistics.received(byte_count, received_ms)
        self._arrival_times.add(received_ms, read_at)
        if self._quiet:
            self._quiet.add(asyncio.get_running_loop().time(), seconds)

    def half_close(self, now: float) -> None:
        """Note that the client sends nothing more."""
        self.statistics.delays.half_close_read = now

    @property
    def is_late(self) -> bool:
        """Whether it begins later than the call, which is resumed."""
        return self._skipped_ms > 0

    @property
    def sent_ms(self) -> int:
        """As much of this call's audio as tasks have had, in this call or an earlier one."""
        return self._skipped_ms + self.statistics.sent_ms

    @property
    def cursor(self) -> Cursor:
        """How far it has come."""
        return self.statistics.cursor

    @property
    def backlog_seconds(self) -> float:
        """The audio that was received and has not been sent."""
        return self.statistics.backlog_seconds

    def finished(self) -> CallFinished:
        """Return the summary; see ``Statistics.finished``."""
        return self.statistics.finished()

    def end(self) -> None:
        """End the audio."""
        self.log.end()

    def hold(self) -> None:
        """Do not count the time until now as quiet: the client's audio waited here, so it could not send any."""
        if self._quiet:
            self._quiet.hold(asyncio.get_running_loop().time())

    async def mark(self, item: Commit | Update) -> None:
        """Add a commit or an update after all audio so far."""
        if isinstance(item, Update):
            model = self._models.model
            await self.responder.warn_of_update(unsupported_in_update(replace(self._asked, model=model), item))
            if not is_supported(model, item):
                return
        await self.log.mark(item)

    def close(self) -> None:
        """Give up everything."""
        self.statistics.close()
        self.log.close()


def _audio(call: CallParts, log: AudioLog, statistics: Statistics, quiet: QuietDetector | None) -> CallAudio:
    """Return the audio of a channel whose statistics begin where it does."""
    config, limits, rate_hertz = call.config, call.limits, call.config.model_rate_hertz
    does_hibernate = config.keep_alive.policy is KeepAlivePolicy.HIBERNATE
    is_separate = config.audio.channel_mode is ChannelMode.SEPARATE
    return CallAudio(
        log=log,
        clock=Clock(rate_hertz, statistics.final_ms),
        results=Results(call.indexes, statistics.final_ms),
        statistics=statistics,
        sample_rate_hertz=rate_hertz,
        quiet=quiet,
        silence=SilentAudio(limits.hibernate_after_seconds, rate_hertz) if does_hibernate and is_separate else None,
        hibernate_after_seconds=limits.hibernate_after_seconds if does_hibernate else None,
        lag_samples=call.kept_samples // 2 if is_separate else 0,
        answer_seconds=limits.answer_seconds,
        pacer=Pacer(),
        replay_speed=limits.replay_speed,
        backlog_speed=limits.backlog_speed,
    )


def _quiet_detector(config: RecognitionConfig, limits: Limits) -> QuietDetector | None:
    """Return the detector of the client's quiet; None if the call wants no silence."""
    if config.keep_alive.policy is KeepAlivePolicy.OFF:
        return None
    quiet_after_ms = config.keep_alive.quiet_after_ms
    return QuietDetector(
        limits.quiet_after_seconds if quiet_after_ms is None else quiet_after_ms / 1000,
        limits.max_injected_silence_seconds,
    )
