"""What the vendor's codes mean for a caller, the same in every family and on every transport."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.vendors.dashscope.catalogue import BLANK_MODELS
from calls import Outcome, Stub, audio, config, recognize
from conformance.subjects import SUBJECTS, Subject
from dashscope_emulator import Fault
from dashscope_emulator.faults import Fail, Phase
from dashscope_emulator.recognizers.markers import marker_audio
from emulated_vendor import vendor_and_gateway

pytestmark = [
    # The SDK leaves sockets to the garbage collector after an error.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

REFUSED = (grpc.StatusCode.FAILED_PRECONDITION, "UPSTREAM_REFUSED")
BUSY = (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
LOST = (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")
AUDIO = (grpc.StatusCode.INVALID_ARGUMENT, "UNDECODABLE_AUDIO")

#: One code of each kind that the vendor's page of errors lists; test_run_task.py has them all.
CODES = {
    "InvalidApiKey": REFUSED,
    "Arrearage": REFUSED,
    "Model.AccessDenied": REFUSED,
    "ModelNotFound": REFUSED,
    "InvalidParameter": REFUSED,
    "DataInspectionFailed": REFUSED,
    "Throttling.RateQuota": BUSY,
    "limit_requests": BUSY,
    "NO_VALID_AUDIO_ERROR": AUDIO,
    "DECODE_ERROR": AUDIO,
    "CLIENT_ERROR": LOST,
    "RequestTimeOut": LOST,
    "InternalError.Algo": LOST,
    "ModelUnavailable": LOST,
    "a code that nobody has seen": LOST,
}


async def call(stub: Stub, subject: Subject) -> Outcome:
    decoding = pb.DecodingConfig(sample_rate_hertz=subject.rate)
    first = config(model=subject.model, decoding_config=decoding, interim_results=True)
    return await recognize(stub, [first, audio(marker_audio(0, 150, subject.rate))])


@pytest.mark.parametrize("transport", sorted({subject.transport for subject in SUBJECTS}))
@pytest.mark.parametrize(("code", "means"), CODES.items(), ids=CODES)
async def test_a_code_means_the_same_everywhere(code: str, means: tuple[grpc.StatusCode, str], transport: str) -> None:
    subjects = [subject for subject in SUBJECTS if subject.transport == transport]
    faults = (Fault(action=Fail(code=code, message="what the vendor says"), phase=Phase.SPEECH, audio_ms=500),)
    chosen = dict.fromkeys(BLANK_MODELS, transport)
    async with vendor_and_gateway(emulator={"faults": faults}, transports=chosen) as (_, _, stub):
        outcomes = await asyncio.gather(*(call(stub, subject) for subject in subjects))
    seen = {
        subject.model: (outcome.code, outcome.reason, outcome.upstream_code)
        for subject, outcome in zip(subjects, outcomes, strict=True)
    }
    assert seen == {subject.model: (*means, code) for subject in subjects}
