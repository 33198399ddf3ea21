"""A call whose tasks are lost."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from asrgateway_server.backends.base import Commit, Completed, Emit, Failed, Lost, TaskEnd, TaskInput
from asrgateway_server.backends.circuit_breaker import CircuitBreaker, CircuitLimits
from asrgateway_server.backends.route import Route
from asrgateway_server.call.responses import (
    Result,
    Started,
    StreamEvent,
    StreamEventType,
)
from asrgateway_server.config import (
    Adaptation,
    KeepAlive,
    KeepAlivePolicy,
    RecognitionConfig,
    Update,
)
from asrgateway_server.errors import (
    AudioLost,
    Overloaded,
    UpstreamRefused,
    UpstreamUnavailable,
)
from asrgateway_server.events import (
    CommitEmpty,
    FinalResult,
    OptionWarning,
    Ready,
    SpeechEnded,
    SpeechStarted,
    UpdateApplied,
)
from routes import route_to
from spoken_numbers import (
    CONFIG,
    ENDED,
    LOST,
    PERSISTENT,
    Numbers,
    call,
    spoken,
)

ONE_TO_TEN = "1 2 3 4 5 6 7 8 9 10"

# Lost and reached again -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packets", range(1, 20))
async def test_no_word_is_lost_or_doubled_wherever_a_task_is_lost(packets: int) -> None:
    backend = Numbers(losses=[(packets, LOST)])
    client = await call(backend, *spoken(*range(1, 11)))
    assert client.heard == ONE_TO_TEN
    assert client.events == [StreamEventType.RECONNECTED]


@pytest.mark.parametrize("first", range(1, 12, 2))
@pytest.mark.parametrize("second", range(1, 12, 2))
async def test_nor_where_the_task_that_takes_over_is_lost_too(first: int, second: int) -> None:
    client = await call(Numbers(losses=[(first, LOST), (second, LOST)]), *spoken(*range(1, 11)))
    assert client.heard == ONE_TO_TEN


async def test_times_stay_those_of_the_clients_audio() -> None:
    client = await call(Numbers(losses=[(11, LOST)]), *spoken(*range(1, 11)))
    words = [(word.text, word.start_ms, word.end_ms) for one in client.results if one.is_final for word in one.words]
    assert words == [(str(n), (n - 1) * 200, n * 200) for n in range(1, 11)]


async def test_the_event_says_why_and_which_audio_is_recognised_again() -> None:
    client = await call(Numbers(losses=[(11, LOST)]), *spoken(*range(1, 11)))
    (event,) = [response for response in client.sent if isinstance(response, StreamEvent)]
    assert event == StreamEvent(
        type=StreamEventType.RECONNECTED, reason="the connection dropped", start_ms=500, end_ms=1_100
    )


async def test_the_summary_counts_reconnects_and_the_audio_sent_again() -> None:
    client = await call(Numbers(losses=[(11, LOST)]), *spoken(*range(1, 11)))
    assert (client.finished.reconnects, client.finished.replayed_ms) == (1, 600)
    assert client.cursors[-1].sent_ms == 2_000


async def test_a_second_yes_is_a_second_yes() -> None:
    client = await call(Numbers(losses=[(5, LOST)], sentence=1), *spoken(7, 7, 7, 7))
    assert client.heard == "7 7 7 7"


async def test_a_model_without_times_goes_on_at_the_end_of_speech() -> None:
    client = await call(Numbers(losses=[(11, LOST)], has_times=False), *spoken(*range(1, 11)))
    assert client.heard == ONE_TO_TEN


async def test_a_model_without_times_goes_on_at_the_commit_though_more_was_sent() -> None:
    class Late(Numbers):
        """Answers the first commit after two more packets, and is lost then."""

        async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
            if self.starts:
                return await super().run(config, task_input, emit)
            await emit(Ready(), time.monotonic())
            self.starts.append((0, ""))
            while not isinstance(await task_input.next(), Commit):
                pass
            for _ in range(2):
                await task_input.next()
            await emit(FinalResult(text="1 2", is_forced=True), time.monotonic())
            return LOST

    client = await call(Late(has_times=False), *spoken(1, 2), Commit(), *spoken(3, 4, 5))
    assert client.heard == "1 2 3 4 5"


async def test_speech_that_was_announced_is_not_announced_again() -> None:
    client = await call(Numbers(losses=[(3, LOST)]), *spoken(1, 2, 3, 4))
    kinds = [type(response) for response in client.sent if isinstance(response, SpeechStarted | SpeechEnded)]
    assert kinds == [SpeechStarted, SpeechEnded]


async def test_a_task_lost_after_the_half_close_is_finished_by_another_one() -> None:
    class LostAtTheEnd(Numbers):
        async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
            end = await super().run(config, task_input, emit if self.starts else _no_finals(emit))
            return LOST if len(self.starts) == 1 else end

    client = await call(LostAtTheEnd(), *spoken(1, 2, 3))
    assert client.heard == "1 2 3"


def _no_finals(emit: Emit) -> Emit:
    async def emit_interims(event: object, read_at: float) -> None:
        if not isinstance(event, FinalResult):
            await emit(event, read_at)  # type: ignore[arg-type] # what comes in is an event

    return emit_interims


# Too many failures ------------------------------------------------------------------------------------------------


async def test_a_call_ends_when_too_many_tasks_are_lost_in_a_row() -> None:
    backend = Numbers(losses=[(1, LOST)] * 6)
    with pytest.raises(UpstreamUnavailable, match="the connection dropped; try again"):
        await call(backend, *spoken(1, 2))
    assert not backend.losses


async def test_final_results_renew_the_budget() -> None:
    backend = Numbers(losses=[(9, LOST)] * 30, sentence=2)
    client = await call(backend, *spoken(*range(1, 41)))
    assert client.heard == " ".join(str(n) for n in range(1, 41))


async def test_words_that_are_recognised_again_and_again_become_final() -> None:
    """A sentence longer than any task: what two tasks agree on is final, and the next one begins after it."""
    backend = Numbers(losses=[(11, LOST)] * 20, sentence=1_000)
    client = await call(backend, *spoken(*range(1, 21)))
    assert client.heard == " ".join(str(n) for n in range(1, 21))
    assert [result.is_forced for result in client.results if result.is_final][:2] == [True, True]


@pytest.mark.parametrize("has_times", [True, False])
@pytest.mark.parametrize("ends_at_commit", [True, False])
async def test_speech_without_a_pause_is_ended_before_the_place_where_tasks_are_lost(
    has_times: bool, ends_at_commit: bool
) -> None:
    """Even where no two tasks can agree on words, because the model gives none."""
    backend = Numbers(losses=[(26, LOST)] * 30, sentence=1_000, has_times=has_times, ends_at_commit=ends_at_commit)
    client = await call(backend, *spoken(*range(1, 41)))
    assert client.heard == " ".join(str(n) for n in range(1, 41))


async def test_a_pause_before_the_words_holds_nothing_up() -> None:
    """The shortest utterance ends within the pause; the next one would end where the task is lost."""
    losses = [*[(10, LOST)] * 2, *[(22, LOST)] * 30]
    backend = Numbers(losses=[*losses], sentence=1_000, has_times=False)
    client = await call(backend, *spoken(*[0] * 6)[1:], *spoken(*range(1, 11)))
    assert client.heard == ONE_TO_TEN


class AfterCommit(Numbers):
    """When no task is lost any more, takes the audio up to the first commit, and looks at what comes then."""

    is_next_at_once = False

    async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
        if self.losses:
            return await super().run(config, task_input, emit)
        await emit(Ready(), time.monotonic())
        while not isinstance(await task_input.next(), Commit):
            pass
        await self.committed(task_input, emit)
        return Completed(read_at=time.monotonic())

    async def committed(self, task_input: TaskInput, emit: Emit) -> None:
        raise NotImplementedError

    async def look_at_next(self, task_input: TaskInput) -> asyncio.Task[bytes | Commit | Update | None]:
        """Ask for the next item, and note whether it comes within some turns of the event loop."""
        following = asyncio.create_task(_next(task_input))
        for _ in range(20):
            await asyncio.sleep(0)
        self.is_next_at_once = following.done()
        return following


async def test_a_task_that_may_soon_be_lost_gets_no_audio_before_its_commit_is_answered() -> None:
    class Slow(AfterCommit):
        async def committed(self, task_input: TaskInput, emit: Emit) -> None:
            following = await self.look_at_next(task_input)
            await emit(FinalResult(text="1 2", is_forced=True), time.monotonic())
            while await following is not None:
                following = asyncio.create_task(_next(task_input))

    backend = Slow(losses=[(26, LOST)] * 2, sentence=1_000, has_times=False)
    await call(backend, *spoken(*range(1, 41)))
    assert not backend.is_next_at_once


async def test_a_commit_that_is_never_answered_holds_the_audio_back_once() -> None:
    class Silent(AfterCommit):
        async def committed(self, task_input: TaskInput, emit: Emit) -> None:
            await task_input.next()
            following = await self.look_at_next(task_input)
            while await following is not None:
                following = asyncio.create_task(_next(task_input))
            await emit(FinalResult(text="all"), time.monotonic())

    backend = Silent(losses=[(26, LOST)] * 2, sentence=1_000, has_times=False)
    await call(backend, *spoken(*range(1, 41)), limits=replace(PERSISTENT, answer_seconds=0.01))
    assert backend.is_next_at_once


async def _next(task_input: TaskInput) -> bytes | Commit | Update | None:
    return await task_input.next()


async def test_a_refusal_is_not_tried_again() -> None:
    refused = UpstreamRefused("no")
    backend = Numbers(losses=[(1, Failed(error=refused)), (1, LOST)])
    with pytest.raises(UpstreamRefused):
        await call(backend, *spoken(1))
    assert len(backend.losses) == 1


async def test_a_vendor_without_room_is_tried_again() -> None:
    throttled = Lost(error=Overloaded("too many", upstream_code="Throttling"))
    client = await call(Numbers(losses=[(0, throttled), (1, throttled)]), *spoken(1, 2))
    assert client.heard == "1 2"


async def test_a_loss_before_the_first_audio_is_seen_once_the_audio_comes() -> None:
    client = await call(Numbers(losses=[(0, LOST)]), *spoken(1, 2))
    assert client.heard == "1 2"


# Ended by the vendor ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [ENDED, Completed(read_at=0.0)])
async def test_a_task_that_the_vendor_ends_rolls_over(end: TaskEnd) -> None:
    client = await call(Numbers(losses=[(11, end)]), *spoken(*range(1, 11)))
    assert client.heard == ONE_TO_TEN
    assert client.events == [StreamEventType.ROLLED_OVER]
    assert client.finished.reconnects == 0


OFF = replace(CONFIG, keep_alive=KeepAlive(policy=KeepAlivePolicy.OFF))
#: An upstream answers at once what it gets.
ANSWERED = replace(PERSISTENT, answer_seconds=0.0)


async def test_a_quiet_call_whose_task_is_ended_waits_for_audio() -> None:
    backend = Numbers(losses=[(8, ENDED)])
    client = await call(backend, *spoken(1, 2, 3, 4), None, *spoken(5, 6), config=OFF, limits=ANSWERED)
    assert client.heard == "1 2 3 4 5 6"
    assert client.events == [StreamEventType.HIBERNATED, StreamEventType.WOKE]
    assert [number for number, _ in backend.starts] == [1, 5]


async def test_words_of_a_quiet_call_that_are_not_final_are_recognised_again() -> None:
    client = await call(Numbers(losses=[(4, ENDED)]), *spoken(1, 2, 3), config=OFF)
    assert client.heard == "1 2 3"
    assert client.events == [StreamEventType.ROLLED_OVER]


async def test_words_that_the_vendor_leaves_open_for_a_quiet_client_are_finished() -> None:
    """Without silence the sentence never ends by itself: the task that takes over is ended after its audio."""
    client = await call(Numbers(losses=[(2, ENDED)]), *spoken(1), None, *spoken(2), config=OFF, limits=ANSWERED)
    assert client.heard == "1 2"
    assert client.events == [StreamEventType.ROLLED_OVER, StreamEventType.HIBERNATED, StreamEventType.WOKE]


@pytest.mark.parametrize("packets", range(1, 20))
async def test_no_word_of_a_call_without_silence_is_lost_between_two_packets(packets: int) -> None:
    config = replace(OFF, interim_results=False)
    client = await call(Numbers(losses=[(packets, LOST)]), *spoken(*range(1, 11)), config=config)
    assert client.heard == ONE_TO_TEN


async def test_a_vendor_that_resets_every_task_spends_the_budget_without_silence_too() -> None:
    with pytest.raises(UpstreamUnavailable):
        await call(Numbers(losses=[(1, LOST)] * 9, sentence=1_000), *spoken(*range(1, 11)), config=OFF)


# Hibernation --------------------------------------------------------------------------------------------------------

HIBERNATING = replace(CONFIG, keep_alive=KeepAlive(policy=KeepAlivePolicy.HIBERNATE, quiet_after_ms=10))
SLEEPY = replace(PERSISTENT, hibernate_after_seconds=0.2)


async def test_a_call_hibernates_after_so_much_silence_and_wakes_with_the_first_word() -> None:
    backend = Numbers()
    client = await call(backend, *spoken(1, 2), None, *spoken(3, 4), config=HIBERNATING, limits=SLEEPY)
    assert client.heard == "1 2 3 4"
    assert client.events == [StreamEventType.HIBERNATED, StreamEventType.WOKE]
    assert [number for number, _ in backend.starts] == [1, 3]
    assert client.finished.silence_ms == 200


async def test_a_call_may_end_while_it_hibernates() -> None:
    backend = Numbers()
    client = await call(backend, *spoken(1, 2), None, config=HIBERNATING, limits=SLEEPY)
    assert client.heard == "1 2"
    assert client.events == [StreamEventType.HIBERNATED]
    assert len(backend.starts) == 1


async def test_commits_and_updates_are_answered_in_hibernation() -> None:
    client = await call(Numbers(), *spoken(1, 2), None, Commit(), SHIPS, *spoken(3), config=HIBERNATING, limits=SLEEPY)
    at = [type(response) for response in client.sent if isinstance(response, CommitEmpty | UpdateApplied)]
    assert at == [CommitEmpty, UpdateApplied]


# Commits and updates --------------------------------------------------------------------------------------------------

SHIPS = Update(adaptation=Adaptation(context="ships"), options_set=("update.adaptation.context",))
TREES = Update(adaptation=Adaptation(context="trees"), options_set=("update.adaptation.context",))


@pytest.mark.parametrize("ends_at_commit", [False, True])
@pytest.mark.parametrize("packets", range(1, 16))
async def test_every_commit_is_answered_once_wherever_a_task_is_lost(packets: int, ends_at_commit: bool) -> None:
    backend = Numbers(losses=[(packets, LOST)], ends_at_commit=ends_at_commit)
    client = await call(backend, *spoken(1, 2), Commit(), *spoken(0), Commit(), *spoken(3, 4), Commit(), *spoken(5, 6))
    assert client.heard == "1 2 3 4 5 6"
    answers = [
        "empty" if isinstance(response, CommitEmpty) else response.text
        for response in client.sent
        if isinstance(response, CommitEmpty) or (isinstance(response, Result) and response.is_forced)
    ]
    assert answers == ["1 2", "empty", "3 4"]


async def test_a_commit_without_an_answer_is_given_to_the_next_task() -> None:
    class Deaf(Numbers):
        async def run(self, config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
            if self.starts:
                return await super().run(config, task_input, emit)
            await emit(Ready(), time.monotonic())
            self.starts.append((0, ""))
            while not isinstance(await task_input.next(), Commit):
                pass
            return LOST

    client = await call(Deaf(sentence=1_000), *spoken(1, 2), Commit(), *spoken(3))
    assert [(result.text, result.is_forced) for result in client.results if result.is_final] == [
        ("1 2", True),
        ("3", False),
    ]


async def test_a_task_begins_with_the_update_in_force_where_it_begins() -> None:
    backend = Numbers(losses=[(13, LOST)])
    client = await call(backend, *spoken(1), SHIPS, *spoken(2, 3, 4, 5), TREES, *spoken(6, 7, 8))
    assert client.heard == "1 2 3 4 5 6 7 8"
    assert [context for _, context in backend.starts] == ["", "ships"]
    assert len([response for response in client.sent if isinstance(response, UpdateApplied)]) == 2


# What is kept -------------------------------------------------------------------------------------------------------

SHORT = replace(PERSISTENT, replay_seconds=1.0)


async def test_audio_that_is_no_longer_held_is_reported_and_the_call_goes_on() -> None:
    client = await call(Numbers(losses=[(20, LOST)], sentence=1_000), *spoken(*range(1, 15)), limits=SHORT)
    (dropped,) = [one for one in client.sent if isinstance(one, StreamEvent) and one.type.name == "AUDIO_DROPPED"]
    assert dropped.start_ms == 0
    missing = dropped.end_ms // 200
    assert client.heard == " ".join(str(n) for n in range(missing + 1, 15))


async def test_a_call_that_may_lose_nothing_ends_instead() -> None:
    config = replace(CONFIG, fails_on_audio_loss=True)
    with pytest.raises(AudioLost, match="s of audio are lost"):
        await call(Numbers(losses=[(20, LOST)], sentence=1_000), *spoken(*range(1, 15)), limits=SHORT, config=config)


async def test_the_process_keeps_no_more_than_it_may() -> None:
    client = await call(Numbers(losses=[(20, LOST)], sentence=1_000), *spoken(*range(1, 15)), memory_bytes=10 * 3_200)
    assert StreamEventType.AUDIO_DROPPED in client.events


async def test_audio_before_the_last_final_result_is_given_up() -> None:
    backend = Numbers(losses=[(19, LOST)], sentence=2)
    client = await call(backend, *spoken(*range(1, 15)), limits=SHORT)
    assert client.events == [StreamEventType.RECONNECTED]
    assert client.heard == " ".join(str(n) for n in range(1, 15))


# Another model --------------------------------------------------------------------------------------------------------

OTHER = replace(CONFIG.model, name="other")
SLOWER = replace(CONFIG.model, name="slower", sample_rates_hertz=(8_000,))


@pytest.mark.parametrize("packets", range(1, 12))
async def test_another_model_takes_over_after_two_failed_attempts(packets: int) -> None:
    first, other = Numbers(losses=[(packets, LOST), *[(0, LOST)] * 9]), Numbers()
    client = await call(first, *spoken(*range(1, 11)), route=route_to(CONFIG.model, first, (OTHER, other)))
    assert client.heard == ONE_TO_TEN
    assert client.events[-1] is StreamEventType.FAILED_OVER
    (event,) = [one for one in client.sent if isinstance(one, StreamEvent) and one.type.name == "FAILED_OVER"]
    assert (event.from_model, event.to_model) == ("embedded", "other")


async def test_it_takes_over_at_once_from_a_model_that_is_refused() -> None:
    first, other = Numbers(losses=[(5, Failed(error=UpstreamRefused("out of quota")))]), Numbers()
    client = await call(first, *spoken(1, 2, 3, 4), route=route_to(CONFIG.model, first, (OTHER, other)))
    assert client.heard == "1 2 3 4"
    assert client.events == [StreamEventType.FAILED_OVER]


async def test_a_call_never_leaves_the_model_for_a_fault_of_its_own() -> None:
    refused = UpstreamRefused("a parameter", is_about_request=True)
    first, other = Numbers(losses=[(1, Failed(error=refused))]), Numbers()
    with pytest.raises(UpstreamRefused):
        await call(first, *spoken(1, 2), route=route_to(CONFIG.model, first, (OTHER, other)))
    assert other.starts == []


async def test_a_call_begins_with_the_first_model_whose_circuit_is_closed() -> None:
    first, other = Numbers(), Numbers()
    route = route_to(CONFIG.model, first, (OTHER, other))
    circuit = route.candidates[0].circuit
    for number in range(5):
        circuit.failed(circuit.begin(f"call {number}"), time.monotonic())
    client = await call(first, *spoken(1, 2), route=route)
    assert (client.heard, first.starts) == ("1 2", [])
    assert isinstance(client.sent[0], Started)
    assert client.sent[0].model.name == "other"


async def test_the_audio_of_a_model_with_another_rate_is_resampled() -> None:
    class Bytes(Numbers):
        async def run(self, _config: RecognitionConfig, task_input: TaskInput, emit: Emit) -> TaskEnd:
            await emit(Ready(), time.monotonic())
            while isinstance(item := await task_input.next(), bytes):
                sizes.append(len(item))
            return Completed(read_at=time.monotonic())

    sizes: list[int] = []
    first = Numbers(losses=[(3, LOST), *[(0, LOST)] * 9])
    await call(first, *spoken(1, 2, 3, 4), route=route_to(CONFIG.model, first, (SLOWER, Bytes())))
    assert sum(sizes) == pytest.approx(8 * 1_600, abs=200)


async def test_what_the_other_model_cannot_do_is_said() -> None:
    config = replace(CONFIG, options_set=("features.enable_word_time_offsets=true",))
    plain = replace(OTHER, options=OTHER.options - {"features.enable_word_time_offsets"})
    first, other = Numbers(losses=[(0, LOST)] * 9), Numbers()
    client = await call(first, *spoken(1, 2), config=config, route=route_to(config.model, first, (plain, other)))
    (event,) = [one for one in client.sent if isinstance(one, StreamEvent) and one.type.name == "FAILED_OVER"]
    assert [warning.field for warning in event.downgrades] == ["streaming_config.features.enable_word_time_offsets"]


async def test_a_strict_call_stays_with_the_model_that_does_what_it_asks_for() -> None:
    options = ("features.enable_word_time_offsets=true",)
    config = replace(CONFIG, options_set=options, is_strict=True)
    plain = replace(OTHER, options=OTHER.options - {"features.enable_word_time_offsets"})
    first, other = Numbers(losses=[(0, LOST)] * 4), Numbers()
    client = await call(first, *spoken(1, 2), config=config, route=route_to(config.model, first, (plain, other)))
    assert (client.heard, other.starts) == ("1 2", [])


async def test_when_no_model_answers_the_call_ends() -> None:
    first, other = Numbers(losses=[(1, LOST)] * 20), Numbers(losses=[(1, LOST)] * 20)
    with pytest.raises(UpstreamUnavailable):
        await call(first, *spoken(1), route=route_to(CONFIG.model, first, (OTHER, other)))
    assert len(first.losses) + len(other.losses) == 40 - 6


async def test_words_are_not_doubled_by_a_model_that_has_no_times_for_them() -> None:
    wordless = replace(OTHER, options=OTHER.options - {"features.enable_word_time_offsets"})
    first, other = Numbers(losses=[(11, LOST), *[(0, LOST)] * 9]), Numbers(has_times=False)
    client = await call(first, *spoken(*range(1, 9)), route=route_to(CONFIG.model, first, (wordless, other)))
    assert client.heard == "1 2 3 4 5 6 7 8"


async def test_a_throttled_model_keeps_its_circuit_closed() -> None:
    throttled = Lost(error=Overloaded("too many", upstream_code="Throttling"))
    first = Numbers(losses=[(0, throttled)] * 4)
    route = route_to(CONFIG.model, first)
    limits = CircuitLimits(failed_calls=1)
    route = Route((replace(route.candidates[0], circuit=CircuitBreaker(limits)),))
    assert (await call(first, *spoken(1, 2), route=route)).heard == "1 2"


async def test_a_strict_call_waits_for_its_model_and_lets_others_go_on() -> None:
    options = ("features.enable_word_time_offsets=true",)
    config = replace(CONFIG, options_set=options, is_strict=True)
    wordless = replace(OTHER, options=OTHER.options - {"features.enable_word_time_offsets"})
    first, other = Numbers(), Numbers()
    route = route_to(config.model, first, (wordless, other))
    circuit = CircuitBreaker(CircuitLimits(failed_calls=1, open_seconds=0.3))
    circuit.failed(circuit.begin("another call"), time.monotonic())
    route = Route((replace(route.candidates[0], circuit=circuit), route.candidates[1]))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    task = asyncio.create_task(others())
    client = await call(first, *spoken(1, 2), config=config, route=route)
    task.cancel()
    assert (client.heard, other.starts) == ("1 2", [])
    assert turns > 1  # One blocks the others where it asks without waiting.


async def test_an_update_that_the_other_model_does_not_take_is_left_out_with_a_warning() -> None:
    plain = replace(OTHER, options=OTHER.options - {"update.adaptation.context"})
    first, other = Numbers(losses=[(5, LOST), *[(0, LOST)] * 9], sentence=1_000), Numbers()
    client = await call(first, *spoken(1), SHIPS, *spoken(2, 3, 4), route=route_to(CONFIG.model, first, (plain, other)))
    assert client.heard == "1 2 3 4"
    assert [one.field for one in client.sent if isinstance(one, OptionWarning)] == ["update.adaptation.context"]


async def test_two_throttled_models_are_given_time() -> None:
    throttled = Lost(error=Overloaded("too many", upstream_code="Throttling"))
    first, other = Numbers(losses=[(0, throttled)] * 2), Numbers(losses=[(0, throttled)] * 2)
    client = await call(first, *spoken(1, 2), route=route_to(CONFIG.model, first, (OTHER, other)))
    assert client.heard == "1 2"
