"""One call against a backend that follows a script."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

import fake_recognizers as fakes
from asrgateway_server.backends.base import Commit, Completed, Emit, Failed, Lost, TaskEnd, TaskInput
from asrgateway_server.backends.worker_process import Recognizer, WorkerPool
from asrgateway_server.call.call import recognize
from asrgateway_server.call.channel import WAITING_PACKETS
from asrgateway_server.call.going_away import GoingAwayNotice
from asrgateway_server.call.limits import Limits
from asrgateway_server.call.replay_memory import ReplayMemory
from asrgateway_server.call.responses import CallFinished, Cursor, Response, Result, Started
from asrgateway_server.config import Adaptation, AudioFormat, Features, RecognitionConfig, Resume, Update
from asrgateway_server.errors import (
    GatewayError,
    InvalidRequest,
    UndecodableAudio,
    UnsupportedOption,
    UpstreamLost,
    UpstreamProtocolError,
    UpstreamUnavailable,
)
from asrgateway_server.events import (
    BackendEvent,
    CommitEmpty,
    FinalResult,
    InterimResult,
    OptionWarning,
    Ready,
    SpeechEnded,
    SpeechStarted,
    WarningCode,
    Word,
)
from asrgateway_server.metrics import Metrics
from asrgateway_server.vendors.pocketsphinx.catalogue import EMBEDDED
from limits import LIMITS
from routes import route_to

CONFIG = RecognitionConfig(model=EMBEDDED, audio=AudioFormat(sample_rate_hertz=16_000))
WITH_INTERIMS = replace(CONFIG, interim_results=True)
CHUNK = bytes(3_200)  # a tenth of a second
WORDS = (Word(text="good", start_ms=10, end_ms=90),)


@dataclass(kw_only=True)
class ScriptedBackend:
    """Answers each packet, each commit and the end with what the script has for it; its own upstream.

    Attributes:
        packets: Answers to the first packets, one after the other; later ones get none.
        commits: The same for commits.
        end: What is sent after the end of the audio.
        request_id: The name of the task.
        error: Ends the task after the first packet; raised unless it is one of ours.
        warnings: Sent before the task begins.
        ends_at_commit: Tasks end where an utterance is committed.
        received: What the tasks were handed, in order.
        tasks: How many there were.
        contexts: The context that each of them began with.
    """

    packets: Sequence[Sequence[BackendEvent]] = ()
    commits: Sequence[Sequence[BackendEvent]] = ()
    end: Sequence[BackendEvent] = ()
    request_id: str = ""
    error: Exception | None = None
    warnings: Sequence[OptionWarning] = ()
    ends_at_commit: bool = False
    received: list[bytes | Commit | Update] = field(default_factory=list)
    tasks: int = 0
    contexts: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def open(self, config: RecognitionConfig) -> AsyncIterator[ScriptedBackend]:
        assert config.model.name == EMBEDDED.name
        yield self

    async def rest(self) -> None:
        """Keep nothing."""

    async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
        self.tasks += 1
        self.contexts.append(config.adaptation.context)
        packets, commits = iter(self.packets), iter(self.commits)
        for warning in self.warnings:
            await emit(warning, time.monotonic())
        await emit(Ready(request_id=self.request_id), time.monotonic())
        while (item := await task_input.next()) is not None:
            self.received.append(item)
            if isinstance(self.error, UpstreamLost):
                return Lost(error=self.error)
            if isinstance(self.error, GatewayError):
                return Failed(error=self.error)
            if self.error:
                raise self.error
            for event in next(commits if isinstance(item, Commit) else packets, ()):
                await emit(event, time.monotonic())
        for event in self.end:
            await emit(event, time.monotonic())
        return Completed(read_at=time.monotonic())


class ScriptedClient:
    """Says its items, then half-closes once it may.

    Attributes:
        sent: Every response with its cursor.
        may_close: Cleared, the client stays silent after its items.
    """

    def __init__(self, *items: bytes | Commit | Update) -> None:
        self.sent: list[tuple[Response | None, Cursor]] = []
        self.read_items = 0
        self.may_close = asyncio.Event()
        self.may_close.set()
        self._items = iter(items)

    def reading(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def read(self) -> bytes | Commit | Update | None:
        item = next(self._items, None)
        if item is None:
            await self.may_close.wait()
            return None
        self.read_items += 1
        return item

    async def write(self, response: Response | None, cursor: Cursor) -> None:
        self.sent.append((response, cursor))
        if response is None:
            self.may_close.set()

    @property
    def responses(self) -> list[Response | None]:
        return [response for response, _ in self.sent]

    @property
    def results(self) -> list[Result]:
        return [response for response in self.responses if isinstance(response, Result)]

    @property
    def finished(self) -> CallFinished:
        last = self.responses[-1]
        assert isinstance(last, CallFinished)
        return last


async def call(
    client: ScriptedClient, backend: ScriptedBackend, config: RecognitionConfig = CONFIG, limits: Limits = LIMITS
) -> Metrics:
    metrics = Metrics(CollectorRegistry())
    await recognize(
        config, route_to(config.model, backend), client, limits, metrics, GoingAwayNotice(), ReplayMemory(math.inf)
    )
    return metrics


def final(text: str, start_ms: int = 0, end_ms: int = 100, *, is_forced: bool = False) -> FinalResult:
    return FinalResult(text=text, start_ms=start_ms, end_ms=end_ms, words=WORDS, is_forced=is_forced)


def interim(text: str, start_ms: int = 0, end_ms: int = 100) -> InterimResult:
    return InterimResult(text=text, start_ms=start_ms, end_ms=end_ms, words=WORDS)


# The course of a call ---------------------------------------------------------------------------------------------


async def test_a_call_starts_once_and_finishes_once() -> None:
    client = ScriptedClient(CHUNK)
    await call(client, ScriptedBackend(end=[final("good")], request_id="task-1"))
    assert [type(response) for response in client.responses] == [Started, Result, CallFinished]
    assert client.responses[0] == Started(
        model=EMBEDDED, sample_rate_hertz=16_000, upstream_request_id="task-1", downgrades=()
    )


async def test_the_backend_receives_all_audio_in_order() -> None:
    backend = ScriptedBackend()
    await call(ScriptedClient(CHUNK + b"\1\0", CHUNK[:-4], b"\2\0"), backend)
    assert backend.received == [CHUNK, b"\1\0" + CHUNK[:-4] + b"\2\0"]


async def test_empty_audio_changes_nothing() -> None:
    backend = ScriptedBackend()
    await call(ScriptedClient(b"", CHUNK, b"", b""), backend)
    assert backend.received == [CHUNK]


async def test_a_long_message_is_sent_whole_before_its_client_counts_as_quiet() -> None:
    backend = ScriptedBackend()
    speech = b"".join(number.to_bytes(2, "little") * 1_600 for number in range(250)) + b"\1\0"
    at_once = replace(LIMITS, quiet_after_seconds=-2.0)  # A message's own lead is 2 s at most.
    client = ScriptedClient(speech)
    await call(client, backend, limits=at_once)
    assert b"".join(item for item in backend.received if isinstance(item, bytes)) == speech
    assert client.finished.silence_ms == 0


async def test_a_slow_recogniser_receives_a_long_message_without_gaps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(fakes.__file__).parent))
    client, speech = ScriptedClient(bytes(100 * 3_200 + 2)), 100 * 3_200 + 2
    metrics = Metrics(CollectorRegistry())
    slow = Recognizer(adapter=fakes.Slow, model="slow", setting="workers")
    pool = WorkerPool(slow, size=1, ready_timeout_seconds=20.0, stall_timeout_seconds=20.0, metrics=metrics)
    async with pool:
        # A lead lasts 2 s at most: here it ends after a tenth of what the recogniser needs.
        limits = replace(LIMITS, quiet_after_seconds=-1.9)
        await recognize(
            CONFIG, route_to(EMBEDDED, pool), client, limits, metrics, GoingAwayNotice(), ReplayMemory(math.inf)
        )
    assert client.results[-1].text == f"{speech} bytes, 0 commits"
    assert client.finished.silence_ms == 0


async def test_the_summary_counts_the_call() -> None:
    client = ScriptedClient(CHUNK, CHUNK)
    await call(client, ScriptedBackend(packets=[[final("a")], [final("b")]], request_id="task-1"))
    assert client.finished.audio_ms == 200
    assert client.finished.final_results == 2
    assert client.finished.upstream_request_ids == ("task-1",)


async def test_a_call_with_text_has_all_its_delays() -> None:
    client = ScriptedClient(CHUNK)
    await call(client, ScriptedBackend(packets=[[final("a")]]))
    assert client.finished.first_package_delay_seconds is not None
    assert client.finished.upstream_first_package_delay_seconds is not None
    assert client.finished.last_package_delay_seconds is not None
    assert client.finished.upstream_last_package_delay_seconds is not None


async def test_a_call_without_text_has_no_first_package() -> None:
    client = ScriptedClient(CHUNK)
    metrics = await call(client, ScriptedBackend(packets=[[final("")]]))
    assert client.finished.first_package_delay_seconds is None
    assert client.finished.upstream_first_package_delay_seconds is None
    assert client.finished.last_package_delay_seconds is not None
    labels = {"model": "embedded", "scope": "client"}
    assert metrics.registry.get_sample_value("asrgateway_first_package_delay_seconds_count", labels) == 0
    assert metrics.registry.get_sample_value("asrgateway_last_package_delay_seconds_count", labels) == 1


async def test_audio_and_results_are_counted() -> None:
    metrics = await call(
        ScriptedClient(CHUNK, CHUNK), ScriptedBackend(packets=[[interim("a")], [final("a")]]), WITH_INTERIMS
    )
    value = metrics.registry.get_sample_value
    assert value("asrgateway_audio_received_seconds_total", {"model": "embedded"}) == pytest.approx(0.2)
    assert value("asrgateway_audio_received_bytes_total", {"encoding": "LINEAR16"}) == 6_400
    assert value("asrgateway_upstream_audio_sent_seconds_total", {"model": "embedded"}) == pytest.approx(0.2)
    assert value("asrgateway_results_total", {"model": "embedded", "kind": "partial"}) == 1
    assert value("asrgateway_results_total", {"model": "embedded", "kind": "final"}) == 1


# Results ----------------------------------------------------------------------------------------------------------


async def test_interim_results_are_sent_on_request() -> None:
    client = ScriptedClient(CHUNK, CHUNK, CHUNK)
    await call(client, ScriptedBackend(packets=[[interim("a")], [interim("a b")], [final("a b")]]), WITH_INTERIMS)
    assert [(result.index, result.revision, result.is_final) for result in client.results] == [
        (0, 1, False),
        (0, 2, False),
        (0, 3, True),
    ]


async def test_interim_results_are_not_sent_without_a_request() -> None:
    client = ScriptedClient(CHUNK, CHUNK)
    await call(client, ScriptedBackend(packets=[[interim("a")], [final("a b")]]))
    assert [(result.text, result.revision) for result in client.results] == [("a b", 1)]


async def test_a_noise_gives_no_result() -> None:
    client = ScriptedClient(CHUNK, CHUNK)
    await call(client, ScriptedBackend(packets=[[interim("a"), final("")], [final("b")]]))
    assert [(result.index, result.text) for result in client.results] == [(0, "b")]


@pytest.mark.parametrize(("is_asked", "words"), [(True, WORDS), (False, ())])
async def test_words_are_sent_on_request(is_asked: bool, words: tuple[Word, ...]) -> None:
    client = ScriptedClient(CHUNK)
    config = replace(CONFIG, features=Features(word_time_offsets=is_asked))
    await call(client, ScriptedBackend(end=[final("good")]), config)
    assert [result.words for result in client.results] == [words]


@pytest.mark.parametrize(("is_asked", "count"), [(True, 2), (False, 0)])
async def test_speech_events_are_sent_on_request(is_asked: bool, count: int) -> None:
    client = ScriptedClient(CHUNK)
    config = replace(CONFIG, features=Features(voice_activity_events=is_asked))
    await call(client, ScriptedBackend(packets=[[SpeechStarted(offset_ms=10), SpeechEnded(offset_ms=90)]]), config)
    assert (
        len([response for response in client.responses if isinstance(response, SpeechStarted | SpeechEnded)]) == count
    )


async def test_a_resumed_call_continues_offsets_and_indexes() -> None:
    client = ScriptedClient(CHUNK)
    config = replace(
        CONFIG,
        resume=Resume(audio_offset_ms=60_000, next_result_index=7),
        features=Features(word_time_offsets=True, voice_activity_events=True),
    )
    await call(client, ScriptedBackend(packets=[[SpeechStarted(offset_ms=10), final("good", 10, 90)]]), config)
    assert client.responses[1:-1] == [
        SpeechStarted(offset_ms=60_010),
        Result(
            index=7,
            revision=1,
            is_final=True,
            text="good",
            committed="good",
            start_ms=60_010,
            end_ms=60_090,
            words=(Word(text="good", start_ms=60_010, end_ms=60_090),),
        ),
    ]


async def test_a_resumed_call_says_what_is_final_on_the_clock_of_the_first_call() -> None:
    client = ScriptedClient(CHUNK)
    config = replace(CONFIG, resume=Resume(audio_offset_ms=60_000))
    await call(client, ScriptedBackend(packets=[[final("good", 10, 90)]]), config)
    cursors = [cursor for _, cursor in client.sent]
    assert [cursor.final_ms for cursor in cursors] == [60_000, 60_090, 60_090]
    assert cursors[-1].received_ms == 100


async def test_a_resumed_call_may_have_nothing_left_to_recognise() -> None:
    client = ScriptedClient()
    await call(client, ScriptedBackend(), replace(CONFIG, resume=Resume(audio_offset_ms=60_000, next_result_index=7)))
    assert isinstance(client.responses[-1], CallFinished)


# Options ----------------------------------------------------------------------------------------------------------


async def test_warnings_about_options_follow_the_start() -> None:
    client = ScriptedClient(CHUNK)
    await call(client, ScriptedBackend(), replace(CONFIG, options_set=("vendor_parameters",)))
    started, notice, *_ = client.responses
    assert isinstance(started, Started)
    assert isinstance(notice, OptionWarning)
    assert started.downgrades == (notice,)
    assert notice.field == "streaming_config.vendor_parameters"


async def test_an_unsupported_option_ends_a_strict_call_before_it_begins() -> None:
    client, backend = ScriptedClient(CHUNK), ScriptedBackend()
    with pytest.raises(UnsupportedOption):
        await call(client, backend, replace(CONFIG, options_set=("vendor_parameters",), is_strict=True))
    assert (client.sent, backend.received) == ([], [])


# Commits ----------------------------------------------------------------------------------------------------------


async def test_a_commit_reaches_the_backend_after_all_audio_before_it() -> None:
    backend = ScriptedBackend(commits=[[CommitEmpty()]])
    await call(ScriptedClient(CHUNK[:320], Commit(), CHUNK), backend)
    assert backend.received == [CHUNK[:320], Commit(), CHUNK]


async def test_a_commit_in_speech_is_answered_by_a_forced_result() -> None:
    client = ScriptedClient(CHUNK, Commit())
    await call(client, ScriptedBackend(packets=[[interim("a")]], commits=[[final("a", is_forced=True)]]))
    assert [(result.text, result.is_forced) for result in client.results] == [("a", True)]


async def test_a_commit_in_speech_without_words_is_answered_too() -> None:
    client = ScriptedClient(CHUNK, Commit())
    await call(client, ScriptedBackend(commits=[[final("", is_forced=True)]]))
    assert [(result.text, result.is_forced) for result in client.results] == [("", True)]


async def test_a_commit_in_silence_is_answered_by_commit_empty() -> None:
    client = ScriptedClient(CHUNK, Commit())
    await call(client, ScriptedBackend(commits=[[CommitEmpty()]]))
    assert [type(response) for response in client.responses] == [Started, CommitEmpty, CallFinished]


async def test_every_commit_is_answered_once() -> None:
    client = ScriptedClient(CHUNK, Commit(), Commit(), CHUNK, Commit())
    commits: list[list[BackendEvent]] = [[final("a", is_forced=True)], [CommitEmpty()], [final("b", is_forced=True)]]
    await call(client, ScriptedBackend(commits=commits))
    assert [type(response) for response in client.responses[1:-1]] == [Result, CommitEmpty, Result]


ONE_SECOND = replace(LIMITS, max_utterance_seconds=1.0)


async def test_an_utterance_that_goes_on_for_too_long_is_ended() -> None:
    client = ScriptedClient(*[CHUNK] * 20)
    backend = ScriptedBackend(packets=[[interim("a")]], commits=[[final("a b", is_forced=True)]])
    await call(client, backend, limits=ONE_SECOND)
    assert backend.received.index(Commit()) == 11
    assert backend.received.count(Commit()) == 1
    assert [(result.text, result.is_forced) for result in client.results] == [("a b", True)]


async def test_speech_without_words_that_goes_on_for_too_long_is_ended_too() -> None:
    backend = ScriptedBackend(packets=[[SpeechStarted(offset_ms=0)]], commits=[[final("", is_forced=True)]])
    await call(ScriptedClient(*[CHUNK] * 20), backend, limits=ONE_SECOND)
    assert backend.received.index(Commit()) == 11


async def test_the_next_utterance_has_its_own_time() -> None:
    packets: list[list[BackendEvent]] = [[] for _ in range(20)]
    packets[0], packets[8], packets[9] = [interim("a")], [final("a", 0, 900)], [interim("b", 900)]
    backend = ScriptedBackend(packets=packets)
    await call(ScriptedClient(*[CHUNK] * 18), backend, limits=ONE_SECOND)
    assert Commit() not in backend.received


async def test_silence_is_no_long_utterance() -> None:
    backend = ScriptedBackend()
    await call(ScriptedClient(*[CHUNK] * 20), backend, limits=ONE_SECOND)
    assert Commit() not in backend.received


async def test_the_empty_answer_to_a_commit_of_the_gateway_is_hidden() -> None:
    client = ScriptedClient(*[CHUNK] * 20)
    backend = ScriptedBackend(packets=[[interim("a")]], commits=[[CommitEmpty()]])
    await call(client, backend, limits=ONE_SECOND)
    assert Commit() in backend.received
    assert [type(response) for response in client.responses] == [Started, CallFinished]


async def test_an_utterance_that_proves_to_be_over_is_not_ended_again() -> None:
    backend = ScriptedBackend(packets=[[interim("a")]], commits=[[CommitEmpty()]] * 20)
    await call(ScriptedClient(*[CHUNK] * 20), backend, limits=ONE_SECOND)
    assert backend.received.count(Commit()) == 1


async def test_a_commit_of_the_client_during_one_of_the_gateway_is_answered() -> None:
    client = ScriptedClient(*[CHUNK] * 11, Commit())
    backend = ScriptedBackend(packets=[[interim("a")]], commits=[[final("a", is_forced=True)], [CommitEmpty()]])
    await call(client, backend, limits=ONE_SECOND)
    assert [type(response) for response in client.responses[1:-1]] == [Result, CommitEmpty]


# Commits that end the task ----------------------------------------------------------------------------------------


async def test_the_last_result_of_a_task_answers_the_commit_that_ended_it() -> None:
    client = ScriptedClient(CHUNK, Commit(), CHUNK)
    backend = ScriptedBackend(end=[final("a"), final("b")], ends_at_commit=True)
    await call(client, backend)
    assert backend.tasks == 2
    assert [(result.text, result.is_forced) for result in client.results] == [
        ("a", False),
        ("b", True),
        ("a", False),
        ("b", False),
    ]


async def test_a_task_without_a_result_answers_its_commit_with_none() -> None:
    client = ScriptedClient(CHUNK, Commit(), CHUNK)
    await call(client, ScriptedBackend(ends_at_commit=True))
    assert [type(response) for response in client.responses] == [Started, CommitEmpty, CallFinished]


async def test_a_commit_before_any_audio_of_a_task_ends_nothing() -> None:
    client = ScriptedClient(Commit(), CHUNK, Commit(), Commit(), CHUNK)
    backend = ScriptedBackend(ends_at_commit=True)
    await call(client, backend)
    assert [type(response) for response in client.responses[1:-1]] == [CommitEmpty] * 3
    assert backend.tasks == 2


async def test_a_task_begins_with_the_update_that_was_in_force_where_it_begins() -> None:
    update = Update(adaptation=Adaptation(context="ships"), options_set=("update.adaptation.context",))
    config = replace(CONFIG, model=replace(EMBEDDED, options=EMBEDDED.options | {"update.adaptation.context"}))
    backend = ScriptedBackend(ends_at_commit=True)
    await call(ScriptedClient(CHUNK, update, CHUNK, Commit(), CHUNK), backend, config)
    assert backend.contexts == ["", "ships"]


async def test_times_continue_from_task_to_task() -> None:
    client = ScriptedClient(CHUNK, Commit(), CHUNK)
    await call(client, ScriptedBackend(end=[final("a", 10, 90)], ends_at_commit=True))
    assert [(result.start_ms, result.end_ms) for result in client.results] == [(10, 90), (110, 190)]


async def test_an_utterance_that_goes_on_for_too_long_ends_with_its_task() -> None:
    client = ScriptedClient(*[CHUNK] * 15)
    backend = ScriptedBackend(packets=[[interim("a")]], end=[final("a b")], ends_at_commit=True)
    await call(client, backend, limits=ONE_SECOND)
    assert [(result.text, result.is_forced) for result in client.results] == [("a b", True), ("a b", False)]
    assert b"".join(item for item in backend.received if isinstance(item, bytes)) == CHUNK * 15


# Cursors ----------------------------------------------------------------------------------------------------------


async def test_the_last_cursor_covers_the_whole_call() -> None:
    client = ScriptedClient(CHUNK, CHUNK)
    await call(client, ScriptedBackend(end=[final("a", 0, 180)]))
    assert client.sent[-1][1] == Cursor(received_ms=200, sent_ms=200, final_ms=180, silence_ms=0)


async def test_a_cursor_says_what_was_received_sent_and_final_so_far() -> None:
    client = ScriptedClient(CHUNK, CHUNK)
    await call(client, ScriptedBackend(packets=[[final("a", 0, 80)]]))
    (cursor,) = [cursor for response, cursor in client.sent if isinstance(response, Result)]
    assert (cursor.sent_ms, cursor.final_ms) == (100, 80)
    assert cursor.received_ms >= cursor.sent_ms


async def test_a_final_result_without_times_covers_what_was_sent() -> None:
    client = ScriptedClient(CHUNK)
    await call(client, ScriptedBackend(packets=[[FinalResult(text="a")]]))
    assert client.sent[-1][1].final_ms == 100


async def test_cursors_never_go_back() -> None:
    client = ScriptedClient(CHUNK, CHUNK)
    await call(client, ScriptedBackend(packets=[[final("a", 0, 90)], [final("b", 0, 50)]]))
    assert [cursor.final_ms for _, cursor in client.sent] == [0, 90, 90, 90]


async def test_a_quiet_call_is_kept_awake_by_cursors() -> None:
    client = ScriptedClient(CHUNK)
    client.may_close.clear()
    await call(client, ScriptedBackend(), limits=replace(LIMITS, cursor_interval_seconds=0.01))
    assert (None, Cursor(received_ms=100, sent_ms=100, final_ms=0, silence_ms=0)) in client.sent


async def test_nothing_follows_the_end_of_a_call() -> None:
    client = ScriptedClient(CHUNK)
    client.may_close.clear()
    await call(client, ScriptedBackend(), limits=replace(LIMITS, cursor_interval_seconds=0.01))
    assert isinstance(client.responses[-1], CallFinished)
    assert asyncio.all_tasks() == {asyncio.current_task()}


# Wrong audio ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("items", [(), (b"",), (b"", b"", Commit())])
async def test_a_call_without_audio_is_refused(items: tuple[bytes | Commit, ...]) -> None:
    with pytest.raises(InvalidRequest, match="no audio was received") as caught:
        await call(ScriptedClient(*items), ScriptedBackend(commits=[[CommitEmpty()]]))
    assert caught.value.field == "audio"


async def test_half_a_sample_alone_is_undecodable() -> None:
    with pytest.raises(UndecodableAudio, match="ends inside a sample"):
        await call(ScriptedClient(b"\0"), ScriptedBackend())


async def test_half_a_sample_at_the_end_is_an_error_after_the_last_results() -> None:
    client = ScriptedClient(CHUNK, b"\0")
    with pytest.raises(UndecodableAudio, match="ends inside a sample"):
        await call(client, ScriptedBackend(end=[final("a")]))
    assert [result.text for result in client.results] == ["a"]
    assert isinstance(client.responses[-1], Result)


# A backend or a client that fails ---------------------------------------------------------------------------------


async def test_a_lost_backend_makes_the_call_unavailable_for_now() -> None:
    lost = UpstreamLost("the connection dropped", upstream_code="E1", upstream_request_id="task-1")
    with pytest.raises(UpstreamUnavailable, match="the connection dropped; try again") as caught:
        await call(ScriptedClient(CHUNK), ScriptedBackend(error=lost))
    assert caught.value.retry_after_seconds == 1.0
    assert (caught.value.upstream_code, caught.value.upstream_request_id) == ("E1", "task-1")


async def test_a_task_that_ends_before_the_audio_is_an_error() -> None:
    class Hasty(ScriptedBackend):
        async def run(self, _config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
            await emit(Ready(), time.monotonic())
            await task_input.next()
            return Completed(read_at=time.monotonic())

    with pytest.raises(UpstreamProtocolError, match="before its audio ended"):
        await call(ScriptedClient(CHUNK), Hasty())


@pytest.mark.parametrize("error", [InvalidRequest("no"), RuntimeError("a bug")])
async def test_an_error_of_the_client_side_ends_the_call_unchanged(error: Exception) -> None:
    class Failing(ScriptedClient):
        async def read(self) -> bytes | Commit | None:
            raise error

    with pytest.raises(type(error)) as caught:
        await call(Failing(), ScriptedBackend())
    assert caught.value is error


@pytest.mark.parametrize("error", [UpstreamProtocolError("no"), GatewayError("no"), RuntimeError("a bug")])
async def test_an_error_of_the_backend_side_ends_the_call_unchanged(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        await call(ScriptedClient(CHUNK), ScriptedBackend(error=error))
    assert caught.value is error


async def test_a_cancelled_call_leaves_no_task() -> None:
    client = ScriptedClient(CHUNK)
    client.may_close.clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await call(client, ScriptedBackend())
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_slow_backend_slows_its_client() -> None:
    class Stuck(ScriptedBackend):
        async def run(self, *_: object) -> TaskEnd:
            await asyncio.Event().wait()
            raise AssertionError

    client = ScriptedClient(*[CHUNK] * 100)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await call(client, Stuck())
    assert client.read_items == WAITING_PACKETS + 1


# Tasks that would not outlast the silence ---------------------------------------------------------------------------

MORTAL = replace(CONFIG, model=replace(EMBEDDED, outlasts_silence=False))


async def test_a_task_of_silence_is_replaced_without_a_trace() -> None:
    client = ScriptedClient(*[CHUNK] * 13)
    backend = ScriptedBackend(ends_at_commit=True)
    await call(client, backend, MORTAL, replace(LIMITS, task_silence_seconds=1.0))
    assert (backend.tasks, len(backend.received)) == (2, 13)
    assert [type(response) for response in client.responses] == [Started, CallFinished]


async def test_a_task_that_outlasts_silence_goes_on() -> None:
    backend = ScriptedBackend()
    await call(ScriptedClient(*[CHUNK] * 13), backend, CONFIG, replace(LIMITS, task_silence_seconds=1.0))
    assert Commit() not in backend.received


# What the backend finds out ---------------------------------------------------------------------------------------

WARNING = OptionWarning(
    code=WarningCode.OPTION_IGNORED, field="streaming_config.adaptation.hotwords", message="not today"
)


async def test_a_warning_of_the_backend_is_sent_once_with_the_start() -> None:
    client = ScriptedClient(CHUNK, CHUNK)
    await call(client, ScriptedBackend(warnings=[WARNING, WARNING], packets=[[WARNING]]))
    assert isinstance(client.responses[0], Started)
    assert client.responses[0].downgrades == (WARNING,)
    assert [response for response in client.responses if isinstance(response, OptionWarning)] == [WARNING]


async def test_a_warning_of_the_backend_during_a_call_is_sent_at_once() -> None:
    client = ScriptedClient(CHUNK, CHUNK)
    await call(client, ScriptedBackend(packets=[[WARNING]]))
    assert [type(response) for response in client.responses[:2]] == [Started, OptionWarning]
