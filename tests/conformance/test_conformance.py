"""What every backend must do, whatever its dialect and whatever carries it. A new one is admitted by a line."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

import grpc
import pytest
import pytest_asyncio

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.lifecycle import Gateway
from asrgateway_server.vendors.dashscope.catalogue import BLANK_MODELS
from calls import Outcome, RecognizeCall, Stub, audio, commit, config, outcome_of, recognize
from conformance.subjects import SUBJECTS, Subject
from dashscope_emulator import Emulator
from dashscope_emulator.recognizers.markers import marker_audio, silent_audio
from emulated_vendor import vendor_and_gateway
from gateways import eventually

World = tuple[Emulator, Gateway, Stub]

WORD_TIMES = pb.RecognitionFeatures(enable_word_time_offsets=True)
FIRST, SECOND = "w0 w1 w2 w3 w4", "w5 w6 w7 w8 w9"

subjects = pytest.mark.parametrize("subject", SUBJECTS, ids=str)


TRANSPORTS = sorted({subject.transport for subject in SUBJECTS})


def on(transport: str) -> dict[str, str]:
    """The setting that carries every model on it."""
    return dict.fromkeys(BLANK_MODELS, transport)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worlds() -> AsyncIterator[dict[str, World]]:
    """A vendor and a gateway of each transport, for all scenarios in which nothing goes wrong."""
    async with AsyncExitStack() as stack:
        yield {
            transport: await stack.enter_async_context(vendor_and_gateway(transports=on(transport)))
            for transport in TRANSPORTS
        }
        gc.collect()  # What the SDK leaves lying about is collected here, not in somebody else's test.


@pytest.fixture
def world(worlds: dict[str, World], subject: Subject) -> World:
    return worlds[subject.transport]


pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    # The SDK leaves the event loops it made, and its sockets, to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def speech(subject: Subject, first_block: int = 0, blocks: int = 150) -> bytes:
    return marker_audio(first_block, blocks, subject.rate)


def silence(subject: Subject, seconds: float) -> bytes:
    return silent_audio(round(seconds * 100), subject.rate)


def asked(subject: Subject, **options_set: Any) -> pb.RecognizeRequest:
    decoding = pb.DecodingConfig(sample_rate_hertz=subject.rate)
    return config(model=subject.model, decoding_config=decoding, **options_set)


def messages(subject: Subject, data: bytes) -> list[pb.RecognizeRequest]:
    size = subject.rate // 10 * 2
    return [audio(data[start : start + size]) for start in range(0, len(data), size)]


async def spoken(stub: Stub, subject: Subject, data: bytes, **options_set: Any) -> Outcome:
    return await recognize(stub, [asked(subject, **options_set), *messages(subject, data)])


async def begun(stub: Stub, subject: Subject, **options_set: Any) -> RecognizeCall:
    call = stub.Recognize(timeout=60)
    await call.write(asked(subject, **options_set))
    return call


def blocks(vendor: Emulator, outcome: Outcome) -> list[int]:
    """The blocks that the vendor heard in the tasks of a call, in order."""
    ids = set(outcome.finished.upstream_request_ids)
    return [number for task in vendor.journals if task.task_id in ids for number in task.blocks]


@subjects
async def test_a_short_utterance(world: World, subject: Subject) -> None:
    vendor, _, stub = world
    outcome = await spoken(stub, subject, speech(subject))
    assert (outcome.code, outcome.texts) == (grpc.StatusCode.OK, [FIRST])
    assert outcome.kinds[0] == "started"
    assert outcome.kinds[-1] == "finished"
    assert blocks(vendor, outcome) == list(range(150))


@subjects
async def test_a_long_utterance_is_cut_without_losing_a_word(world: World, subject: Subject) -> None:
    vendor, _, stub = world
    outcome = await spoken(stub, subject, speech(subject, 0, 4500))
    assert outcome.code is grpc.StatusCode.OK
    assert blocks(vendor, outcome) == list(range(4500))
    assert any(final.forced for final in outcome.finals) is ("cut" not in subject.lacks)


@subjects
async def test_silence_alone(world: World, subject: Subject) -> None:
    outcome = await spoken(world[2], subject, silence(subject, 2.0))
    assert (outcome.code, outcome.texts) == (grpc.StatusCode.OK, [])
    assert not outcome.finished.HasField("first_package_delay")


@subjects
async def test_no_audio(world: World, subject: Subject) -> None:
    outcome = await recognize(world[2], [asked(subject)])
    assert (outcome.code, outcome.field) == (grpc.StatusCode.INVALID_ARGUMENT, "audio")


@subjects
async def test_two_sentences_keep_their_order_and_their_times(world: World, subject: Subject) -> None:
    data = speech(subject) + silence(subject, 1.5) + speech(subject, 150)
    outcome = await spoken(world[2], subject, data, features=WORD_TIMES)
    assert outcome.texts == [FIRST, SECOND]
    assert [final.result_index for final in outcome.finals] == [0, 1]
    if "word times" in subject.lacks:
        assert [response.warning.field for response in outcome.responses if response.HasField("warning")] == [
            "streaming_config.features.enable_word_time_offsets"
        ]
        assert not any(final.words for final in outcome.finals)
    else:
        starts = [word.start_offset.ToMilliseconds() for final in outcome.finals for word in final.words]
        assert starts == [0, 300, 600, 900, 1200, 3000, 3300, 3600, 3900, 4200]


@subjects
async def test_interim_results_grow_and_keep_their_promise(world: World, subject: Subject) -> None:
    outcome = await spoken(world[2], subject, speech(subject), interim_results=True)
    *interims, final = outcome.results
    assert [result.revision for result in outcome.results] == list(range(1, len(outcome.results) + 1))
    assert interims
    assert all(result.transcript == result.committed + result.unstable for result in outcome.results)
    promised = [result.committed for result in outcome.results]
    assert all(later.startswith(earlier) for earlier, later in pairwise(promised))
    assert final.committed == final.transcript == FIRST


@subjects
async def test_a_commit_in_mid_utterance(world: World, subject: Subject) -> None:
    vendor, _, stub = world
    requests = [asked(subject), *messages(subject, speech(subject)), commit(), *messages(subject, speech(subject, 150))]
    outcome = await recognize(stub, requests)
    assert [(final.transcript, final.forced) for final in outcome.finals] == [(FIRST, True), (SECOND, False)]
    assert blocks(vendor, outcome) == list(range(300))


@subjects
async def test_a_commit_in_silence(world: World, subject: Subject) -> None:
    requests = [asked(subject), *messages(subject, silence(subject, 1.0)), commit()]
    outcome = await recognize(world[2], [*requests, *messages(subject, speech(subject))])
    events = [response.stream_event.event_type for response in outcome.responses if response.HasField("stream_event")]
    assert events == [pb.STREAM_EVENT_TYPE_COMMIT_EMPTY]
    assert (outcome.code, outcome.texts) == (grpc.StatusCode.OK, [FIRST])


@subjects
async def test_a_commit_at_the_very_end(world: World, subject: Subject) -> None:
    outcome = await recognize(world[2], [asked(subject), *messages(subject, speech(subject)), commit()])
    assert (outcome.code, outcome.texts) == (grpc.StatusCode.OK, [FIRST])
    assert outcome.finals[0].forced


@subjects
async def test_an_update_is_applied_or_said_to_have_no_effect(world: World, subject: Subject) -> None:
    said = pb.ContextMessage(role=pb.CONTEXT_ROLE_USER, text="a table for two")
    update = pb.RecognizeRequest(
        update=pb.ConfigUpdate(adaptation=pb.SpeechAdaptation(context="dinner", context_messages=[said]))
    )
    requests = [asked(subject), *messages(subject, speech(subject)), update, *messages(subject, speech(subject, 150))]
    outcome = await recognize(world[2], requests)
    assert outcome.code is grpc.StatusCode.OK
    events = [response.stream_event.event_type for response in outcome.responses if response.HasField("stream_event")]
    warned = {response.warning.field for response in outcome.responses if response.HasField("warning")}
    if "update" in subject.lacks:
        assert (events, bool(warned)) == ([], True)
    else:
        assert events == [pb.STREAM_EVENT_TYPE_UPDATE_APPLIED]


@subjects
async def test_a_cancel_closes_the_vendors_connection(world: World, subject: Subject) -> None:
    vendor, _, stub = world
    call = await begun(stub, subject)
    await call.write(audio(speech(subject)))
    await call.read()
    call.cancel()
    await eventually(lambda: vendor.open_connections == 0)


async def pause(vendor: Emulator, stub: Stub, subject: Subject, seconds: float) -> None:
    keep_alive = pb.KeepAliveConfig()
    keep_alive.quiet_after.FromMilliseconds(100)
    call = await begun(stub, subject, keep_alive=keep_alive, features=WORD_TIMES)
    for message in messages(subject, speech(subject)):
        await call.write(message)
        await asyncio.sleep(0.1)
    await asyncio.sleep(seconds)
    await call.write(audio(speech(subject, 150)))
    await call.done_writing()
    outcome = await outcome_of(call)
    assert (subject, outcome.code, outcome.texts) == (subject, grpc.StatusCode.OK, [FIRST, SECOND])
    tasks = [task for task in vendor.journals if task.task_id in set(outcome.finished.upstream_request_ids)]
    injected_ms = sum(task.silent_bytes for task in tasks) * 1000 // (subject.rate * 2)
    assert injected_ms == outcome.finished.injected_silence.ToMilliseconds() > 1000
    if "word times" not in subject.lacks:
        assert outcome.finals[1].words[0].start_offset.ToMilliseconds() == 1500


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_ninety_seconds_of_pause(transport: str) -> None:
    """All at once, to be done soon. Scaled by 20: the vendor's 23 s are 1.15 s, its 60 s are 3 s, 90 s are 4.5 s."""
    scaled = {"time_scale": 20.0}
    async with (
        vendor_and_gateway(emulator=scaled, task_silence_seconds=2.5, transports=on(transport)) as (vendor, _, stub),
        asyncio.TaskGroup() as tasks,
    ):
        for subject in (subject for subject in SUBJECTS if subject.transport == transport):
            tasks.create_task(pause(vendor, stub, subject, 4.5))
