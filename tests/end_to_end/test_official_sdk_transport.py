"""Paraformer and Fun-ASR on the vendor's own SDK: the same calls, the same results, and no thread left behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from asrgateway.v1 import recognition_pb2 as pb
from calls import Outcome, RecognizeCall, Stub, audio, commit, config, in_messages, outcome_of, recognize
from dashscope_emulator import Fault
from dashscope_emulator.faults import (
    Close,
    Drop,
    Fail,
    Garbage,
    Garble,
    Phase,
    Refuse,
    Stall,
    Throttle,
)
from dashscope_emulator.recognizers.markers import marker_audio, silent_audio
from dashscope_emulator.recognizers.script import Script, say
from gateways import eventually, open_gateway
from on_sdk import ON_SDK, sdk_threads, vendor_and_gateway_on_sdk
from ports import free_port

# The SDK leaves the event loop it made, and its socket, to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

V2 = "paraformer-realtime-v2"
FUN_ASR = "fun-asr-realtime"
#: Marked audio: two sentences of five words of 300 ms, with a pause that closes the first.
SENTENCES = ("w0 w1 w2 w3 w4", "w5 w6 w7 w8 w9")
MARKED = marker_audio(0, 150) + silent_audio(150) + marker_audio(150, 150)
SPEECH = marker_audio(0, 150)
FAST = {"upstream_ready_timeout_seconds": 0.5, "upstream_stall_timeout_seconds": 0.5}

OK = grpc.StatusCode.OK
INVALID = grpc.StatusCode.INVALID_ARGUMENT
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
INTERNAL = grpc.StatusCode.INTERNAL


@pytest.fixture(autouse=True, scope="module")
def garbage() -> Iterator[None]:
    """What the SDK leaves lying about is collected here, not in somebody else's test."""
    yield
    gc.collect()


async def speak(stub: Stub, *, model: str = V2, data: bytes = MARKED, **options_set: object) -> Outcome:
    return await recognize(stub, [config(model=model, **options_set), *in_messages(data)])


# What a call tells ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [V2, FUN_ASR, "paraformer-realtime-v1"])
async def test_every_word_comes_in_order_and_at_its_time(model: str) -> None:
    wanted = pb.RecognitionFeatures(enable_word_time_offsets=True)
    async with vendor_and_gateway_on_sdk() as (vendor, _, stub):
        outcome = await speak(stub, model=model, features=wanted, interim_results=True)
        (task,) = vendor.journals
    assert (outcome.code, outcome.texts) == (OK, list(SENTENCES))
    starts = [word.start_offset.ToMilliseconds() for final in outcome.finals for word in final.words]
    assert starts == [0, 300, 600, 900, 1200, 3000, 3300, 3600, 3900, 4200]
    assert task.blocks == list(range(300))
    assert task.packets == len(MARKED) // 3200
    assert outcome.kinds == ["started", "result", "finished"]


async def test_it_is_the_sdk_that_the_vendor_sees() -> None:
    async with vendor_and_gateway_on_sdk() as (vendor, _, stub):
        await speak(stub)
        assert vendor.journals[0].headers["user-agent"].startswith("dashscope/2.0.2")


async def test_half_close_yields_the_last_words_and_the_vendors_bill() -> None:
    async with vendor_and_gateway_on_sdk() as (vendor, _, stub):
        outcome = await speak(stub, data=SPEECH)
        (task,) = vendor.journals
    assert (outcome.code, outcome.texts) == (OK, [SENTENCES[0]])
    assert outcome.finished.billed_duration.ToMilliseconds() == 2000
    assert outcome.responses[0].started.upstream_request_id == task.task_id
    assert list(outcome.finished.upstream_request_ids) == [task.task_id]
    assert task.outcome == "finished"


async def test_a_setting_for_a_model_goes_before_the_one_for_its_backend() -> None:
    chosen = {"paraformer": "official_sdk", V2: "websocket"}
    async with vendor_and_gateway_on_sdk(transports=chosen) as (vendor, _, stub):
        await speak(stub, model=V2)
        await speak(stub, model="paraformer-realtime-v1")
        agents = [task.headers["user-agent"].partition("/")[0] for task in vendor.journals]
    assert agents == ["Python", "dashscope"]


async def test_options_hot_words_and_context_reach_the_vendor() -> None:
    said = pb.ContextMessage(role=pb.CONTEXT_ROLE_USER, text="a door")
    async with vendor_and_gateway_on_sdk() as (vendor, _, stub):
        await speak(stub, model=FUN_ASR, language_codes=["en"], adaptation=pb.SpeechAdaptation(context_messages=[said]))
        await speak(stub, model="paraformer-realtime-v1", adaptation=pb.SpeechAdaptation(vocabulary_id="ph-1"))
        fun_asr, first_generation = vendor.journals
    assert fun_asr.parameters["language_hints"] == ["en"]
    assert fun_asr.contexts == [[{"role": "user", "content": [{"type": "input_text", "text": "a door"}]}]]
    assert first_generation.resources == [{"resource_id": "ph-1", "resource_type": "asr_phrase"}]


async def test_an_update_replaces_the_context() -> None:
    later = pb.RecognizeRequest(
        update=pb.ConfigUpdate(
            adaptation=pb.SpeechAdaptation(
                context_messages=[pb.ContextMessage(role=pb.CONTEXT_ROLE_USER, text="a window")]
            )
        )
    )
    async with vendor_and_gateway_on_sdk() as (vendor, _, stub):
        outcome = await recognize(
            stub, [config(model=FUN_ASR), *in_messages(MARKED[:48_000]), later, *in_messages(MARKED[48_000:])]
        )
        (task,) = vendor.journals
    assert (outcome.code, outcome.texts) == (OK, list(SENTENCES))
    assert task.contexts == [[{"role": "user", "content": [{"type": "input_text", "text": "a window"}]}]]


async def test_a_commit_closes_the_open_sentence_and_time_goes_on() -> None:
    first, rest = MARKED[:48_000], MARKED[48_000:]
    async with vendor_and_gateway_on_sdk() as (vendor, _, stub):
        outcome = await recognize(stub, [config(model=V2), *in_messages(first), commit(), *in_messages(rest)])
        tasks = list(vendor.journals)
    assert [(final.transcript, final.forced) for final in outcome.finals] == [
        (SENTENCES[0], True),
        (SENTENCES[1], False),
    ]
    assert outcome.finals[1].start_offset.ToMilliseconds() == 3000
    assert [number for task in tasks for number in task.blocks] == list(range(300))
    assert [task.outcome for task in tasks] == ["finished", "finished"]
    assert list(outcome.finished.upstream_request_ids) == [task.task_id for task in tasks]


async def test_silence_in_the_clients_place_keeps_a_call_alive() -> None:
    quiet = pb.KeepAliveConfig(policy=pb.KEEP_ALIVE_POLICY_INJECT)
    quiet.quiet_after.FromMilliseconds(100)
    scaled = {"time_scale": 15.0}  # The vendor's 23 s are 1.5 s here, and the pause is longer.
    async with vendor_and_gateway_on_sdk(emulator=scaled) as (vendor, _, stub):
        call = stub.Recognize(timeout=60)
        await call.write(config(model=V2, keep_alive=quiet))
        for message in in_messages(SPEECH):
            await call.write(message)
            await asyncio.sleep(0.1)
        await eventually(lambda: bool(vendor.journals and vendor.journals[0].audio_ms >= 4000))
        await call.write(audio(marker_audio(150, 150)))
        await call.done_writing()
        outcome = await outcome_of(call)
    assert (outcome.code, outcome.texts) == (OK, list(SENTENCES))
    assert outcome.finals[1].start_offset.ToMilliseconds() == 1500


async def test_without_keep_alive_it_is_the_vendors_limit_that_ends_the_call() -> None:
    """The SDK's own limit would end it as if all were well; and it would learn of the vendor's with the next audio."""
    off = pb.KeepAliveConfig(policy=pb.KEEP_ALIVE_POLICY_OFF)
    async with vendor_and_gateway_on_sdk(emulator={"time_scale": 100.0}) as (_, _, stub):
        call = stub.Recognize(timeout=60)
        await call.write(config(model=V2, keep_alive=off))
        await call.write(audio(SPEECH))
        outcome = await outcome_of(call)
    assert (outcome.code, outcome.upstream_code) == (UNAVAILABLE, "CLIENT_ERROR")


async def test_twenty_calls_lose_repeat_and_confuse_nothing() -> None:
    async with vendor_and_gateway_on_sdk() as (vendor, _, stub):
        outcomes = await asyncio.gather(*(speak(stub) for _ in range(20)))
        assert [task.blocks for task in vendor.journals] == [list(range(300))] * 20
        assert [task.damaged_bytes for task in vendor.journals] == [0] * 20
    assert [(outcome.code, outcome.texts) for outcome in outcomes] == [(OK, list(SENTENCES))] * 20
    assert len({outcome.finished.upstream_request_ids[0] for outcome in outcomes}) == 20


async def test_results_come_while_the_client_is_quiet() -> None:
    """Left to itself the SDK reads a result once it has audio to send."""
    script = Script(lines=(say(200, "hello"),), delay_ms=300)
    async with vendor_and_gateway_on_sdk(emulator={"recognizer": "script", "script": script}) as (_, _, stub):
        call = stub.Recognize(timeout=60)
        off = pb.KeepAliveConfig(policy=pb.KEEP_ALIVE_POLICY_OFF)
        await call.write(config(model=V2, interim_results=True, keep_alive=off))
        await call.write(audio(bytes(9600)))
        responses = [await call.read(), await call.read()]
        call.cancel()
    assert isinstance(responses[1], pb.RecognizeResponse)
    assert responses[1].result.transcript == "hello"


# How a call ends too early -------------------------------------------------------------------------------------


async def begun(stub: Stub) -> RecognizeCall:
    """A call whose task has started."""
    call = stub.Recognize(timeout=60)
    await call.write(config(model=V2, interim_results=True))
    response = await call.read()
    assert isinstance(response, pb.RecognizeResponse)
    assert response.HasField("started")
    return call


async def test_a_cancel_ends_the_connection_and_every_thread_within_a_second() -> None:
    async with vendor_and_gateway_on_sdk() as (vendor, _, stub):
        call = await begun(stub)
        await call.write(audio(SPEECH))
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
async def test_a_cancel_ends_threads_that_wait_for_the_vendor(fault: Fault) -> None:
    async with vendor_and_gateway_on_sdk(emulator={"faults": (fault,)}) as (vendor, _, stub):
        call = stub.Recognize(timeout=60)
        await call.write(config(model=V2))
        await call.write(audio(SPEECH))
        await call.done_writing()
        await eventually(lambda: len(sdk_threads()) >= 2)
        call.cancel()
        await eventually(lambda: vendor.open_connections == 0 and sdk_threads() == [])


IN_SPEECH: dict[str, Any] = {"phase": Phase.SPEECH, "audio_ms": 500}
#: What the vendor does, and what the caller is told. `lost`: on a WebSocket there is a code, the SDK drops it.
FAULTS: dict[str, tuple[Fault, grpc.StatusCode, str]] = {
    "handshake 401": (Fault(action=Refuse(status=401), phase=Phase.HANDSHAKE), PRECONDITION, "HTTP 401"),
    "handshake 403": (Fault(action=Refuse(status=403), phase=Phase.HANDSHAKE), PRECONDITION, "HTTP 403"),
    "handshake 429": (Fault(action=Refuse(status=429), phase=Phase.HANDSHAKE), EXHAUSTED, "HTTP 429"),
    "handshake 503": (Fault(action=Refuse(status=503), phase=Phase.HANDSHAKE), UNAVAILABLE, "HTTP 503"),
    "handshake garbage": (Fault(action=Refuse(status=200, body="?"), phase=Phase.HANDSHAKE), UNAVAILABLE, "HTTP 200"),
    "handshake drop": (Fault(action=Drop(), phase=Phase.HANDSHAKE), UNAVAILABLE, ""),
    "handshake silence": (Fault(action=Stall(), phase=Phase.HANDSHAKE), UNAVAILABLE, ""),
    "start silence": (Fault(action=Stall(), phase=Phase.START), UNAVAILABLE, ""),
    "start drop": (Fault(action=Drop(), phase=Phase.START), UNAVAILABLE, ""),
    "start close, lost": (Fault(action=Close(code=1011), phase=Phase.START), UNAVAILABLE, ""),
    "start 1007, lost": (Fault(action=Close(code=1007), phase=Phase.START), UNAVAILABLE, ""),
    "start model": (Fault(action=Fail(code="ModelNotFound"), phase=Phase.START), PRECONDITION, "ModelNotFound"),
    "start throttled": (Fault(action=Throttle(), phase=Phase.START), EXHAUSTED, "Throttling.RateQuota"),
    "speech drop": (Fault(action=Drop(), **IN_SPEECH), UNAVAILABLE, ""),
    "speech close, lost": (Fault(action=Close(code=1011), **IN_SPEECH), UNAVAILABLE, ""),
    "speech clean close, lost": (Fault(action=Close(code=1000), **IN_SPEECH), UNAVAILABLE, ""),
    "speech key": (Fault(action=Fail(code="InvalidApiKey"), **IN_SPEECH), PRECONDITION, "InvalidApiKey"),
    "speech throttling": (Fault(action=Fail(code="Throttling"), **IN_SPEECH), EXHAUSTED, "Throttling"),
    "speech parameter": (Fault(action=Fail(code="InvalidParameter"), **IN_SPEECH), PRECONDITION, "InvalidParameter"),
    "speech audio": (Fault(action=Fail(code="NO_VALID_AUDIO_ERROR"), **IN_SPEECH), INVALID, "NO_VALID_AUDIO_ERROR"),
    "speech internal": (Fault(action=Fail(code="InternalError.Algo"), **IN_SPEECH), UNAVAILABLE, "InternalError.Algo"),
    "speech broken JSON": (Fault(action=Garble(kind=Garbage.BROKEN_JSON), **IN_SPEECH), INTERNAL, ""),
    "speech binary": (Fault(action=Garble(kind=Garbage.BINARY), **IN_SPEECH), INTERNAL, ""),
    "speech 10 MB": (Fault(action=Garble(kind=Garbage.HUGE), **IN_SPEECH), INTERNAL, ""),
    "speech unknown event": (Fault(action=Garble(kind=Garbage.UNKNOWN_EVENT), **IN_SPEECH), INTERNAL, ""),
    "finish silence": (Fault(action=Stall(), phase=Phase.FINISH), UNAVAILABLE, ""),
    "finish drop": (Fault(action=Drop(), phase=Phase.FINISH), UNAVAILABLE, ""),
    "finish clean close": (Fault(action=Close(code=1000), phase=Phase.FINISH), UNAVAILABLE, ""),
}


@pytest.mark.parametrize(("fault", "code", "upstream_code"), FAULTS.values(), ids=FAULTS.keys())
async def test_a_fault_of_the_vendor(fault: Fault, code: grpc.StatusCode, upstream_code: str) -> None:
    async with vendor_and_gateway_on_sdk(emulator={"faults": (fault,)}, **FAST) as (vendor, _, stub):
        outcome = await speak(stub, data=SPEECH)
        await eventually(lambda: vendor.open_connections == 0)
    assert (outcome.code, outcome.upstream_code) == (code, upstream_code)
    assert outcome.message
    assert "finished" not in outcome.kinds


async def test_a_failed_task_is_named() -> None:
    fault = Fault(action=Fail(code="InternalError"), **IN_SPEECH)
    async with vendor_and_gateway_on_sdk(emulator={"faults": (fault,)}) as (vendor, _, stub):
        outcome = await speak(stub, data=SPEECH)
        assert outcome.upstream_request_id == vendor.journals[0].task_id


async def test_a_wrong_key_is_the_operators_to_mend_and_stays_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    wrong = {"dashscope_api_key": "sk-wrong"}
    async with vendor_and_gateway_on_sdk(emulator={"api_key": "sk-right"}, **wrong) as (_, _, stub):
        outcome = await speak(stub)
    assert (outcome.code, outcome.reason) == (PRECONDITION, "UPSTREAM_REFUSED")
    assert "sk-wrong" not in outcome.message + caplog.text


async def test_a_vendor_that_is_not_there_is_unavailable() -> None:
    elsewhere = {"dashscope_url": f"ws://127.0.0.1:{free_port()}", "dashscope_api_key": "k", "embedded_workers": 0}
    async with open_gateway(**elsewhere, transports=ON_SDK) as (_, stub):
        outcome = await speak(stub)
    assert (outcome.code, outcome.reason) == (UNAVAILABLE, "UPSTREAM_UNAVAILABLE")


@pytest.mark.parametrize("name", ["base_address", "headers", "api_key", "workspace", "phrase_id", "link"])
async def test_what_the_sdk_takes_for_itself_is_not_the_callers_to_give(name: str) -> None:
    async with vendor_and_gateway_on_sdk() as (vendor, _, stub):
        call = config(model=V2)
        call.streaming_config.vendor_parameters[name] = "ws://127.0.0.1:1"
        outcome = await recognize(stub, [call, *in_messages(SPEECH)])
        assert len(vendor.journals) == 0
    assert (outcome.code, outcome.field) == (INVALID, "streaming_config.vendor_parameters")
