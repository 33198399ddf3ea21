"""Whatever the vendor does, the caller gets the right status and a sentence, and nothing hangs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from aiohttp import WSMsgType, web

import messages
from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.lifecycle import Gateway
from calls import Outcome, RecognizeCall, Stub, audio, commit, config, in_messages, outcome_of, recognize
from dashscope_emulator import Emulator, EmulatorOptions, Fault, running_emulator
from dashscope_emulator.faults import (
    Action,
    Close,
    Drop,
    Duplicate,
    Fail,
    Garbage,
    Garble,
    Phase,
    Refuse,
    Stall,
    Throttle,
)
from dashscope_emulator.recognizers.markers import marker_audio
from emulated_vendor import on_either_transport, reaching, task_vendor
from gateways import eventually, open_gateway
from ports import free_port

V2 = "paraformer-realtime-v2"
SPEECH = marker_audio(0, 150)
WORDS = "w0 w1 w2 w3 w4"
FAST = {"upstream_ready_timeout_seconds": 0.3, "upstream_stall_timeout_seconds": 0.3}

INVALID = grpc.StatusCode.INVALID_ARGUMENT
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
INTERNAL = grpc.StatusCode.INTERNAL


def fault(action: Action, **where: Any) -> Fault:
    return Fault(action=action, **where)


@asynccontextmanager
async def faulty_vendor(*faults: Fault, **settings: Any) -> AsyncIterator[tuple[Emulator, Gateway, Stub]]:
    """An emulator with these faults, and a gateway that takes it for the vendor."""
    values = {"dashscope_api_key": "sk-test", "embedded_workers": 0, "backlog_speed": 1000.0} | FAST | settings
    options = EmulatorOptions(recognizer="markers", faults=faults)
    async with running_emulator(options) as vendor, open_gateway(dashscope_url=vendor.url, **values) as (gateway, stub):
        yield vendor, gateway, stub


async def call(stub: Stub) -> Outcome:
    return await recognize(stub, [config(model=V2), *in_messages(SPEECH)], timeout=60)


MANUAL = {"endpointing": pb.EndpointingConfig(manual=pb.ManualEndpointing())}


@pytest.mark.parametrize(
    ("model", "options_set"),
    [(V2, {}), ("fun-asr-realtime", {}), ("qwen3-asr-flash-realtime", {}), ("qwen3-asr-flash-realtime", MANUAL)],
    ids=["paraformer", "fun-asr", "qwen3", "qwen3 manual"],
)
async def test_what_the_vendor_says_twice_is_told_once(model: str, options_set: dict[str, Any]) -> None:
    """Three sentences, each closed by a commit, and an end in silence."""
    parts = [part for number in range(3) for part in (*in_messages(marker_audio(150 * number, 150)), commit())]
    async with faulty_vendor(fault(Duplicate(count=1000), packets=1)) as (_, _, stub):
        outcome = await recognize(stub, [config(model=model, interim_results=True, **options_set), *parts], timeout=60)
    assert outcome.code is grpc.StatusCode.OK
    assert outcome.texts == [" ".join(f"w{word}" for word in range(first, first + 5)) for first in (0, 5, 10)]
    answers = [final.forced for final in outcome.finals] + [
        response.stream_event.event_type == pb.STREAM_EVENT_TYPE_COMMIT_EMPTY
        for response in outcome.responses
        if response.HasField("stream_event")
    ]
    assert answers == [True] * 3
    assert [final.result_index for final in outcome.finals] == [0, 1, 2]
    offsets = [final.start_offset.ToMilliseconds() for final in outcome.finals]
    assert offsets == sorted(offsets)


HANDSHAKE: dict[str, tuple[Action, grpc.StatusCode, str]] = {
    "401": (Refuse(status=401), PRECONDITION, "HTTP 401"),
    "403": (Refuse(status=403), PRECONDITION, "HTTP 403"),
    "429": (Refuse(status=429), EXHAUSTED, "HTTP 429"),
    "503": (Refuse(status=503), UNAVAILABLE, "HTTP 503"),
    "garbage": (Refuse(status=200, body="<html>not what you think</html>"), UNAVAILABLE, "HTTP 200"),
    "drop": (Drop(), UNAVAILABLE, ""),
    "silence": (Stall(), UNAVAILABLE, ""),
}


@pytest.mark.parametrize(("action", "code", "upstream_code"), HANDSHAKE.values(), ids=HANDSHAKE.keys())
async def test_a_refused_handshake(action: Action, code: grpc.StatusCode, upstream_code: str) -> None:
    async with faulty_vendor(fault(action, phase=Phase.HANDSHAKE)) as (_, _, stub):
        outcome = await call(stub)
    assert (outcome.code, outcome.upstream_code) == (code, upstream_code)
    assert outcome.message


START: dict[str, tuple[Action, grpc.StatusCode, str]] = {
    "silence": (Stall(), UNAVAILABLE, "did not start the task"),
    "drop": (Drop(), UNAVAILABLE, "closed the connection"),
    "close": (Close(code=1011), UNAVAILABLE, "closed the connection"),
    "model not found": (Close(code=1007, reason="Model not found"), PRECONDITION, "does not know the model"),
    "task-failed": (Fail(code="ModelNotFound"), PRECONDITION, "does not offer this model"),
    "throttled": (Throttle(), EXHAUSTED, "rate of new tasks"),
}


@pytest.mark.parametrize(("action", "code", "says"), START.values(), ids=START.keys())
async def test_a_task_that_does_not_start(action: Action, code: grpc.StatusCode, says: str) -> None:
    async with faulty_vendor(fault(action, phase=Phase.START)) as (_, _, stub):
        outcome = await call(stub)
    assert outcome.code is code
    assert says in outcome.message
    assert outcome.kinds == []


SPEECH_FAULTS: dict[str, tuple[Action, grpc.StatusCode, str]] = {
    "drop": (Drop(), UNAVAILABLE, "UPSTREAM_UNAVAILABLE"),
    "close": (Close(code=1011), UNAVAILABLE, "UPSTREAM_UNAVAILABLE"),
    "clean close": (Close(code=1000), UNAVAILABLE, "UPSTREAM_UNAVAILABLE"),
    "key": (Fail(code="InvalidApiKey"), PRECONDITION, "UPSTREAM_REFUSED"),
    "throttling": (Fail(code="Throttling.RateQuota"), EXHAUSTED, "OVERLOADED"),
    "parameter": (Fail(code="InvalidParameter"), PRECONDITION, "UPSTREAM_REFUSED"),
    "audio": (Fail(code="NO_VALID_AUDIO_ERROR"), INVALID, "UNDECODABLE_AUDIO"),
    "no data": (
        Fail(code="CLIENT_ERROR", message="request timeout after 23 seconds."),
        UNAVAILABLE,
        "UPSTREAM_UNAVAILABLE",
    ),
    "internal": (Fail(code="InternalError"), UNAVAILABLE, "UPSTREAM_UNAVAILABLE"),
    "broken JSON": (Garble(kind=Garbage.BROKEN_JSON), INTERNAL, "UPSTREAM_PROTOCOL_ERROR"),
    "binary": (Garble(kind=Garbage.BINARY), INTERNAL, "UPSTREAM_PROTOCOL_ERROR"),
    "10 MB": (Garble(kind=Garbage.HUGE), INTERNAL, "UPSTREAM_PROTOCOL_ERROR"),
}


@pytest.mark.parametrize(("action", "code", "reason"), SPEECH_FAULTS.values(), ids=SPEECH_FAULTS.keys())
async def test_a_fault_in_mid_speech(action: Action, code: grpc.StatusCode, reason: str) -> None:
    async with faulty_vendor(fault(action, phase=Phase.SPEECH, audio_ms=500)) as (dashscope, _, stub):
        outcome = await call(stub)
        await eventually(lambda: dashscope.open_connections == 0)
    assert (outcome.code, outcome.reason) == (code, reason)
    assert outcome.message
    assert not outcome.responses[-1].HasField("finished")


async def test_what_the_vendor_called_the_fault_reaches_the_caller() -> None:
    broken = fault(Fail(code="InternalError.Algo"), phase=Phase.SPEECH, audio_ms=500)
    async with faulty_vendor(broken) as (dashscope, _, stub):
        outcome = await call(stub)
        assert outcome.upstream_code == "InternalError.Algo"
        assert outcome.upstream_request_id == dashscope.journals[0].task_id
        assert outcome.retry_seconds == 1.0


FINISH: dict[str, Action] = {"silence": Stall(), "drop": Drop(), "clean close": Close(code=1000)}


@pytest.mark.parametrize("action", FINISH.values(), ids=FINISH.keys())
async def test_an_end_that_is_not_confirmed_is_no_success(action: Action) -> None:
    async with faulty_vendor(fault(action, phase=Phase.FINISH)) as (_, _, stub):
        outcome = await call(stub)
    assert outcome.code is UNAVAILABLE
    assert outcome.texts == [WORDS]


async def test_an_unknown_event_is_passed_over() -> None:
    strange = fault(Garble(kind=Garbage.UNKNOWN_EVENT), phase=Phase.SPEECH, audio_ms=500)
    async with faulty_vendor(strange) as (_, _, stub):
        outcome = await call(stub)
    assert (outcome.code, outcome.texts) == (grpc.StatusCode.OK, [WORDS])


async def test_a_wrong_key_is_the_operators_to_mend() -> None:
    async with (
        running_emulator(EmulatorOptions(recognizer="markers", api_key="sk-right")) as vendor,
        open_gateway(dashscope_url=vendor.url, dashscope_api_key="sk-wrong", embedded_workers=0) as (_, stub),
    ):
        outcome = await call(stub)
    assert (outcome.code, outcome.reason) == (PRECONDITION, "UPSTREAM_REFUSED")
    assert "sk-wrong" not in outcome.message


async def test_a_vendor_that_is_not_there_is_unavailable() -> None:
    elsewhere = {"dashscope_url": f"ws://127.0.0.1:{free_port()}", "dashscope_api_key": "k", "embedded_workers": 0}
    async with open_gateway(**elsewhere) as (_, stub):
        outcome = await call(stub)
    assert (outcome.code, outcome.reason) == (UNAVAILABLE, "UPSTREAM_UNAVAILABLE")


async def begun(stub: Stub) -> RecognizeCall:
    """A call whose task has started."""
    open_call = stub.Recognize(timeout=60)
    await open_call.write(config(model=V2, interim_results=True))
    response = await open_call.read()
    assert isinstance(response, pb.RecognizeResponse)
    assert response.HasField("started")
    return open_call


async def test_a_cancel_closes_the_vendors_connection_within_a_second() -> None:
    async with faulty_vendor() as (dashscope, _, stub):
        open_call = await begun(stub)
        await open_call.write(audio(SPEECH))
        assert dashscope.open_connections == 1
        open_call.cancel()
        await eventually(lambda: dashscope.open_connections == 0)


# Slow on either side ---------------------------------------------------------------------------------------------


@on_either_transport
async def test_a_slow_vendor_slows_the_client(transport: str) -> None:
    """The client can send a second of audio, gRPC's own window of 64 KiB, and what is in hand on the way."""
    message = 3200
    in_hand = 4 * message  # Of the client's and the gateway's gRPC, of the reader, and of the task.
    released = asyncio.Event()

    async def read_nothing(request: web.Request, _: web.WebSocketResponse) -> None:
        assert isinstance(request.transport, asyncio.Transport)
        request.transport.pause_reading()
        await released.wait()

    async with (
        task_vendor(read_nothing) as url,
        open_gateway(**reaching(url, transport), backlog_speed=1000.0) as (_, stub),
    ):
        open_call = await begun(stub)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(0.3):
                    await open_call.write(audio(bytes(message)))
                sent += message
        open_call.cancel()
        released.set()
    assert sent <= 32_000 + 64 * 1024 + in_hand


@on_either_transport
async def test_a_slow_client_slows_the_vendor_and_loses_nothing(transport: str) -> None:
    """What a client does not read waits in the vendor, but for what the two kernels keep."""
    text = "x" * 2000
    total = 10_000

    sent = 0

    async def flood(_: web.Request, connection: web.WebSocketResponse) -> None:
        nonlocal sent
        while sent < total:
            await connection.send_str(messages.final(f"{sent} {text}", sent * 100, sent * 100 + 90))
            sent += 1
        while (await connection.receive()).type is not WSMsgType.TEXT:
            pass
        await connection.send_str(messages.finished())
        await connection.receive()

    async with (
        task_vendor(flood) as url,
        open_gateway(**reaching(url, transport)) as (_, stub),
    ):
        open_call = await begun(stub)
        await open_call.write(audio(SPEECH))
        await open_call.done_writing()
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < total
        outcome = await outcome_of(open_call)
    assert outcome.code is grpc.StatusCode.OK
    assert [final.transcript.split()[0] for final in outcome.finals] == [str(number) for number in range(total)]
