"""Every option with every family: it reaches the vendor, or the caller is told that it has no effect."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
import pytest
import pytest_asyncio

from asrgateway.v1 import recognition_pb2 as pb
from calls import Outcome, RecognizeCall, Stub, audio, config, outcome_of, recognize
from catalogues import WITH_KEY
from conformance.options import OPTIONS, InPause, keep_alive
from conformance.subjects import SUBJECTS, Subject
from dashscope_emulator import Emulator, Knobs
from dashscope_emulator.journal import Journal
from dashscope_emulator.recognizers.markers import marker_audio
from emulated_vendor import vendor_and_gateway
from gateways import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODELS = WITH_KEY
BLOCKS = 150
#: One for each model: what carries the messages changes nothing in them.
FAMILIES = [subject for subject in SUBJECTS if subject.transport == "websocket"]

subjects = pytest.mark.parametrize("subject", FAMILIES, ids=str)
options = pytest.mark.parametrize("path", OPTIONS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[tuple[Emulator, Stub]]:
    settings: dict[str, Any] = {"quiet_after_seconds": 60.0, "hibernate_after_seconds": 0.1}
    knobs = Knobs(unknown_vocabulary="ignore")
    async with vendor_and_gateway(emulator={"knobs": knobs}, **settings) as (vendor, _, stub):
        yield vendor, stub


def is_honoured(subject: Subject, path: str) -> bool:
    """Whether the catalogue says so: of the option, of its value, or of a part of the config that holds it."""
    honoured = MODELS.find(subject.model).options
    bare = path.partition("=")[0].split(".")
    return path in honoured or any(".".join(bare[:count]) in honoured for count in range(1, len(bare) + 1))


def requests(subject: Subject, options_set: Mapping[str, Any]) -> list[pb.RecognizeRequest]:
    decoding = pb.DecodingConfig(sample_rate_hertz=subject.rate)
    first = config(model=subject.model, decoding_config=decoding, **options_set)
    return [first, audio(marker_audio(0, BLOCKS, subject.rate))]


async def begun(stub: Stub, subject: Subject, options_set: Mapping[str, Any]) -> RecognizeCall:
    call = stub.Recognize(timeout=60)
    for request in requests(subject, options_set):
        await call.write(request)
    return call


async def call_with(
    world: tuple[Emulator, Stub], subject: Subject, options_set: Mapping[str, Any], in_pause: InPause | None = None
) -> Outcome:
    """A call that speaks, and ends once there is what is waited for in the pause after that."""
    vendor, stub = world
    before = len(vendor.journals)
    call = await begun(stub, subject, options_set)
    if in_pause:
        await eventually(lambda: any(in_pause(task) for task in list(vendor.journals)[before:]))
    await call.done_writing()
    return await outcome_of(call)


def journal(vendor: Emulator, outcome: Outcome) -> Journal:
    return next(task for task in vendor.journals if task.task_id == outcome.finished.upstream_request_ids[0])


def warned(outcome: Outcome) -> set[str]:
    return {response.warning.field for response in outcome.responses if response.HasField("warning")}


@subjects
@options
async def test_an_option_reaches_the_vendor_or_is_said_to_have_no_effect(
    world: tuple[Emulator, Stub], subject: Subject, path: str
) -> None:
    option = OPTIONS[path]
    outcome = await call_with(world, subject, option.options_set, option.in_pause)
    assert outcome.code is grpc.StatusCode.OK
    field = f"streaming_config.{path.partition('=')[0]}"
    if not is_honoured(subject, path):
        assert field in warned(outcome)
        return
    assert warned(outcome) == set()
    model = MODELS.find(subject.model)
    is_session = model.backend == "qwen3_asr"
    evidence = option.session_evidence if is_session and option.session_evidence else option.evidence
    if option.fixed_evidence and path.partition("=")[0] not in model.options:
        evidence = option.fixed_evidence
    assert evidence(journal(world[0], outcome), outcome)


@subjects
async def test_what_nobody_asks_for_does_not_come(world: tuple[Emulator, Stub], subject: Subject) -> None:
    outcome = await call_with(world, subject, {})
    assert [(bool(final.words), final.HasField("emotion")) for final in outcome.finals] == [(False, False)]
    assert not any(response.HasField("speech_event") for response in outcome.responses)


@subjects
async def test_a_policy_may_let_nothing_be_sent_in_a_pause(world: tuple[Emulator, Stub], subject: Subject) -> None:
    """Not even after another call, which became quiet later, has been sent silence."""
    vendor, stub = world
    before = len(vendor.journals)
    call = await begun(stub, subject, keep_alive(policy=pb.KEEP_ALIVE_POLICY_OFF))
    await eventually(lambda: any(len(task.blocks) == BLOCKS for task in list(vendor.journals)[before:]))
    other = OPTIONS["keep_alive.quiet_after"]
    await call_with(world, subject, other.options_set, other.in_pause)
    await call.done_writing()
    outcome = await outcome_of(call)
    task = journal(vendor, outcome)
    assert (task.silent_bytes, outcome.finished.injected_silence.ToMilliseconds()) == (0, 0)
    assert "heartbeat" not in task.parameters


@subjects
@options
async def test_strict_makes_a_lacking_option_an_error(
    world: tuple[Emulator, Stub], subject: Subject, path: str
) -> None:
    outcome = await recognize(world[1], requests(subject, {**OPTIONS[path].options_set, "strict": True}))
    if is_honoured(subject, path):
        assert outcome.code is grpc.StatusCode.OK
    else:
        field = f"streaming_config.{path.partition('=')[0]}"
        assert (outcome.code, outcome.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)
