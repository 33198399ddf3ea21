"""Every option with every family: it reaches the vendor, or the caller is told that it has no effect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio

from asrgateway.v1 import recognition_pb2 as pb
from calls import Outcome, Stub, audio, config, recognize
from catalogues import WITH_KEY
from conformance.options import OPTIONS, Option
from conformance.subjects import SUBJECTS, Subject
from dashscope_emulator import Emulator, Knobs
from dashscope_emulator.recognizers.markers import marker_audio
from emulated_vendor import vendor_and_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODELS = WITH_KEY
#: One for each model: what carries the messages changes nothing in them.
FAMILIES = [subject for subject in SUBJECTS if subject.transport == "websocket"]

subjects = pytest.mark.parametrize("subject", FAMILIES, ids=str)
options = pytest.mark.parametrize("path", OPTIONS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[tuple[Emulator, Stub]]:
    async with vendor_and_gateway(emulator={"knobs": Knobs(unknown_vocabulary="ignore")}) as (vendor, _, stub):
        yield vendor, stub


def is_honoured(subject: Subject, path: str) -> bool:
    """Whether the catalogue says so: of the option, of its value, or of a part of the config that holds it."""
    honoured = MODELS.find(subject.model).options
    bare = path.partition("=")[0].split(".")
    return path in honoured or any(".".join(bare[:count]) in honoured for count in range(1, len(bare) + 1))


async def call_with(stub: Stub, subject: Subject, option: Option, **more: Any) -> Outcome:
    decoding = pb.DecodingConfig(sample_rate_hertz=subject.rate)
    first = config(model=subject.model, decoding_config=decoding, **option.options_set, **more)
    return await recognize(stub, [first, audio(marker_audio(0, 150, subject.rate))])


def warned(outcome: Outcome) -> set[str]:
    return {response.warning.field for response in outcome.responses if response.HasField("warning")}


@subjects
@options
async def test_an_option_reaches_the_vendor_or_is_said_to_have_no_effect(
    world: tuple[Emulator, Stub], subject: Subject, path: str
) -> None:
    vendor, stub = world
    option = OPTIONS[path]
    outcome = await call_with(stub, subject, option)
    assert outcome.code is grpc.StatusCode.OK
    field = f"streaming_config.{path.partition('=')[0]}"
    if not is_honoured(subject, path):
        assert field in warned(outcome)
        return
    assert warned(outcome) == set()
    task = next(task for task in vendor.journals if task.task_id == outcome.finished.upstream_request_ids[0])
    is_session = MODELS.find(subject.model).backend == "qwen3_asr"
    evidence = option.session_evidence if is_session and option.session_evidence else option.evidence
    assert evidence(task, outcome)


@subjects
@options
async def test_strict_makes_a_lacking_option_an_error(
    world: tuple[Emulator, Stub], subject: Subject, path: str
) -> None:
    outcome = await call_with(world[1], subject, OPTIONS[path], strict=True)
    if is_honoured(subject, path):
        assert outcome.code is grpc.StatusCode.OK
    else:
        field = f"streaming_config.{path.partition('=')[0]}"
        assert (outcome.code, outcome.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)
