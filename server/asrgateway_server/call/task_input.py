"""The input of one task: live audio at a limited pace, or silence while the client is quiet; and why it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from asrgateway_server.audio.pcm import BYTES_PER_SAMPLE, PcmFormat
from asrgateway_server.audio.resampler import Resampler
from asrgateway_server.backends.base import Commit
from asrgateway_server.call.audio_log import AudioLog, End, Mark
from asrgateway_server.call.clock import Clock
from asrgateway_server.call.pacer import Pacer
from asrgateway_server.call.policy import InputEnd
from asrgateway_server.call.quiet import QuietDetector
from asrgateway_server.call.results import OpenCommit, Results
from asrgateway_server.call.silent_audio import SilentAudio
from asrgateway_server.call.statistics import Statistics
from asrgateway_server.call.utterance import Utterance
from asrgateway_server.config import Adaptation, ChannelMode, RecognitionConfig, Update

#: The vendor's manual recommends it, and people perceive a tenth of a second as immediate.
PACKET_MS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAudio:
    """The audio of a call, shared by all of its tasks.

    Attributes:
        log: The client's audio.
        clock: Has the place of the current task in it.
        results: Is notified of commits and updates.
        statistics: Counts the audio.
        sample_rate_hertz: Of the log.
        quiet: Finds when silence is due; None: it never is.
        silence: Finds that the audio itself is silent, which ends the task too; None: that does not matter.
        hibernate_after_seconds: After so much silence in a row the task is ended; None: it is not.
        lag_samples: So far the log may fall behind while no task takes audio, so that other channels go on: half of
            what it keeps, so that as much is left to be sent again; 0: there are no others.
        answer_seconds: An upstream has answered all that it got once nothing was sent for so long.
        pacer: Spaces packets to models that are elsewhere.
        replay_speed: How many times faster than realtime audio is sent that was sent before.
        backlog_speed: The same for audio that waited.
    """

    log: AudioLog
    clock: Clock
    results: Results
    statistics: Statistics
    sample_rate_hertz: int
    quiet: QuietDetector | None
    silence: SilentAudio | None
    hibernate_after_seconds: float | None
    lag_samples: int
    answer_seconds: float
    pacer: Pacer
    replay_speed: float
    backlog_speed: float

    def let_lag(self) -> None:
        """Let other channels go on while no task takes audio; until one has caught up."""
        if self.lag_samples:
            self.log.may_lag(self.lag_samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCalls:
    """What the input of a task needs of its call.

    Attributes:
        answer_empty: Answers a commit before which the task had no audio.
        adapt: Returns an update's adaptation as the task takes it; None: it takes none.
        end_early: Called when audio comes after the task was ended for lack of it: its last message need not be
            waited for.
    """

    answer_empty: Callable[[], Awaitable[None]]
    adapt: Callable[[Update], Awaitable[Adaptation | None]]
    end_early: Callable[[], None]


class TaskInput:
    """The input of one task; see ``backends.base.TaskInput``.

    Attributes:
        config: The call's config, with the updates that the task has received.

    Args:
        audio: The audio of the call.
        config: The call's config as the task begins.
        utterance: The open utterance of the task.
        calls: What it needs of the call.
        ends_at_commit: A commit ends the task.
        ends_when_quiet: The task is ended once it has received everything; it only finishes what a quiet client said.
        idle_seconds: The task is ended if the call's first audio has not come for so long; None: it waits.
    """

    def __init__(
        self,
        audio: CallAudio,
        config: RecognitionConfig,
        utterance: Utterance,
        calls: TaskCalls,
        *,
        ends_at_commit: bool,
        ends_when_quiet: bool,
        idle_seconds: float | None,
    ) -> None:
        self.config = config
        self._audio = audio
        self._utterance = utterance
        self._ends_at_commit = ends_at_commit
        self._ends_when_quiet = ends_when_quiet
        self._sent_at: float | None = None
        self._is_ready = False
        self._answered = asyncio.Event()
        self._awaits_answer = False
        self._idle_seconds = idle_seconds
        self._idle_at: float | None = None
        self._calls = calls
        self._end = InputEnd.OPEN
        self._rate_hertz = audio.sample_rate_hertz
        self._packet_samples = self._rate_hertz * PACKET_MS // 1000
        self._silence_bytes = config.model_rate_hertz * PACKET_MS // 1000 * BYTES_PER_SAMPLE
        self._resampler = _resampler(self._rate_hertz, config.model_rate_hertz)

    @property
    def end(self) -> InputEnd:
        """How far the input has come."""
        results = self._audio.results
        is_open = results.has_open_utterance or results.has_open_commit
        return InputEnd.STARVED if self.is_starved and not is_open else self._end

    @property
    def is_starved(self) -> bool:
        """Whether the task has long received everything, and neither audio nor silence is due."""
        audio = self._audio
        if self._end is not InputEnd.OPEN or not self._is_ready or audio.log.has_more or audio.log.is_writing:
            return False
        is_handed_over = audio.clock.position_samples == audio.log.read_samples
        is_silence_due = audio.quiet is not None and audio.quiet.silence_at is not None
        return is_handed_over and not is_silence_due and self._is_answered

    @property
    def _is_answered(self) -> bool:
        return self._sent_at is None or asyncio.get_running_loop().time() - self._sent_at >= self._audio.answer_seconds

    def task_is_ready(self) -> None:
        """Begin to wait for the client's first audio."""
        self._is_ready = True
        if self._idle_seconds is not None:
            self._idle_at = asyncio.get_running_loop().time() + self._idle_seconds

    def answer_received(self) -> None:
        """Go on if the task waited for the answer to its commits, and this was the last one."""
        if not self._audio.results.has_open_commit:
            self._answered.set()

    async def next(self) -> bytes | Commit | Update | None:
        """Return the next item of the task; see ``backends.base.TaskInput``."""
        audio = self._audio
        if self._awaits_answer:
            self._awaits_answer = False
            await self._until_answered()
        if self._utterance.is_to_be_ended(audio.clock.task_ms) and not audio.results.has_open_commit:
            return self._commit(None)
        match item := await self._item():
            case bytes():
                await self._hand_over(item)
                return self._resampler.resample(item) if self._resampler else item
            case None:
                return self._silence()
            case Mark(item=Update() as update):
                audio.results.update(item)
                return update
            case Mark():
                return self._commit(item)
            case End():
                self._finish()
                return None

    async def _until_answered(self) -> None:
        """Wait for the answer to a commit: with more audio the task may be lost before it comes."""
        if not self._audio.results.has_open_commit:
            return
        self._answered.clear()
        self._audio.let_lag()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._audio.answer_seconds):
                await self._answered.wait()

    async def _item(self) -> bytes | Mark | End | None:
        """Return the next item for the task, or None for silence; answer commits before any audio."""
        audio = self._audio
        if audio.silence is not None and audio.silence.is_long and not audio.results.has_open_commit:
            self._end = InputEnd.QUIET
            return End()
        while True:
            item = audio.log.read(self._packet_samples)
            if item is None:
                item = await self._wait()
            match item:
                case Mark(item=Update() as update):
                    if taken := await self._taken(item, update):
                        return taken
                case Mark() if self._ends_at_commit and not audio.clock.task_ms:
                    await self._calls.answer_empty()
                case _:
                    return item

    async def _taken(self, mark: Mark, update: Update) -> Mark | None:
        """Return an update as the task takes it; None if it takes none."""
        adaptation = await self._calls.adapt(update)
        if adaptation is None:
            return None
        self.config = replace(self.config, adaptation=adaptation)
        return replace(mark, item=replace(update, adaptation=adaptation))

    async def _wait(self) -> bytes | Mark | End | None:
        """Wait for the next item; return None when silence is due."""
        log, delays, loop = self._audio.log, self._audio.statistics.delays, asyncio.get_running_loop()
        item = None
        while item is None:
            if self._ends_when_quiet and not log.is_writing:
                return self._rest_or_end()
            now = loop.time()
            # While the writer has more, an empty log is not quiet: one large message is many packets.
            if not log.is_writing and self._is_due(now):
                return self._at_due_time()
            await log.wait(self._packet_samples, None if log.is_writing else self._due_at)
            item = log.read(self._packet_samples)
            if delays.audio_sent is not None:
                delays.idle_seconds += loop.time() - now
        return item

    @property
    def _due_at(self) -> float | None:
        """When something is to be done if no audio comes."""
        quiet = self._audio.quiet
        if self._waits_for_first_audio:
            return self._idle_at
        return quiet.silence_at if quiet else None

    def _is_due(self, now: float) -> bool:
        quiet = self._audio.quiet
        if self._waits_for_first_audio:
            return self._idle_at is not None and now >= self._idle_at
        return quiet is not None and quiet.is_silence_due(now)

    @property
    def _waits_for_first_audio(self) -> bool:
        return self._idle_at is not None and not self._audio.log.end_samples

    def _at_due_time(self) -> bytes | Mark | End | None:
        """Return the audio that is less than a packet, None for silence, or the end of a task that is not needed."""
        log = self._audio.log
        if not log.end_samples:
            self._end = InputEnd.IDLE
            log.call_at_audio(self._calls.end_early)
            return End()
        if self._is_quiet_for_long:
            return self._rest_or_end()
        return log.read(self._packet_samples, is_partial_wanted=True)

    def _rest_or_end(self) -> bytes | Mark | End:
        """Return the audio that is less than a packet, or the end of a task whose client is quiet."""
        item = self._audio.log.read(self._packet_samples, is_partial_wanted=True)
        if item is None:
            self._end = InputEnd.QUIET
            return End()
        return item

    @property
    def _is_quiet_for_long(self) -> bool:
        quiet, limit_seconds = self._audio.quiet, self._audio.hibernate_after_seconds
        return quiet is not None and limit_seconds is not None and quiet.silence_seconds >= limit_seconds

    def _finish(self) -> None:
        if self._end is InputEnd.OPEN:
            self._end = InputEnd.HALF_CLOSE
            self._audio.statistics.delays.end_sent = time.monotonic()

    async def _hand_over(self, pcm: bytes) -> None:
        """Wait until a packet may be sent, and count it."""
        clock, statistics = self._audio.clock, self._audio.statistics
        samples = len(pcm) // BYTES_PER_SAMPLE
        await self._pause(samples / self._rate_hertz)
        if statistics.delays.audio_sent is None:
            statistics.delays.audio_sent = time.monotonic()
        self._sent_at = asyncio.get_running_loop().time()
        clock.position_samples += samples
        self._utterance.sent(pcm, clock.task_ms)
        statistics.sent(clock.position_ms)
        if self._audio.silence is not None:
            self._audio.silence.sent(pcm)

    async def _pause(self, packet_seconds: float) -> None:
        audio = self._audio
        if not self.config.model.is_remote:  # A recognizer in this gateway takes audio as fast as it can.
            return
        speed = audio.replay_speed if audio.log.is_replaying else audio.backlog_speed
        if pause := audio.pacer.wait_seconds(time.monotonic(), packet_seconds / speed):
            await asyncio.sleep(pause)

    def _silence(self) -> bytes:
        """Return a packet of silence and count it."""
        audio = self._audio
        if audio.quiet:
            audio.quiet.add_silence(asyncio.get_running_loop().time(), PACKET_MS)
        audio.clock.add_silence(PACKET_MS)
        audio.statistics.silence_sent(PACKET_MS)
        return bytes(self._silence_bytes)

    def _commit(self, mark: Mark | None) -> Commit | None:
        """Return a commit for the task, or None to end it; without a mark it is one of the gateway's own."""
        clock, results = self._audio.clock, self._audio.results
        commit = OpenCommit(at_ms=clock.offset_ms + clock.position_ms, mark=mark)
        if not self._ends_at_commit:
            results.commit(commit)
            # Once for each commit: a task that does not answer gets its audio at the usual pace again.
            self._awaits_answer = self._utterance.is_shortened
            return Commit()
        results.end_by_commit(commit)
        self._audio.let_lag()
        self._end = InputEnd.COMMIT
        return None


def _resampler(log_rate_hertz: int, task_rate_hertz: int) -> Resampler | None:
    """Return what makes audio of the log fit for a model with another rate; None where it has the same."""
    if log_rate_hertz == task_rate_hertz:
        return None
    return Resampler(PcmFormat(log_rate_hertz, 1), task_rate_hertz, ChannelMode.FIRST)
