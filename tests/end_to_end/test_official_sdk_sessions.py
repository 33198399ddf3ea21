"""Qwen3-ASR on the vendor's own SDK: the same calls, the same results, and no thread left behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from asrgateway.v1 import recognition_pb2 as pb
from calls import Outcome, RecognizeCall, Stub, audio, commit, config, in_messages, recognize
from dashscope_emulator import Fault
from dashscope_emulator.faults import Close, Drop, Fail, Garbage, Garble, Phase, Refuse, Stall
from dashscope_emulator.recognizers.markers import marker_audio, silent_audio
from gateways import eventually, open_gateway
from on_sdk import ON_SDK, sdk_threads, vendor_and_gateway_on_sdk
from ports import free_port

# The SDK leaves its socket to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

MODEL = "qwen3-asr-flash-realtime"
MANUAL = pb.EndpointingConfig(manual=pb.ManualEndpointing())
#: Marked audio: two sentences of five words of 300 ms, with a pause that closes the first.
SENTENCES = ("w0 w1 w2 w3 w4", "w5 w6 w7 w8 w9")
FIRST, SECOND = marker_audio(0, 150), marker_audio(150, 150)
MARKED = FIRST + silent_audio(150) + SECOND
FAST = {"upstream_ready_timeout_seconds": 0.5, "upstream_stall_timeout_seconds": 0.5}

OK = grpc.StatusCode.OK
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
INTERNAL = grpc.StatusCode.INTERNAL


@pytest.fixture(autouse=True, scope="module")
def garbage() -> Iterator[None]:
    """What the SDK leaves lying about is collected here, not in somebody else's test."""
    yield
    gc.collect()


async def speak(stub: Stub, *parts: bytes | pb.RecognizeRequest, **options_set: object) -> Outcome:
    """Send audio and other requests in their order."""
    requests = [config(model=MODEL, **options_set)]
    for part in parts:
        requests += in_messages(part) if isinstance(part, bytes) else [part]
    return await recognize(stub, requests)


def told(outcome: Outcome) -> list[tuple[str, bool]]:
    return [(final.transcript, final.forced) for final in outcome.finals]


# What a call tells ---------------------------------------------------------------------------------------------


async def test_a_call_is_one_session_from_its_name_to_its_last_word() -> None:
    async with vendor_and_gateway_on_sdk() as (vendor, _, stub):
        outcome = await speak(stub, MARKED)
        (session,) = vendor.journals
    assert (outcome.code, outcome.texts) == (OK, list(SENTENCES))
    assert [final.start_offset.ToMilliseconds() for final in outcome.finals] == [0, 3000]
    assert session.blocks == list(range(300))
    assert session.model == MODEL
    assert session.outcome == "finished"
    assert session.headers["user-agent"].startswith("dashscope/2.0.2")
    assert list(outcome.finished.upstream_request_ids) == [session.task_id]


async def test_the_session_is_what_the_adapter_asks_for_and_nothing_else() -> None:
    adaptation = pb.SpeechAdaptation(context="astronomy")
    async with vendor_and_gateway_on_sdk() as (vendor, _, stub):
        await speak(stub, FIRST, adaptation=adaptation, language_codes=["en"])
        (session,) = vendor.journals
    assert session.parameters == {
        "modalities": ["text"],
        "input_audio_format": "pcm",
        "sample_rate": 16000,
        "turn_detection": {"type": "server_vad"},
        "input_audio_transcription": {"language": "en", "corpus": {"text": "astronomy"}},
    }


@pytest.mark.parametrize("endpointing", [None, MANUAL], ids=["vad", "manual"])
async def test_a_commit_closes_the_open_utterance(endpointing: pb.EndpointingConfig | None) -> None:
    async with vendor_and_gateway_on_sdk() as (vendor, _, stub):
        outcome = await speak(stub, FIRST, commit(), SECOND, commit(), endpointing=endpointing)
        (session,) = vendor.journals
    assert (outcome.code, told(outcome)) == (OK, [(SENTENCES[0], True), (SENTENCES[1], True)])
    assert session.blocks == list(range(300))


async def test_an_update_is_acknowledged() -> None:
    update = pb.RecognizeRequest(update=pb.ConfigUpdate(adaptation=pb.SpeechAdaptation(context="stars")))
    async with vendor_and_gateway_on_sdk() as (vendor, _, stub):
        outcome = await speak(stub, FIRST, update, SECOND)
        (session,) = vendor.journals
    assert session.parameters["input_audio_transcription"] == {"corpus": {"text": "stars"}}
    events = [response.stream_event.event_type for response in outcome.responses if response.HasField("stream_event")]
    assert events == [pb.STREAM_EVENT_TYPE_UPDATE_APPLIED]


async def test_twenty_calls_lose_repeat_and_confuse_nothing() -> None:
    async with vendor_and_gateway_on_sdk() as (vendor, _, stub):
        outcomes = await asyncio.gather(*(speak(stub, MARKED) for _ in range(20)))
        assert [session.blocks for session in vendor.journals] == [list(range(300))] * 20
        assert [session.damaged_bytes for session in vendor.journals] == [0] * 20
    assert [(outcome.code, outcome.texts) for outcome in outcomes] == [(OK, list(SENTENCES))] * 20
    assert len({outcome.finished.upstream_request_ids[0] for outcome in outcomes}) == 20


# How a call ends too early -------------------------------------------------------------------------------------


async def begun(stub: Stub) -> RecognizeCall:
    """A call whose session has started."""
    call = stub.Recognize(timeout=60)
    await call.write(config(model=MODEL))
    response = await call.read()
    assert isinstance(response, pb.RecognizeResponse)
    assert response.HasField("started")
    return call


async def test_a_cancel_ends_the_connection_and_the_thread_within_a_second() -> None:
    async with vendor_and_gateway_on_sdk() as (vendor, _, stub):
        call = await begun(stub)
        await call.write(audio(FIRST))
        assert vendor.open_connections == 1
        assert sdk_threads() != []
        call.cancel()
        await eventually(lambda: vendor.open_connections == 0 and sdk_threads() == [])


STUCK = {
    "handshake": Fault(action=Stall(), phase=Phase.HANDSHAKE),
    "start": Fault(action=Stall(), phase=Phase.START),
    "finish": Fault(action=Stall(), phase=Phase.FINISH),
}


@pytest.mark.parametrize("fault", STUCK.values(), ids=STUCK.keys())
async def test_a_cancel_ends_a_thread_that_waits_for_the_vendor(fault: Fault) -> None:
    async with vendor_and_gateway_on_sdk(emulator={"faults": (fault,)}) as (vendor, _, stub):
        call = stub.Recognize(timeout=60)
        await call.write(config(model=MODEL))
        await call.write(audio(FIRST))
        await call.done_writing()
        await eventually(lambda: sdk_threads() != [])
        call.cancel()
        await eventually(lambda: vendor.open_connections == 0 and sdk_threads() == [])


IN_SPEECH: dict[str, Any] = {"phase": Phase.SPEECH, "audio_ms": 500}
#: What the vendor does, and what the caller is told. None: the code is lost when audio is on its way to the vendor.
FAULTS: dict[str, tuple[Fault, grpc.StatusCode, str | None]] = {
    "handshake 401": (Fault(action=Refuse(status=401), phase=Phase.HANDSHAKE), PRECONDITION, "HTTP 401"),
    "handshake 403": (Fault(action=Refuse(status=403), phase=Phase.HANDSHAKE), PRECONDITION, "HTTP 403"),
    "handshake 429": (Fault(action=Refuse(status=429), phase=Phase.HANDSHAKE), EXHAUSTED, "HTTP 429"),
    "handshake 503": (Fault(action=Refuse(status=503), phase=Phase.HANDSHAKE), UNAVAILABLE, "HTTP 503"),
    "handshake garbage": (Fault(action=Refuse(status=200, body="?"), phase=Phase.HANDSHAKE), UNAVAILABLE, "HTTP 200"),
    "handshake drop": (Fault(action=Drop(), phase=Phase.HANDSHAKE), UNAVAILABLE, ""),
    "handshake silence": (Fault(action=Stall(), phase=Phase.HANDSHAKE), UNAVAILABLE, ""),
    "start silence": (Fault(action=Stall(), phase=Phase.START), UNAVAILABLE, ""),
    "start drop": (Fault(action=Drop(), phase=Phase.START), UNAVAILABLE, ""),
    "start close": (Fault(action=Close(code=1011), phase=Phase.START), UNAVAILABLE, "close 1011"),
    "start model": (Fault(action=Close(code=1007), phase=Phase.START), PRECONDITION, "close 1007"),
    "speech drop": (Fault(action=Drop(), **IN_SPEECH), UNAVAILABLE, ""),
    "speech close": (Fault(action=Close(code=1011), **IN_SPEECH), UNAVAILABLE, None),
    "speech clean close": (Fault(action=Close(code=1000), **IN_SPEECH), UNAVAILABLE, None),
    "speech internal": (Fault(action=Fail(code="InternalError"), **IN_SPEECH), UNAVAILABLE, "InternalError"),
    "speech broken JSON": (Fault(action=Garble(kind=Garbage.BROKEN_JSON), **IN_SPEECH), INTERNAL, ""),
    "finish silence": (Fault(action=Stall(), phase=Phase.FINISH), UNAVAILABLE, ""),
    "finish drop": (Fault(action=Drop(), phase=Phase.FINISH), UNAVAILABLE, ""),
    "finish clean close": (Fault(action=Close(code=1000), phase=Phase.FINISH), UNAVAILABLE, "close 1000"),
}


@pytest.mark.parametrize(("fault", "code", "upstream_code"), FAULTS.values(), ids=FAULTS.keys())
async def test_a_fault_of_the_vendor(fault: Fault, code: grpc.StatusCode, upstream_code: str | None) -> None:
    async with vendor_and_gateway_on_sdk(emulator={"faults": (fault,)}, **FAST) as (vendor, _, stub):
        outcome = await speak(stub, FIRST)
        await eventually(lambda: vendor.open_connections == 0)
    assert outcome.code is code
    assert upstream_code is None or outcome.upstream_code == upstream_code
    assert outcome.message
    assert "finished" not in outcome.kinds


@pytest.mark.parametrize("kind", [Garbage.BINARY, Garbage.UNKNOWN_EVENT])
async def test_what_the_sdk_or_the_adapter_passes_over(kind: Garbage) -> None:
    """It is the SDK that drops binary messages."""
    strange = Fault(action=Garble(kind=kind), **IN_SPEECH)
    async with vendor_and_gateway_on_sdk(emulator={"faults": (strange,)}) as (_, _, stub):
        outcome = await speak(stub, FIRST)
    assert (outcome.code, outcome.texts) == (OK, [SENTENCES[0]])


async def test_a_wrong_key_is_the_operators_to_mend_and_stays_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    """The SDK itself would lose the status, and say after 5 s that it could not connect."""
    wrong = {"dashscope_api_key": "sk-wrong"}
    async with vendor_and_gateway_on_sdk(emulator={"api_key": "sk-right"}, **wrong) as (_, _, stub):
        async with asyncio.timeout(60):
            outcome = await speak(stub, FIRST)
    assert (outcome.code, outcome.reason, outcome.upstream_code) == (PRECONDITION, "UPSTREAM_REFUSED", "HTTP 401")
    assert "sk-wrong" not in outcome.message + caplog.text


async def test_a_vendor_that_is_not_there_is_unavailable() -> None:
    elsewhere = {"dashscope_url": f"ws://127.0.0.1:{free_port()}", "dashscope_api_key": "k", "embedded_workers": 0}
    async with open_gateway(**elsewhere, transports=ON_SDK) as (_, stub):
        outcome = await speak(stub, FIRST)
    assert (outcome.code, outcome.reason) == (UNAVAILABLE, "UPSTREAM_UNAVAILABLE")
