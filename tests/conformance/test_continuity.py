"""A call goes on without a lost or doubled word when its upstream fails: every family, on every transport."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.vendors.dashscope.catalogue import BLANK_MODELS
from calls import Outcome, Stub, audio, commit, config, recognize
from conformance.subjects import SUBJECTS, Subject
from dashscope_emulator import Fault
from dashscope_emulator.faults import Action, Close, Drop, Fail, Phase, Refuse, Stall, Throttle
from dashscope_emulator.recognizers.markers import marker_audio, silent_audio
from emulated_vendor import vendor_and_gateway

pytestmark = [
    # The SDK leaves sockets to the garbage collector after an error.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SENTENCES = 4
WORDS = [f"w{number}" for number in range(5 * SENTENCES)]
RECONNECTED, ROLLED_OVER = pb.STREAM_EVENT_TYPE_RECONNECTED, pb.STREAM_EVENT_TYPE_ROLLED_OVER

transports = pytest.mark.parametrize("transport", sorted({subject.transport for subject in SUBJECTS}))


def speech(rate: int) -> list[bytes]:
    """Sentences of five words of 0.3 s, each with a second of silence after it."""
    return [marker_audio(150 * number, 150, rate) + silent_audio(100, rate) for number in range(SENTENCES)]


async def call(stub: Stub, subject: Subject, *, commits: bool = False, **options: Any) -> Outcome:
    decoding = pb.DecodingConfig(sample_rate_hertz=subject.rate)
    features = None if "word times" in subject.lacks else pb.RecognitionFeatures(enable_word_time_offsets=True)
    requests = [config(model=subject.model, decoding_config=decoding, features=features, **options)]
    size = subject.rate // 5
    for sentence in speech(subject.rate):
        requests += [audio(sentence[start : start + size]) for start in range(0, len(sentence), size)]
        requests += [commit()] * commits
    return await recognize(stub, requests, timeout=60)


async def outcomes(transport: str, *faults: Fault, has_progress: bool = True, **options: Any) -> dict[str, Outcome]:
    """A call of each family on a transport, while the vendor has these faults.

    Args:
        transport: What carries the messages.
        faults: What goes wrong.
        has_progress: Leave out the model that says nothing before the end of the audio: where every task is lost, it
            spends its budget.
        options: Of the calls.
    """
    subjects = [one for one in SUBJECTS if one.transport == transport and not (has_progress and "cut" in one.lacks)]
    settings: dict[str, Any] = {"transports": dict.fromkeys(BLANK_MODELS, transport), "max_upstream_failures": 5}
    # Fast, but not so fast that a task is over before the vendor can answer anything.
    fast = {"replay_speed": 30, "backlog_speed": 30, "reconnect_pause_seconds": 0.01}
    async with vendor_and_gateway(emulator={"faults": faults}, **settings, **fast) as (_, _, stub):
        found = await asyncio.gather(*(call(stub, subject, **options) for subject in subjects))
    return {subject.model: outcome for subject, outcome in zip(subjects, found, strict=True)}


def words(outcome: Outcome) -> list[str]:
    return [word for text in outcome.texts for word in text.split()]


def events(outcome: Outcome) -> set[int]:
    return {one.stream_event.event_type for one in outcome.responses if one.HasField("stream_event")}


def commit_answers(outcome: Outcome) -> int:
    """Count what may be the answer to a commit."""
    empty = pb.STREAM_EVENT_TYPE_COMMIT_EMPTY
    answers = [one.stream_event.event_type == empty for one in outcome.responses]
    return sum(answers) + sum(final.forced for final in outcome.finals)


def assert_whole(outcome: Outcome) -> None:
    """Every word once and in order, every index once, every time that of the client's audio."""
    assert (outcome.code, outcome.message) == (grpc.StatusCode.OK, "")
    assert words(outcome) == WORDS
    assert [final.result_index for final in outcome.finals] == list(range(len(outcome.finals)))
    assert outcome.responses[-1].HasField("finished")
    for final in outcome.finals:
        for word in final.words:
            number = int(word.word.strip()[1:])
            expected_ms = number * 300 + number // 5 * 1000
            assert abs(word.start_offset.ToMilliseconds() - expected_ms) <= 100


def speech_fault(action: Action, audio_ms: int, **where: Any) -> Fault:
    return Fault(action=action, phase=Phase.SPEECH, audio_ms=audio_ms, **where)


@transports
@pytest.mark.parametrize("audio_ms", [100, 900, 1400, 2000, 2600, 3300, 9000])
async def test_no_word_is_lost_when_the_connection_is_reset(audio_ms: int, transport: str) -> None:
    """Each task is reset after so much audio, until each call has had two resets or so."""
    count = 2 * sum(subject.transport == transport for subject in SUBJECTS)
    for outcome in (
        await outcomes(transport, speech_fault(Drop(), audio_ms, times=count), has_progress=False)
    ).values():
        assert_whole(outcome)


REPEATED = {
    "reset": Drop(),
    "close 1000": Close(code=1000),
    "close 1011": Close(code=1011),
    "internal error": Fail(code="InternalError"),
    "no data": Fail(code="CLIENT_ERROR", message="request timeout after 23 seconds."),
    "throttling": Fail(code="Throttling.RateQuota"),
}


@transports
@pytest.mark.parametrize("action", REPEATED.values(), ids=REPEATED.keys())
async def test_no_word_is_lost_whatever_ends_every_task(action: Action, transport: str) -> None:
    for outcome in (await outcomes(transport, speech_fault(action, 3_300))).values():
        assert_whole(outcome)
        assert events(outcome) & {RECONNECTED, ROLLED_OVER}


@transports
async def test_the_client_sees_what_happened(transport: str) -> None:
    for outcome in (await outcomes(transport, speech_fault(Drop(), 3_300))).values():
        assert events(outcome) == {RECONNECTED}
        assert outcome.finished.reconnects > 0
        assert outcome.finished.replayed_audio.ToMilliseconds() > 0


@transports
async def test_a_task_that_the_vendor_ends_is_no_reconnect(transport: str) -> None:
    found = await outcomes(transport, speech_fault(Close(code=1000), 3_300))
    websocket = {model: outcome for model, outcome in found.items() if transport == "websocket"}
    for outcome in websocket.values():
        assert events(outcome) == {ROLLED_OVER}
        assert outcome.finished.reconnects == 0


BEFORE: dict[str, Fault] = {
    "refused": Fault(action=Refuse(status=503), phase=Phase.HANDSHAKE, times=3),
    "limited": Fault(action=Refuse(status=429), phase=Phase.HANDSHAKE, times=3),
    "not started": Fault(action=Drop(), phase=Phase.START, times=3),
    "not finished": Fault(action=Drop(), phase=Phase.FINISH, times=3),
    "throttled": Fault(action=Throttle(), phase=Phase.START, times=3),
}


@transports
@pytest.mark.parametrize("fault", BEFORE.values(), ids=BEFORE.keys())
async def test_no_word_is_lost_when_a_task_cannot_begin_or_end(fault: Fault, transport: str) -> None:
    for outcome in (await outcomes(transport, fault, has_progress=False)).values():
        assert_whole(outcome)


@transports
async def test_every_commit_is_answered_once_through_a_reset(transport: str) -> None:
    # One: after a second one the gateway also ends utterances itself.
    found = await outcomes(transport, speech_fault(Drop(), 3_000, times=1), commits=True)
    for outcome in found.values():
        assert_whole(outcome)
        assert commit_answers(outcome) == SENTENCES


@transports
async def test_no_commit_is_without_an_answer_through_resets(transport: str) -> None:
    # Fewer than one call may take, should it meet them all.
    found = await outcomes(transport, speech_fault(Drop(), 3_000, times=4), commits=True)
    for outcome in found.values():
        assert_whole(outcome)
        assert commit_answers(outcome) >= SENTENCES


async def test_a_stalled_vendor_is_left() -> None:
    fault = speech_fault(Stall(), 2_000, times=1)
    async with vendor_and_gateway(
        emulator={"faults": (fault,)},
        max_upstream_failures=5,
        upstream_stall_timeout_seconds=0.5,
        backlog_speed=3.0,
    ) as (_, _, stub):
        assert_whole(await call(stub, SUBJECTS[0]))


@transports
async def test_a_resumed_call_without_audio_ends_well(transport: str) -> None:
    """Its client had sent everything, and everything was final, when it lost the first call's end."""
    subjects = [one for one in SUBJECTS if one.transport == transport]
    resume = pb.Resume(next_result_index=1)
    async with vendor_and_gateway(transports=dict.fromkeys(BLANK_MODELS, transport)) as (_, _, stub):
        calls = (
            recognize(
                stub,
                [config(model=one.model, decoding_config=pb.DecodingConfig(sample_rate_hertz=one.rate), resume=resume)],
                timeout=60,
            )
            for one in subjects
        )
        ended = await asyncio.gather(*calls)
    assert [(outcome.code, outcome.kinds[-1], outcome.texts) for outcome in ended] == [
        (grpc.StatusCode.OK, "finished", [])
    ] * len(subjects)
