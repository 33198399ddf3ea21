"""What a task receives while its client is quiet, or has more audio than another channel takes."""

from __future__ import annotations

import asyncio
import itertools
import math

from prometheus_client import CollectorRegistry

from asrgateway_server.call.audio_log import AudioLog
from asrgateway_server.call.clock import Clock
from asrgateway_server.call.pacer import Pacer
from asrgateway_server.call.quiet import QuietDetector
from asrgateway_server.call.replay_memory import ReplayMemory
from asrgateway_server.call.results import Results
from asrgateway_server.call.statistics import Statistics
from asrgateway_server.call.task_input import CallAudio, TaskCalls, TaskInput
from asrgateway_server.call.utterance import Utterance
from asrgateway_server.call.utterance_limit import UtteranceLimit
from asrgateway_server.config import Adaptation, Update
from asrgateway_server.metrics import Metrics
from spoken_numbers import CONFIG

RATE_HERTZ = 16_000
PACKET, SILENCE = b"\1\0" * 1_600, bytes(3_200)


class CountedLog(AudioLog):
    """Counts how often its reader has begun to wait."""

    waits = 0

    async def wait(self, wanted_samples: int, until: float | None) -> None:
        self.waits += 1
        await super().wait(wanted_samples, until)


async def nothing() -> None:
    raise AssertionError("there is no commit")


async def no_update(_update: Update) -> Adaptation | None:
    raise AssertionError("there is no update")


def long_quiet() -> QuietDetector:
    """A detector to which silence has been due for some time."""
    quiet = QuietDetector(0.5)
    quiet.add(asyncio.get_running_loop().time() - 10, 0.1)
    return quiet


def input_of(log: AudioLog, quiet: QuietDetector) -> TaskInput:
    clock = Clock(RATE_HERTZ, 0)
    audio = CallAudio(
        log=log,
        clock=clock,
        results=Results(itertools.count(), 0),
        statistics=Statistics(CONFIG, Metrics(CollectorRegistry())),
        sample_rate_hertz=RATE_HERTZ,
        quiet=quiet,
        silence=None,
        hibernate_after_seconds=None,
        lag_samples=0,
        answer_seconds=60.0,
        pacer=Pacer(),
        replay_speed=10.0,
        backlog_speed=3.0,
    )
    clock.begin_task(0)
    utterance = Utterance(UtteranceLimit(20_000), max_silence_ms=None, is_open=False, is_always_open=False)
    calls = TaskCalls(answer_empty=nothing, adapt=no_update, end_early=lambda: None)
    return TaskInput(audio, CONFIG, utterance, calls, ends_at_commit=False, ends_when_quiet=False, idle_seconds=None)


async def read_log() -> CountedLog:
    """A log whose audio has all been read."""
    log = CountedLog(3 * 1_600, 60 * RATE_HERTZ, ReplayMemory(math.inf))
    await log.append(PACKET)
    log.read(1_600)
    return log


async def test_a_task_does_nothing_while_the_writer_waits_for_another_channel() -> None:
    log = await read_log()
    log.is_writing = True
    next_item = asyncio.create_task(input_of(log, long_quiet()).next())
    for _ in range(100):
        await asyncio.sleep(0)
    assert log.waits == 1
    await log.append(PACKET)
    assert await next_item == PACKET


async def test_a_task_gets_the_silence_that_is_due_once_the_writer_waits_no_more() -> None:
    log = await read_log()
    log.is_writing = True
    next_item = asyncio.create_task(input_of(log, long_quiet()).next())
    await asyncio.sleep(0)
    log.go_on()
    async with asyncio.timeout(5):
        assert await next_item == SILENCE
