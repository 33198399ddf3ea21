"""A call whose channels are recognized each by itself: two speakers who say numbers."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import chain

import pytest
from prometheus_client import CollectorRegistry

from asrgateway_server.backends.base import Commit, Completed, Emit, Failed, Lost, TaskEnd, TaskInput
from asrgateway_server.call.call import recognize
from asrgateway_server.call.going_away import GoingAwayNotice
from asrgateway_server.call.limits import Limits
from asrgateway_server.call.replay_memory import ReplayMemory
from asrgateway_server.call.responses import (
    CallFinished,
    ChannelFailed,
    Cursor,
    OfChannel,
    Response,
    Result,
    Started,
    StreamEvent,
    StreamEventType,
)
from asrgateway_server.config import (
    Adaptation,
    AudioFormat,
    ChannelMode,
    Encoding,
    KeepAlive,
    KeepAlivePolicy,
    RecognitionConfig,
    Resume,
    Update,
)
from asrgateway_server.errors import (
    AudioLost,
    InvalidRequest,
    Overloaded,
    UpstreamRefused,
    UpstreamUnavailable,
)
from asrgateway_server.events import CommitEmpty, Ready, SpeechEnded, SpeechStarted, UpdateApplied
from asrgateway_server.metrics import Metrics
from coded_audio import coded_speech
from limits import LIMITS
from routes import route_to
from spoken_numbers import CONFIG, LOST, PERSISTENT, NumbersTask, number_in
from waves import fmt, samples, wav

REFUSED = Failed(error=UpstreamRefused("the vendor refuses the key"))
LOUD = 16_384  # Beside the number, so that silence is 0.


def config(channels: int | None = 2, **changes: object) -> RecognitionConfig:
    audio = AudioFormat(sample_rate_hertz=16_000, channel_count=channels, channel_mode=ChannelMode.SEPARATE)
    return replace(CONFIG, audio=audio, **changes)  # type: ignore[arg-type] # its own fields


def spoken(*channels: Sequence[int]) -> list[bytes]:
    """What each channel says, number after number, as messages of 100 ms; 0 is silence."""
    packets = [chain.from_iterable([number, number] for number in numbers) for numbers in channels]
    return [b"".join(number.to_bytes(2, "little") for number in frame) * 1_600 for frame in zip(*packets, strict=True)]


@dataclass(kw_only=True)
class Speakers:
    """A recognizer of numbers; the first number that a task hears says whose it is.

    Attributes:
        ends: For the tasks of each hundred (1: 101 to 199), after how many packets each ends, and how.
        sentence: How many numbers end one.
        is_held: Until this is set, tasks of a hundred take no audio.
        tasks: What each task has heard.
    """

    ends: dict[int, list[tuple[int, TaskEnd]]] = field(default_factory=dict)
    sentence: int = 4
    held: dict[int, asyncio.Event] = field(default_factory=dict)
    commits: int = 0
    updates: list[str] = field(default_factory=list)
    tasks: list[list[int]] = field(default_factory=list)
    open_tasks: int = 0

    @asynccontextmanager
    async def open(self, _config: RecognitionConfig) -> AsyncIterator[Speakers]:
        yield self

    async def rest(self) -> None:
        """Keep nothing."""

    @property
    def ends_at_commit(self) -> bool:
        return False

    async def run(self, _config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
        self.open_tasks += 1
        try:
            return await self._run(task_input, emit)
        finally:
            self.open_tasks -= 1

    async def _run(self, task_input: TaskInput, emit: Emit) -> TaskEnd:
        task, heard = NumbersTask(self.sentence, has_times=True), list[int]()
        self.tasks.append(heard)
        limit: float = math.inf
        end: TaskEnd = LOST
        await emit(Ready(request_id=f"task-{len(self.tasks)}"), time.monotonic())
        while task.packets < limit:
            item = await task_input.next()
            match item:
                case bytes():
                    heard.append(number_in(item))
                    hundred = heard[-1] // 100
                    if len(heard) == 1 and self.ends.get(hundred):
                        limit, end = self.ends[hundred].pop(0)
                    if hundred in self.held:
                        await self.held[hundred].wait()
                case Commit():
                    self.commits += 1
                case Update():
                    self.updates.append(item.adaptation.context)
            for event in task.events(item):
                await emit(event, time.monotonic())
            if item is None:
                return Completed(read_at=time.monotonic(), billed_ms=100 * len(heard))
        return end


class Client:
    """Sends its items, then half-closes; waits before an item that is an event."""

    def __init__(self, *items: bytes | Commit | Update | asyncio.Event) -> None:
        self.sent: list[tuple[int | None, Response | None]] = []
        self.cursors: list[Cursor] = []
        self.read_items = 0
        self.on_response: Callable[[Response | None], None] = lambda _: None
        self._items = iter(items)

    def reading(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def read(self) -> bytes | Commit | Update | None:
        await asyncio.sleep(0)
        item = next(self._items, None)
        if isinstance(item, asyncio.Event):
            await item.wait()
            return await self.read()
        self.read_items += item is not None
        return item

    async def write(self, response: Response | None, cursor: Cursor) -> None:
        channel, inner = (response.channel, response.response) if isinstance(response, OfChannel) else (None, response)
        self.sent.append((channel, inner))
        self.cursors.append(cursor)
        self.on_response(inner)

    @property
    def finals(self) -> list[tuple[int | None, Result]]:
        return [(channel, one) for channel, one in self.sent if isinstance(one, Result) and one.is_final]

    @property
    def heard(self) -> dict[int | None, str]:
        texts: dict[int | None, list[str]] = defaultdict(list)
        for channel, result in self.finals:
            texts[channel].append(result.text)
        return {channel: " ".join(text) for channel, text in texts.items()}

    def of_type(self, kind: type) -> list[tuple[int | None, Response | None]]:
        return [(channel, one) for channel, one in self.sent if isinstance(one, kind)]

    @property
    def events(self) -> list[tuple[int | None, StreamEventType]]:
        return [(channel, one.type) for channel, one in self.sent if isinstance(one, StreamEvent)]

    @property
    def finished(self) -> CallFinished:
        _, last = self.sent[-1]
        assert isinstance(last, CallFinished)
        return last


async def call(
    client: Client, backend: Speakers, asked: RecognitionConfig | None = None, limits: Limits = PERSISTENT
) -> Metrics:
    metrics = Metrics(CollectorRegistry())
    asked = asked or config()
    async with asyncio.timeout(20):
        await recognize(
            asked, route_to(asked.model, backend), client, limits, metrics, GoingAwayNotice(), ReplayMemory(math.inf)
        )
    return metrics


ONE, TWO = range(101, 109), range(201, 209)
FIRST, SECOND = (" ".join(map(str, numbers)) for numbers in (ONE, TWO))

# Two channels -----------------------------------------------------------------------------------------------------


async def test_each_channel_is_recognised_by_itself() -> None:
    client = Client(*spoken(ONE, TWO))
    await call(client, Speakers())
    assert client.heard == {0: FIRST, 1: SECOND}


async def test_each_message_but_those_of_the_whole_call_has_its_channel() -> None:
    client = Client(*spoken(ONE, TWO))
    await call(client, Speakers())
    assert {type(one) for channel, one in client.sent if channel is None} == {Started, CallFinished}
    assert {channel for channel, one in client.sent if isinstance(one, SpeechStarted | SpeechEnded)} == {0, 1}


async def test_a_call_starts_once() -> None:
    client = Client(*spoken(ONE, TWO))
    await call(client, Speakers())
    assert isinstance(client.sent[0][1], Started)
    assert len(client.of_type(Started)) == 1


async def test_times_are_those_of_the_clients_audio_in_every_channel() -> None:
    client = Client(*spoken(ONE, TWO))
    await call(client, Speakers())
    for channel in (0, 1):
        words = [word for number, one in client.finals if number == channel for word in one.words]
        assert [(word.start_ms, word.end_ms) for word in words] == [(n * 200, (n + 1) * 200) for n in range(8)]


async def test_one_channel_by_itself_is_channel_0() -> None:
    client = Client(*spoken(ONE))
    await call(client, Speakers(), config(1))
    assert client.heard == {0: FIRST}
    assert client.cursors[-1].channel_final_ms == (1_600,)


async def test_sixteen_channels_are_recognised() -> None:
    numbers = [range(100 * n + 1, 100 * n + 5) for n in range(1, 17)]
    client = Client(*spoken(*numbers))
    await call(client, Speakers(), config(16))
    assert client.heard == {n: " ".join(map(str, said)) for n, said in enumerate(numbers)}


# Numbers ----------------------------------------------------------------------------------------------------------


async def test_all_channels_share_the_numbers_of_utterances() -> None:
    client = Client(*spoken(ONE, TWO))
    await call(client, Speakers())
    assert sorted(result.index for _, result in client.finals) == [0, 1, 2, 3]


async def test_an_utterance_keeps_its_number_while_another_channel_speaks() -> None:
    client = Client(*spoken(ONE, TWO))
    await call(client, Speakers())
    revisions: dict[int, list[tuple[int | None, int]]] = defaultdict(list)
    for channel, one in client.sent:
        if isinstance(one, Result):
            revisions[one.index].append((channel, one.revision))
    for texts in revisions.values():
        channel, _ = texts[0]
        assert texts == [(channel, revision) for revision in range(1, len(texts) + 1)]


async def test_numbers_follow_the_first_texts() -> None:
    client = Client(*spoken(ONE, TWO))
    await call(client, Speakers())
    firsts = [one.index for _, one in client.sent if isinstance(one, Result) and one.revision == 1]
    assert firsts == sorted(firsts)


@pytest.mark.parametrize("seed", range(12))
async def test_no_word_is_lost_or_doubled_whatever_is_lost_when(seed: int) -> None:
    chance = random.Random(seed)
    channels = chance.randint(2, 4)
    said = [range(100 * n + 1, 100 * n + 11) for n in range(1, channels + 1)]
    ends: dict[int, list[tuple[int, TaskEnd]]] = {
        n: [(chance.randint(1, 19), LOST) for _ in range(chance.randint(0, 2))] for n in range(1, channels + 1)
    }
    client = Client(*spoken(*said))
    await call(client, Speakers(ends=ends, sentence=chance.randint(1, 5)), config(channels))
    assert client.heard == {n: " ".join(map(str, numbers)) for n, numbers in enumerate(said)}
    assert sorted(result.index for _, result in client.finals) == [*range(len(client.finals))]


# The cursor and resumed calls -------------------------------------------------------------------------------------


async def test_the_cursor_is_that_of_the_slowest_channel() -> None:
    client = Client(*spoken(ONE, [0] * 8))
    await call(client, Speakers())
    last = client.cursors[-1]
    assert (last.received_ms, last.sent_ms) == (1_600, 1_600)
    assert last.channel_final_ms == (1_600, 0)
    assert last.final_ms == 0
    assert all(cursor.final_ms == min(cursor.channel_final_ms) for cursor in client.cursors)


async def test_a_resumed_call_goes_on_in_each_channel_at_its_own_place() -> None:
    client = Client(*spoken(ONE, TWO))
    resume = Resume(audio_offset_ms=60_000, next_result_index=7, channel_offsets_ms=(60_000, 60_800))
    await call(client, Speakers(), config(resume=resume))
    assert client.heard == {0: FIRST, 1: "205 206 207 208"}
    assert sorted(result.index for _, result in client.finals) == [7, 8, 9]
    (second,) = [result for channel, result in client.finals if channel == 1]
    assert (second.start_ms, second.end_ms) == (60_800, 61_600)
    assert client.cursors[-1].channel_final_ms == (61_600, 61_600)
    assert (client.cursors[-1].received_ms, client.cursors[-1].sent_ms) == (1_600, 1_600)


async def test_a_resumed_call_needs_a_place_for_each_channel() -> None:
    resume = Resume(channel_offsets_ms=(0, 0, 0))
    with pytest.raises(InvalidRequest, match="3 offsets for 2 channels") as caught:
        await call(Client(*spoken(ONE, TWO)), Speakers(), config(resume=resume))
    assert caught.value.field == "streaming_config.resume.channel_offsets"


# Commits and updates ----------------------------------------------------------------------------------------------


async def test_a_commit_is_answered_once_in_each_channel() -> None:
    client = Client(*spoken([101], [0]), Commit(), *spoken([102], [202]))
    backend = Speakers()
    await call(client, backend)
    forced = [(channel, result.text) for channel, result in client.finals if result.is_forced]
    assert forced == [(0, "101")]
    assert client.of_type(CommitEmpty) == [(1, CommitEmpty())]
    assert client.heard == {0: "101 102", 1: "202"}
    assert backend.commits == 2


async def test_an_update_reaches_every_channel() -> None:
    client = Client(*spoken([101], [201]), Update(adaptation=Adaptation(context="c")), *spoken([102], [202]))
    backend = Speakers()
    await call(client, backend)
    assert backend.updates == ["c", "c"]
    assert sorted(channel or 0 for channel, _ in client.of_type(UpdateApplied)) == [0, 1]


# A channel fails --------------------------------------------------------------------------------------------------


async def test_the_other_channel_goes_on_when_one_fails() -> None:
    client = Client(*spoken(ONE, TWO))
    metrics = await call(client, Speakers(ends={2: [(5, REFUSED)]}))
    assert metrics.registry.get_sample_value("asrgateway_failed_channels_total", {"model": "embedded"}) == 1
    assert client.heard == {0: FIRST}
    assert client.of_type(ChannelFailed) == [(1, ChannelFailed(error=REFUSED.error, start_ms=0))]
    assert [one.error for one in client.finished.channels] == [None, REFUSED.error]


async def test_the_place_of_a_failed_channel_does_not_hold_the_cursor() -> None:
    client = Client(*spoken(ONE, TWO))
    await call(client, Speakers(ends={2: [(5, REFUSED)]}))
    assert client.cursors[-1].channel_final_ms == (1_600, 0)
    assert (client.cursors[-1].final_ms, client.cursors[-1].sent_ms) == (1_600, 1_600)


async def test_a_call_ends_with_the_error_of_the_last_channel_that_fails() -> None:
    client = Client(*spoken(ONE, TWO))
    with pytest.raises(UpstreamRefused):
        await call(client, Speakers(ends={1: [(9, REFUSED)], 2: [(5, REFUSED)]}))
    assert [channel for channel, _ in client.of_type(ChannelFailed)] == [1]
    assert client.of_type(CallFinished) == []


async def test_a_channel_fails_once_its_budget_is_spent() -> None:
    client = Client(*spoken(ONE, TWO))
    await call(client, Speakers(ends={2: [(1, LOST)] * 10}), limits=replace(LIMITS, max_failures=2))
    ((channel, failed),) = client.of_type(ChannelFailed)
    assert channel == 1
    assert isinstance(failed, ChannelFailed)
    assert isinstance(failed.error, UpstreamUnavailable)
    assert client.heard[0] == FIRST


async def test_a_failed_channel_gives_no_answer_to_a_commit() -> None:
    failed = asyncio.Event()
    client = Client(*spoken([101] * 4, [201] * 4), failed, Commit(), *spoken([102], [202]))
    client.on_response = lambda response: failed.set() if isinstance(response, ChannelFailed) else None
    await call(client, Speakers(ends={2: [(1, REFUSED)]}, sentence=9))
    assert [channel for channel, result in client.finals if result.is_forced] == [0]
    assert client.of_type(CommitEmpty) == []


async def test_commits_do_not_wait_for_a_failed_channel() -> None:
    """Even while the client has yet to read that it has failed."""
    failing, marked = asyncio.Event(), asyncio.Event()

    class Slow(Client):
        async def write(self, response: Response | None, cursor: Cursor) -> None:
            if isinstance(response, OfChannel) and isinstance(response.response, ChannelFailed):
                failing.set()
                await marked.wait()
            await super().write(response, cursor)

        async def read(self) -> bytes | Commit | Update | None:
            if self.read_items == 14:
                marked.set()
            return await super().read()

    client = Slow(*spoken([101] * 4, [201] * 4), failing, *(Commit() for _ in range(6)))
    await call(client, Speakers(ends={2: [(1, REFUSED)]}, sentence=9))
    assert [channel for channel, _ in client.of_type(ChannelFailed)] == [1]


async def test_a_call_does_not_begin_with_some_of_its_channels() -> None:
    full = Failed(error=Overloaded("all workers are busy", retry_after_seconds=1.0))

    class OneWorker(Speakers):
        @asynccontextmanager
        async def open(self, _config: RecognitionConfig) -> AsyncIterator[Speakers]:
            self.commits += 1
            if self.commits > 1:
                raise full.error
            yield self

    with pytest.raises(Overloaded):
        await call(Client(*spoken(ONE, TWO)), OneWorker())


FULL = Lost(error=Overloaded("all workers are busy", retry_after_seconds=1.0))


async def test_a_call_does_not_begin_without_a_channel_whose_first_packet_finds_no_worker() -> None:
    with pytest.raises(Overloaded):
        await call(Client(*spoken(ONE, TWO)), Speakers(ends={2: [(1, FULL)]}))


async def test_a_resumed_call_does_not_begin_without_a_channel_either() -> None:
    resume = Resume(audio_offset_ms=60_000, channel_offsets_ms=(60_000, 60_800))
    with pytest.raises(Overloaded):
        await call(Client(*spoken(ONE, TWO)), Speakers(ends={1: [(1, FULL)]}), config(resume=resume))


async def test_a_channel_that_finds_no_worker_does_not_end_a_resumed_call_that_runs() -> None:
    heard = asyncio.Event()

    class OneTurn(Speakers):
        """Its second task gets no turn."""

        async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
            if not self.tasks:
                return await super().run(config, task_input, emit)
            await heard.wait()
            return FULL

    client = Client(*spoken(ONE, TWO))
    client.on_response = lambda one: heard.set() if isinstance(one, Result) and one.is_final else None
    resume = Resume(audio_offset_ms=60_000, channel_offsets_ms=(60_000, 60_800))
    await call(client, OneTurn(), config(resume=resume))
    assert client.heard == {0: FIRST}
    assert client.of_type(ChannelFailed) == [(1, ChannelFailed(error=FULL.error, start_ms=60_800))]


async def test_lost_audio_ends_the_call_if_the_client_wants_that() -> None:
    short = replace(PERSISTENT, replay_seconds=0.2)
    with pytest.raises(AudioLost):
        await call(
            Client(*spoken(ONE, TWO)),
            Speakers(ends={2: [(9, LOST)]}, sentence=9),
            config(fails_on_audio_loss=True),
            short,
        )


async def test_the_other_channel_is_heard_while_one_waits_for_its_recogniser() -> None:
    heard, late = asyncio.Event(), asyncio.Event()

    class Late(Speakers):
        """Its second task begins when the other channel is through."""

        async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
            if len(self.tasks) == 1:
                await heard.wait()
                late.set()
            return await super().run(config, task_input, emit)

    client = Client(*spoken(ONE, TWO))
    client.on_response = lambda one: heard.set() if isinstance(one, Result) and one.text.endswith("8") else None
    await call(client, Late())
    assert late.is_set()
    assert client.heard == {0: FIRST, 1: SECOND}


async def test_the_slowest_channel_holds_back_the_client() -> None:
    held = asyncio.Event()
    client = Client(*spoken([101] * 50, [201] * 50))
    backend = Speakers(held={2: held}, sentence=99)
    async with asyncio.TaskGroup() as tasks:
        calling = tasks.create_task(call(client, backend, limits=replace(PERSISTENT, replay_seconds=1.0)))
        for _ in range(2_000):
            await asyncio.sleep(0)
        assert client.read_items <= 15
        held.set()
        await calling
    assert client.read_items == 100


async def test_silence_follows_in_a_channel_that_has_waited_for_another_one() -> None:
    held, ended = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().call_later(0.8, held.set)  # By then silence would be due.

    def on_response(response: Response | None) -> None:
        if isinstance(response, Result) and response.text == "101 102 103" and response.is_final:
            ended.set()

    # Five messages of 95 ms: the last one waits for the second channel, and is less than a packet for the first one.
    data = b"".join(spoken([101, 102, 103], [201, 202, 203]))
    client = Client(*(data[start : start + 6_080] for start in range(0, 5 * 6_080, 6_080)), ended)
    client.on_response = on_response
    limits = replace(PERSISTENT, quiet_after_seconds=0.05, replay_seconds=0.1)
    await call(client, Speakers(held={2: held}), limits=limits)
    assert client.heard == {0: "101 102 103", 1: "201 202 203"}


async def test_no_word_of_a_channel_that_lags_is_lost_with_its_task() -> None:
    lags = asyncio.Event()

    class Late(Speakers):
        async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
            await lags.wait()
            return await super().run(config, task_input, emit)

    class Fast(Client):
        """Sends while it takes its time to read each response."""

        async def read(self) -> bytes | Commit | Update | None:
            if self.read_items == 9:  # With the next one half of what is kept lies there.
                lags.set()
            return await super().read()

        async def write(self, response: Response | None, cursor: Cursor) -> None:
            for _ in range(9):
                await asyncio.sleep(0)
            await super().write(response, cursor)

    numbers = [range(100 * n + 1, 100 * n + 41) for n in (1, 2)]
    client, backend = Fast(*spoken(*numbers)), Late(ends={2: [(9, LOST)] * 3}, sentence=5)
    await call(client, backend, limits=replace(PERSISTENT, replay_seconds=2.0))
    assert client.heard == {n: " ".join(map(str, said)) for n, said in enumerate(numbers)}


async def test_nothing_of_a_cancelled_call_goes_on() -> None:
    never = asyncio.Event()
    backend = Speakers()
    calling = asyncio.create_task(call(Client(*spoken(ONE, TWO), never), backend))
    async with asyncio.timeout(5):
        while backend.open_tasks < 2:  # noqa: ASYNC110 what is waited for shows nowhere else
            await asyncio.sleep(0)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
    assert backend.open_tasks == 0
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("channel")] == []


# A silent channel -------------------------------------------------------------------------------------------------

HIBERNATING = KeepAlive(policy=KeepAlivePolicy.HIBERNATE)


def telephone(first: Sequence[int], second: Sequence[int]) -> list[bytes]:
    """Like ``spoken``, loud."""
    return spoken([n + LOUD if n else 0 for n in first], [n + LOUD if n else 0 for n in second])


async def test_only_the_silent_channel_hibernates_and_wakes_with_its_next_sound() -> None:
    first, second = [*range(101, 121)], [201, 202, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 203, 204, 205, 206]
    client = Client(*telephone(first, second))
    metrics = await call(
        client, Speakers(), config(keep_alive=HIBERNATING), replace(PERSISTENT, hibernate_after_seconds=1.0)
    )
    assert client.events == [(1, StreamEventType.HIBERNATED), (1, StreamEventType.WOKE)]
    assert client.heard == {0: loud(first), 1: loud([201, 202, 203, 204, 205, 206])}
    (woken,) = [result for channel, result in client.finals if channel == 1 and "203" in unloud(result.text)]
    assert (woken.start_ms, woken.end_ms) == (3_200, 4_000)
    assert client.finished.channels[1].replayed_ms == 0
    assert metrics.registry.get_sample_value("asrgateway_hibernations_total", {"model": "embedded"}) == 1


async def test_a_task_hears_no_more_silence_than_the_policy_allows() -> None:
    client, backend = Client(*telephone([*range(101, 121)], [0] * 20)), Speakers()
    await call(client, backend, config(keep_alive=HIBERNATING), replace(PERSISTENT, hibernate_after_seconds=1.0))
    assert sorted(map(len, backend.tasks)) == [10, 40]


async def test_the_silence_of_a_hibernating_channel_moves_the_cursor() -> None:
    client = Client(*telephone([*range(101, 121)], [0] * 20))
    await call(client, Speakers(), config(keep_alive=HIBERNATING), replace(PERSISTENT, hibernate_after_seconds=1.0))
    assert client.cursors[-1].channel_final_ms == (4_000, 4_000)
    assert client.cursors[-1].sent_ms == 4_000


async def test_a_silent_channel_of_a_call_that_does_not_hibernate_is_sent_whole() -> None:
    client, backend = Client(*telephone([*range(101, 121)], [0] * 20)), Speakers()
    await call(client, backend, limits=replace(PERSISTENT, hibernate_after_seconds=1.0))
    assert sorted(map(len, backend.tasks)) == [40, 40]
    assert client.events == []


async def test_commits_and_updates_are_answered_in_a_hibernating_channel() -> None:
    silent = telephone([*range(101, 111)], [0] * 10)
    update = Update(adaptation=Adaptation(context="c"))
    client = Client(*silent, Commit(), update, *telephone([111, 112, 113, 114], [201, 202, 203, 204]))
    await call(client, Speakers(), config(keep_alive=HIBERNATING), replace(PERSISTENT, hibernate_after_seconds=1.0))
    assert (1, CommitEmpty()) in client.sent
    assert client.of_type(UpdateApplied).count((1, UpdateApplied())) == 1
    assert client.heard[1] == loud([201, 202, 203, 204])


def loud(numbers: Sequence[int]) -> str:
    return " ".join(str(number + LOUD) for number in numbers)


def unloud(text: str) -> str:
    return " ".join(str(int(word) - LOUD) for word in text.split())


# What is counted --------------------------------------------------------------------------------------------------


async def test_the_summary_has_the_sum_and_each_channel() -> None:
    client = Client(*spoken(ONE, TWO))
    metrics = await call(client, Speakers(ends={2: [(3, LOST)]}))
    finished = client.finished
    assert [one.audio_ms for one in finished.channels] == [1_600, 1_600]
    assert finished.audio_ms == 3_200
    assert (finished.reconnects, finished.channels[1].reconnects) == (1, 1)
    assert finished.final_results == len(client.finals)
    assert len(finished.upstream_request_ids) == 3
    value = metrics.registry.get_sample_value
    assert value("asrgateway_audio_received_seconds_total", {"model": "embedded"}) == pytest.approx(3.2)
    assert value("asrgateway_audio_received_bytes_total", {"encoding": "LINEAR16"}) == 16 * 6_400


async def test_the_streams_beyond_the_first_are_taken() -> None:
    taken: list[int] = []
    asked = config()
    await recognize(
        asked,
        route_to(asked.model, Speakers()),
        Client(*spoken(ONE, TWO)),
        PERSISTENT,
        Metrics(CollectorRegistry()),
        GoingAwayNotice(),
        ReplayMemory(math.inf),
        take_streams=taken.append,
    )
    assert taken == [1]


# How many there are -----------------------------------------------------------------------------------------------


async def test_more_channels_than_the_operator_allows_are_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"2 channels.*at most 1") as caught:
        await call(Client(*spoken(ONE, TWO)), Speakers(), limits=replace(PERSISTENT, max_channels=1))
    assert caught.value.field == "streaming_config.decoding_config.audio_channel_count"


def in_wav(*channels: Sequence[int]) -> list[bytes]:
    data = wav(fmt(rate=16_000, channels=len(channels)), samples(b"".join(spoken(*channels))))
    return [data[start : start + 1_001] for start in range(0, len(data), 1_001)]


WAV = AudioFormat(encoding=Encoding.WAV, channel_mode=ChannelMode.SEPARATE)


async def test_a_header_says_how_many_channels_there_are() -> None:
    client = Client(*in_wav(ONE, TWO))
    await call(client, Speakers(), replace(CONFIG, audio=WAV))
    assert client.heard == {0: FIRST, 1: SECOND}


async def test_coded_audio_with_fewer_channels_than_declared_is_refused() -> None:
    """Its header does not say so: mono AAC may become stereo as it is decoded."""
    aac = AudioFormat(encoding=Encoding.AAC, channel_count=2, channel_mode=ChannelMode.SEPARATE)
    with pytest.raises(InvalidRequest, match="the config says 2 channels, the audio has 1") as caught:
        await call(Client(coded_speech(Encoding.AAC)), Speakers(), replace(CONFIG, audio=aac))
    assert caught.value.field == "streaming_config.decoding_config.audio_channel_count"


async def test_a_header_with_too_many_channels_is_refused_once_it_has_come() -> None:
    with pytest.raises(InvalidRequest, match=r"2 channels.*at most 1") as caught:
        await call(
            Client(*in_wav(ONE, TWO)), Speakers(), replace(CONFIG, audio=WAV), replace(PERSISTENT, max_channels=1)
        )
    assert caught.value.field == "audio"
