"""Runs the call of a schedule against a gateway and an emulator of marked audio, and judges what its client got."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import grpc

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.errors import UpstreamUnavailable
from calls import Outcome, RecognizeCall, Stub, audio, commit, config, interleaved, outcome_of
from chaos.schedules import FUN_ASR, QWEN3_ASR, ROUTES, Schedule, Sentence
from dashscope_emulator import EmulatorOptions, running_emulator
from dashscope_emulator.recognizers.markers import marker_audio, silent_audio
from gateways import eventually, open_gateway

SAMPLE_RATE_HERTZ: Final = 16_000
BLOCKS_PER_WORD: Final = 30
#: A call in which everything goes wrong lasts no longer.
MOST_SECONDS: Final = 60.0
#: How far a time may be from its place.
TOLERANCE_MS: Final = 100
SETTINGS: Final[dict[str, Any]] = {
    "dashscope_api_key": "sk-test",
    "embedded_workers": 0,
    "max_upstream_failures": 5,
    "reconnect_pause_seconds": 0.005,
    # Faster than realtime, but not so fast that a task is over before the vendor can answer anything.
    "backlog_speed": 20,
    "replay_speed": 20,
    "hibernate_after_seconds": 0.2,
    "quiet_after_seconds": 0.1,
    "upstream_stall_timeout_seconds": 0.5,
    "upstream_ready_timeout_seconds": 0.5,
    "warm_connections": 1,
    "aliases": ROUTES,
    "circuit_open_seconds": 0.2,
}
#: What a call, or one of its channels, may end with whose budget is spent.
SPENT: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
SPENT_NUMBERS: Final = tuple(code.value[0] for code in SPENT)
#: The number of each channel's first word.
FIRST_WORDS: Final = (0, 100)


async def outcomes_with(schedules: Sequence[Schedule]) -> list[Outcome]:
    """Run the calls of schedules side by side, each with a vendor and a gateway of its own."""
    return await asyncio.gather(*(outcome_with(schedule) for schedule in schedules))


async def outcome_with(schedule: Schedule) -> Outcome:
    """Run the call of a schedule; raise TimeoutError if the gateway leaves a connection to the vendor open."""
    options = EmulatorOptions(recognizer="markers", faults=schedule.faults)
    async with running_emulator(options) as vendor:
        async with open_gateway(dashscope_url=vendor.url, **SETTINGS) as (_, stub):
            outcome = await _outcome(stub, schedule)
        await eventually(lambda: vendor.open_connections == 0)
    return outcome


async def _outcome(stub: Stub, schedule: Schedule) -> Outcome:
    call = stub.Recognize(timeout=MOST_SECONDS)
    sending = asyncio.create_task(_send(call, schedule))
    sending.add_done_callback(lambda task: call.cancel() if not task.cancelled() and task.exception() else None)
    outcome = await outcome_of(_SlowReader(call, schedule.read_pause_seconds))  # type: ignore[arg-type] # reads alike
    sending.cancel()  # Where the call has ended early, nobody takes what is left.
    with contextlib.suppress(asyncio.CancelledError, asyncio.InvalidStateError, grpc.RpcError):
        await sending
    return outcome


def models_of(schedule: Schedule) -> tuple[str, ...]:
    """Return the models that the call may use."""
    return ROUTES.get(schedule.model, (schedule.model,))


class _SlowReader:
    """A call whose responses are read with a pause before each."""

    def __init__(self, call: RecognizeCall, pause_seconds: float) -> None:
        self._call = call
        self._pause_seconds = pause_seconds

    async def read(self) -> object:
        if self._pause_seconds:
            await asyncio.sleep(self._pause_seconds)
        return await self._call.read()

    def __getattr__(self, name: str) -> object:
        return getattr(self._call, name)


async def _send(call: RecognizeCall, schedule: Schedule) -> None:
    async for request in _requests(schedule):
        await call.write(request)
    await call.done_writing()


async def _requests(schedule: Schedule) -> AsyncIterator[pb.RecognizeRequest]:
    decoding = pb.DecodingConfig(
        sample_rate_hertz=SAMPLE_RATE_HERTZ,
        audio_channel_count=len(schedule.channels),
        channel_mode=pb.CHANNEL_MODE_SEPARATE if schedule.is_separate else pb.CHANNEL_MODE_UNSPECIFIED,
    )
    has_words = schedule.wants_words and QWEN3_ASR not in models_of(schedule)
    features = pb.RecognitionFeatures(enable_word_time_offsets=True) if has_words else None
    keep_alive = pb.KeepAliveConfig(policy=schedule.policy)
    yield config(
        model=schedule.model,
        decoding_config=decoding,
        features=features,
        keep_alive=keep_alive,
        interim_results=schedule.wants_interims,
    )
    size = schedule.message_ms * SAMPLE_RATE_HERTZ // 1000 * 2 * len(schedule.channels)
    first_word = 0
    for sentence in schedule.sentences:
        data = interleaved(*(_spoken(sentence, first_word, channel) for channel in schedule.channels))
        for start in range(0, len(data), size):
            yield audio(data[start : start + size])
        first_word += sentence.words
        for _ in range(sentence.commits):
            yield commit()
        if sentence.has_update and FUN_ASR in models_of(schedule):
            yield pb.RecognizeRequest(update=pb.ConfigUpdate(adaptation=pb.SpeechAdaptation(context="ships")))
        await asyncio.sleep(sentence.pause_seconds)


def _spoken(sentence: Sentence, first_word: int, channel: int) -> bytes:
    """Return what a channel says in a sentence, and its silence."""
    first_block = (first_word + FIRST_WORDS[channel]) * BLOCKS_PER_WORD
    words = marker_audio(first_block, sentence.words * BLOCKS_PER_WORD)
    silence = silent_audio(sentence.silence_ms // 10)
    return silence + words if channel else words + silence


def faults_in(schedule: Schedule, outcome: Outcome) -> list[str]:
    """Return everything that is wrong with an outcome; empty if the promise was kept."""
    is_whole = outcome.code is grpc.StatusCode.OK
    wrong: list[str] = []
    if not is_whole and (outcome.code not in SPENT or outcome.reason == UpstreamUnavailable.__name__):
        wrong.append(f"the call ended with {outcome.code.name}: {outcome.message}")
    failed = _failed_channels(outcome)
    wrong += [f"a channel failed with {code}" for code in failed.values() if code not in SPENT_NUMBERS]
    for channel in schedule.channels:
        is_complete = is_whole and channel not in failed
        wrong += _wrong_words(schedule, outcome, channel, is_whole=is_complete)
        wrong += _wrong_answers(schedule, outcome, channel) if is_complete else []
    wrong += _wrong_numbers(outcome.results)
    if is_whole and not outcome.responses[-1].HasField("finished"):
        wrong.append("the last response is not the summary")
    if sum(response.HasField("started") for response in outcome.responses) > 1:
        wrong.append("the call started twice")
    return wrong


def _failed_channels(outcome: Outcome) -> dict[int, int]:
    """Return the channels without which the call went on, each with its status."""
    events = [one.stream_event for one in outcome.responses if one.HasField("stream_event")]
    failed = pb.STREAM_EVENT_TYPE_CHANNEL_FAILED
    return {event.channel: event.error.code for event in events if event.event_type == failed}


def _places_ms(schedule: Schedule, channel: int) -> list[int]:
    """Return where each word of a channel begins."""
    places, at_ms = [], 0
    for sentence in schedule.sentences:
        first_ms = at_ms + (sentence.silence_ms if channel else 0)
        places += [first_ms + 300 * number for number in range(sentence.words)]
        at_ms += 300 * sentence.words + sentence.silence_ms
    return places


def _wrong_words(schedule: Schedule, outcome: Outcome, channel: int, *, is_whole: bool) -> list[str]:
    places, first_word = _places_ms(schedule, channel), FIRST_WORDS[channel]
    expected = [f"w{first_word + number}" for number in range(len(places))]
    finals = [final for final in outcome.finals if final.channel == channel]
    heard = [word for final in finals for word in final.transcript.split()]
    wrong = []
    if heard != (expected if is_whole else expected[: len(heard)]):
        wrong.append(f"channel {channel}: heard {heard}, said {expected}")
    for final in finals:
        for word in final.words:
            distance = word.start_offset.ToMilliseconds() - places[int(word.word.strip()[1:]) - first_word]
            if abs(distance) > TOLERANCE_MS:
                wrong.append(f"{word.word} is {distance} ms from its place")
    return wrong


def _wrong_numbers(results: Sequence[pb.RecognitionResult]) -> list[str]:
    """Each text of a channel's open utterance is its next revision, and each first one has the next number."""
    next_index, wrong = 0, []
    due: dict[int, tuple[int, int]] = {}
    for result in results:
        index, revision = due.pop(result.channel, (next_index, 1))
        if (result.result_index, result.revision) != (index, revision):
            wrong.append(f"result {result.result_index}.{result.revision} where {index}.{revision} was due")
        next_index = max(next_index, index + 1)
        if not result.is_final:
            due[result.channel] = (index, revision + 1)
    return wrong


def _wrong_answers(schedule: Schedule, outcome: Outcome, channel: int) -> list[str]:
    """Count the answers to commits; finals that the gateway forced by itself look like answers and may come on top."""
    said = sum(sentence.commits for sentence in schedule.sentences)
    events = [one.stream_event for one in outcome.responses if one.stream_event.channel == channel]
    empty = sum(event.event_type == pb.STREAM_EVENT_TYPE_COMMIT_EMPTY for event in events)
    forced = sum(final.forced for final in outcome.finals if final.channel == channel)
    updates = sum(event.event_type == pb.STREAM_EVENT_TYPE_UPDATE_APPLIED for event in events)
    said_updates = sum(one.has_update for one in schedule.sentences) * (FUN_ASR in models_of(schedule))
    # A model that takes no updates gives no answer to them, and may have taken over.
    are_answered = schedule.model == FUN_ASR
    wrong = []
    if not said <= empty + forced or empty > said:
        wrong.append(f"{said} commits, {empty} empty answers and {forced} forced results")
    if updates > said_updates or (are_answered and updates < said_updates):
        wrong.append(f"{said_updates} updates, {updates} answers")
    return wrong
