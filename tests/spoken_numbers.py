"""Calls to a recognizer that hears numbers: each is two packets long and written in its samples."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from prometheus_client import CollectorRegistry

from asrgateway_server.backends.base import Commit, Completed, Emit, Lost, TaskEnd, TaskInput
from asrgateway_server.backends.route import Route
from asrgateway_server.call.call import recognize
from asrgateway_server.call.going_away import GoingAwayNotice
from asrgateway_server.call.limits import Limits
from asrgateway_server.call.replay_memory import ReplayMemory
from asrgateway_server.call.responses import (
    CallFinished,
    Cursor,
    Response,
    Result,
    StreamEvent,
    StreamEventType,
)
from asrgateway_server.config import (
    AudioFormat,
    Features,
    RecognitionConfig,
    Update,
)
from asrgateway_server.errors import (
    UpstreamEnded,
    UpstreamLost,
)
from asrgateway_server.events import (
    BackendEvent,
    CommitEmpty,
    FinalResult,
    InterimResult,
    Ready,
    SpeechEnded,
    SpeechStarted,
    UpdateApplied,
    Word,
)
from asrgateway_server.metrics import Metrics
from asrgateway_server.vendors.pocketsphinx.catalogue import EMBEDDED
from limits import LIMITS
from routes import route_to

CONFIG = RecognitionConfig(
    model=replace(EMBEDDED, options=EMBEDDED.options | {"update.adaptation.context"}),
    audio=AudioFormat(sample_rate_hertz=16_000),
    interim_results=True,
    features=Features(word_time_offsets=True, voice_activity_events=True),
)
PERSISTENT = replace(LIMITS, max_failures=5)
PACKET_MS = 100
LOST = Lost(error=UpstreamLost("the connection dropped"))
ENDED = Lost(error=UpstreamEnded("the vendor ended the task"))


def spoken(*numbers: int) -> list[bytes]:
    """Numbers of 200 ms each; 0 is silence."""
    return [number.to_bytes(2, "little") * 1_600 for number in numbers for _ in range(2)]


@dataclass(kw_only=True)
class Numbers:
    """A recognizer of numbers: so many to a sentence. Silence ends a sentence too.

    Attributes:
        losses: After how many packets each task is lost, and how; later ones go on.
        sentence: How many numbers end one.
        has_times: Results have times and words.
        ends_at_commit: A commit ends a task.
        starts: The number that each task heard first, and its context.
    """

    losses: list[tuple[int, TaskEnd]] = field(default_factory=list)
    sentence: int = 4
    has_times: bool = True
    ends_at_commit: bool = False
    starts: list[tuple[int, str]] = field(default_factory=list)

    @asynccontextmanager
    async def open(self, _config: RecognitionConfig) -> AsyncIterator[Numbers]:
        yield self

    async def rest(self) -> None:
        """Keep nothing."""

    async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
        limit, end = self.losses.pop(0) if self.losses else (10**9, LOST)
        task = NumbersTask(self.sentence, has_times=self.has_times)
        await emit(Ready(request_id="task"), time.monotonic())
        while task.packets < limit:
            item = await task_input.next()
            if isinstance(item, bytes) and not task.packets:
                self.starts.append((number_in(item), config.adaptation.context))
            for event in task.events(item):
                await emit(event, time.monotonic())
            if item is None:
                return Completed(read_at=time.monotonic())
        return end


def number_in(packet: bytes) -> int:
    return int.from_bytes(packet[:2], "little")


class NumbersTask:
    """One task of the recognizer."""

    def __init__(self, sentence: int, *, has_times: bool) -> None:
        self.packets = 0
        self._sentence = sentence
        self._has_times = has_times
        self._words: list[Word] = []

    def events(self, item: bytes | Commit | Update | None) -> list[BackendEvent]:
        match item:
            case bytes():
                self.packets += 1
                return self._heard(str(number_in(item)))
            case Commit():
                return self._close(is_forced=True) or [CommitEmpty()]
            case Update():
                return [UpdateApplied()]
            case None:
                return self._close()

    def _heard(self, number: str) -> list[BackendEvent]:
        if number == "0":
            return self._close()
        is_first = not self._words
        start_ms, end_ms = (self.packets - 1) * PACKET_MS, self.packets * PACKET_MS
        if not is_first and self._words[-1].text == number and self._words[-1].end_ms - self._words[-1].start_ms < 200:
            self._words[-1] = replace(self._words[-1], end_ms=end_ms)
        else:
            self._words.append(Word(text=number, start_ms=start_ms, end_ms=end_ms))
        begun = [SpeechStarted(offset_ms=start_ms)] if is_first else []
        is_full = len(self._words) == self._sentence and end_ms - self._words[-1].start_ms == 2 * PACKET_MS
        return [*begun, InterimResult(text=self._text, **self._times), *(self._close() if is_full else [])]

    def _close(self, *, is_forced: bool = False) -> list[BackendEvent]:
        if not self._words:
            return []
        final = FinalResult(text=self._text, is_forced=is_forced, **self._times)
        ended = SpeechEnded(offset_ms=self._words[-1].end_ms)
        self._words.clear()
        return [ended, final]

    @property
    def _text(self) -> str:
        return " ".join(word.text for word in self._words)

    @property
    def _times(self) -> dict[str, Any]:  # Any: times and words, for both kinds of results
        if not self._has_times:
            return {}
        return {"start_ms": self._words[0].start_ms, "end_ms": self._words[-1].end_ms, "words": tuple(self._words)}


@dataclass
class Client:
    """Sends its items; waits before each ``None`` until the call has said that it hibernates."""

    items: Sequence[bytes | Commit | Update | None]
    sent: list[Response] = field(default_factory=list)
    cursors: list[Cursor] = field(default_factory=list)
    hibernated: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._left = iter(self.items)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        yield

    async def read(self) -> bytes | Commit | Update | None:
        await asyncio.sleep(0)
        for item in self._left:
            if item is not None:
                return item
            async with asyncio.timeout(60):
                await self.hibernated.wait()
        return None

    async def write(self, response: Response | None, cursor: Cursor) -> None:
        self.cursors.append(cursor)
        if response is not None:
            self.sent.append(response)
        if isinstance(response, StreamEvent) and response.type is StreamEventType.HIBERNATED:
            self.hibernated.set()

    @property
    def results(self) -> list[Result]:
        return [response for response in self.sent if isinstance(response, Result)]

    @property
    def heard(self) -> str:
        return " ".join(result.text for result in self.results if result.is_final)

    @property
    def events(self) -> list[StreamEventType]:
        return [response.type for response in self.sent if isinstance(response, StreamEvent)]

    @property
    def finished(self) -> CallFinished:
        assert isinstance(self.sent[-1], CallFinished)
        return self.sent[-1]


async def call(
    backend: Numbers,
    *items: bytes | Commit | Update | None,
    config: RecognitionConfig = CONFIG,
    limits: Limits = PERSISTENT,
    memory_bytes: float = math.inf,
    route: Route | None = None,
    client: Client | None = None,
) -> Client:
    client = client or Client(items)
    route = route or route_to(config.model, backend)
    metrics = Metrics(CollectorRegistry())
    async with asyncio.timeout(60):
        await recognize(config, route, client, limits, metrics, GoingAwayNotice(), ReplayMemory(memory_bytes))
    assert_in_order(client.results)
    return client


def assert_in_order(results: Sequence[Result]) -> None:
    """Indexes and revisions count without gaps, and each utterance has one final result."""
    expected_index, expected_revision = 0, 1
    for result in results:
        assert (result.index, result.revision) == (expected_index, expected_revision)
        is_final = result.is_final
        expected_index += is_final
        expected_revision = 1 if is_final else expected_revision + 1
