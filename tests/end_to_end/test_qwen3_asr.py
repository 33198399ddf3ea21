"""Qwen3-ASR through the gateway, against the emulator: real sockets on both sides."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from aiohttp import web
from google.protobuf.struct_pb2 import Struct

import session_messages
from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.vendors.dashscope.adapters.realtime_session import PATH
from calls import RECORDINGS, Outcome, Stub, audio, commit, config, cut_at_random, in_messages, pcm, recognize
from dashscope_emulator import Fault
from dashscope_emulator.faults import (
    Action,
    Close,
    Drop,
    Fail,
    FailItem,
    Garbage,
    Garble,
    Phase,
    Refuse,
    Stall,
)
from dashscope_emulator.knobs import Knobs
from dashscope_emulator.models import SESSION_MODELS
from dashscope_emulator.recognizers.markers import marker_audio, silent_audio
from emulated_vendor import vendor, vendor_and_gateway
from gateways import open_gateway

MODEL = "qwen3-asr-flash-realtime"
MANUAL = pb.EndpointingConfig(manual=pb.ManualEndpointing())

#: Marked audio: two sentences of five words of 300 ms, with a pause that closes the first.
SENTENCES = ("w0 w1 w2 w3 w4", "w5 w6 w7 w8 w9")
FIRST, SECOND = marker_audio(0, 150), marker_audio(150, 150)
MARKED = FIRST + silent_audio(150) + SECOND


def qwen3(**values: object) -> pb.RecognizeRequest:
    return config(model=MODEL, **values)


def update(context: str) -> pb.RecognizeRequest:
    return pb.RecognizeRequest(update=pb.ConfigUpdate(adaptation=pb.SpeechAdaptation(context=context)))


async def speak(stub: Stub, *parts: bytes | pb.RecognizeRequest, **values: object) -> Outcome:
    """Send audio and other requests in their order."""
    requests = [qwen3(**values)]
    for part in parts:
        requests += in_messages(part) if isinstance(part, bytes) else [part]
    return await recognize(stub, requests)


def told(outcome: Outcome) -> list[tuple[str, bool]]:
    return [(final.transcript, final.forced) for final in outcome.finals]


def stream_events(outcome: Outcome) -> list[int]:
    return [response.stream_event.event_type for response in outcome.responses if response.HasField("stream_event")]


def spans(outcome: Outcome) -> list[tuple[int, int]]:
    """Where each utterance begins and ends, in milliseconds."""
    return [(final.start_offset.ToMilliseconds(), final.end_offset.ToMilliseconds()) for final in outcome.finals]


async def test_real_speech_gives_the_words_of_the_embedded_model() -> None:
    async with vendor_and_gateway(emulator={"recognizer": "pocketsphinx"}) as (_, _, stub):
        outcome = await speak(stub, pcm(RECORDINGS / "mother.wav"))
    assert outcome.texts == ["please call my mother tomorrow morning"]


async def test_a_call_is_one_session_from_its_name_to_its_last_word() -> None:
    async with vendor_and_gateway() as (vendor, _, stub):
        outcome = await speak(stub, MARKED)
        session = vendor.journals[0]
    assert (outcome.code, outcome.texts) == (grpc.StatusCode.OK, list(SENTENCES))
    assert spans(outcome) == [(0, 1500), (3000, 4500)]
    assert session.blocks == list(range(300))
    assert session.outcome == "finished"
    assert outcome.responses[0].started.model == MODEL
    assert list(outcome.finished.upstream_request_ids) == [session.task_id]
    assert outcome.finished.estimated_cost_cny == pytest.approx(4.5 * 0.00033)


@pytest.mark.parametrize("model", sorted(SESSION_MODELS))
async def test_each_snapshot_is_asked_for_by_its_name(model: str) -> None:
    async with vendor_and_gateway() as (vendor, _, stub):
        outcome = await recognize(stub, [config(model=model), *in_messages(MARKED)])
        assert vendor.journals[0].model == model
    assert outcome.texts == list(SENTENCES)


@pytest.mark.parametrize(("rate", "heard"), [(8_000, 8_000), (16_000, 16_000), (48_000, 16_000)])
async def test_it_hears_8_and_16_khz(rate: int, heard: int) -> None:
    async with vendor_and_gateway() as (vendor, _, stub):
        outcome = await speak(
            stub, bytes(rate * 2), decoding_config=pb.DecodingConfig(sample_rate_hertz=rate), strict=True
        )
        assert vendor.journals[0].parameters["sample_rate"] == heard
        assert vendor.journals[0].audio_ms == 1000
    assert outcome.responses[0].started.sample_rate_hertz == heard


async def test_interim_results_part_what_is_promised_from_what_is_not() -> None:
    async with vendor_and_gateway() as (_, _, stub):
        outcome = await speak(stub, FIRST, interim_results=True)
    assert [(result.committed, result.unstable) for result in outcome.results] == [
        ("", "w0"),
        ("w0", " w1"),
        ("w0 w1", " w2"),
        ("w0 w1 w2", " w3"),
        ("w0 w1 w2 w3", " w4"),
        (SENTENCES[0], ""),
    ]


async def test_texts_that_come_after_the_end_of_speech_are_told_too() -> None:
    late = {"knobs": Knobs(session_text_after_item=True)}
    async with vendor_and_gateway(emulator=late) as (_, _, stub):
        outcome = await speak(stub, MARKED, interim_results=True)
    assert outcome.texts == list(SENTENCES)


async def test_the_bounds_of_speech_are_told() -> None:
    wanted = pb.RecognitionFeatures(enable_voice_activity_events=True)
    async with vendor_and_gateway() as (_, _, stub):
        outcome = await speak(stub, MARKED, features=wanted, strict=True)
    events = [response.speech_event for response in outcome.responses if response.HasField("speech_event")]
    assert [(event.event_type, event.offset.ToMilliseconds()) for event in events] == [
        (pb.SPEECH_EVENT_TYPE_BEGIN, 0),
        (pb.SPEECH_EVENT_TYPE_END, 1500),
        (pb.SPEECH_EVENT_TYPE_BEGIN, 3000),
        (pb.SPEECH_EVENT_TYPE_END, 4500),
    ]


@pytest.mark.parametrize(("is_wanted", "labels"), [(True, ["neutral", "neutral"]), (False, ["", ""])])
async def test_emotion_is_told_to_those_who_ask(is_wanted: bool, labels: list[str]) -> None:
    wanted = pb.RecognitionFeatures(enable_emotion=is_wanted)
    async with vendor_and_gateway() as (_, _, stub):
        outcome = await speak(stub, MARKED, features=wanted, strict=True)
    assert [final.emotion.label for final in outcome.finals] == labels


async def test_all_that_a_caller_chooses_reaches_the_session() -> None:
    vad = pb.ServerVad(threshold=0.2)
    vad.silence.FromMilliseconds(500)
    async with vendor_and_gateway() as (vendor, _, stub):
        outcome = await speak(
            stub,
            MARKED,
            strict=True,
            language_codes=["ja-JP"],
            endpointing=pb.EndpointingConfig(server_vad=vad),
            adaptation=pb.SpeechAdaptation(context="birds", hotwords=[pb.Hotword(text="Kestrel")]),
        )
        session = vendor.journals[0].parameters
    assert outcome.code is grpc.StatusCode.OK
    assert session["turn_detection"] == {"type": "server_vad", "threshold": 0.2, "silence_duration_ms": 500}
    assert session["input_audio_transcription"] == {"language": "ja", "corpus": {"text": "birds\nKestrel"}}


async def test_an_update_is_in_force_once_the_vendor_says_so() -> None:
    async with vendor_and_gateway() as (vendor, _, stub):
        outcome = await speak(stub, FIRST, update("stars"), silent_audio(150) + SECOND)
        assert vendor.journals[0].parameters["input_audio_transcription"] == {"corpus": {"text": "stars"}}
    assert stream_events(outcome) == [pb.STREAM_EVENT_TYPE_UPDATE_APPLIED]
    assert outcome.texts == list(SENTENCES)


async def test_an_update_takes_the_words_away() -> None:
    nothing = pb.RecognizeRequest(update=pb.ConfigUpdate())
    birds = pb.SpeechAdaptation(context="birds")
    async with vendor_and_gateway() as (vendor, _, stub):
        outcome = await speak(stub, FIRST, nothing, silent_audio(150) + SECOND, adaptation=birds)
        assert vendor.journals[0].parameters["input_audio_transcription"] == {"corpus": {"text": ""}}
    assert stream_events(outcome) == [pb.STREAM_EVENT_TYPE_UPDATE_APPLIED]
    assert outcome.texts == list(SENTENCES)


async def test_an_update_that_the_vendor_refuses_breaks_nothing() -> None:
    async with vendor_and_gateway(emulator={"knobs": Knobs(session_updates="error")}) as (_, _, stub):
        outcome = await speak(stub, FIRST, update("stars"), silent_audio(150) + SECOND)
    assert (outcome.code, stream_events(outcome)) == (grpc.StatusCode.OK, [])
    assert outcome.texts == list(SENTENCES)


# Commits ----------------------------------------------------------------------------------------------------------

#: Whether the vendor takes settings in mid-session is unknown; it must not matter.
UPDATES = pytest.mark.parametrize("updates", ["accept", "error"])


@UPDATES
async def test_a_commit_closes_the_open_utterance_and_moves_no_time(updates: Any) -> None:
    async with vendor_and_gateway(emulator={"knobs": Knobs(session_updates=updates)}) as (vendor, _, stub):
        outcome = await speak(stub, FIRST, commit(), SECOND)
        assert vendor.journals[0].blocks == list(range(300))
    assert told(outcome) == [(SENTENCES[0], True), (SENTENCES[1], False)]
    assert spans(outcome) == [(0, 1500), (1500, 3000)]
    assert outcome.finished.audio_duration.ToMilliseconds() == 3000


@UPDATES
async def test_a_commit_in_silence_finds_nothing(updates: Any) -> None:
    async with vendor_and_gateway(emulator={"knobs": Knobs(session_updates=updates)}) as (_, _, stub):
        outcome = await speak(stub, FIRST + silent_audio(150), commit(), SECOND)
    assert told(outcome) == [(SENTENCES[0], False), (SENTENCES[1], False)]
    assert stream_events(outcome) == [pb.STREAM_EVENT_TYPE_COMMIT_EMPTY]
    assert spans(outcome) == [(0, 1500), (3000, 4500)]


async def test_each_of_many_commits_has_one_answer() -> None:
    parts = [part for word in range(10) for part in (marker_audio(30 * word, 30), commit(), commit())]
    async with vendor_and_gateway() as (vendor, _, stub):
        outcome = await speak(stub, *parts)
        assert vendor.journals[0].blocks == list(range(300))
    assert told(outcome) == [(f"w{word}", True) for word in range(10)]
    assert stream_events(outcome) == [pb.STREAM_EVENT_TYPE_COMMIT_EMPTY] * 10
    assert spans(outcome) == [(300 * word, 300 * word + 300) for word in range(10)]


async def test_an_utterance_without_end_is_closed_by_the_gateway() -> None:
    async with vendor_and_gateway(max_utterance_seconds=1.0) as (_, _, stub):
        outcome = await speak(stub, FIRST + SECOND, interim_results=True)
    assert outcome.finals[0].forced
    assert " ".join(outcome.texts) == " ".join(SENTENCES)
    assert stream_events(outcome) == []


# Manual mode ------------------------------------------------------------------------------------------------------


async def test_in_manual_mode_only_commits_and_the_end_make_utterances() -> None:
    async with vendor_and_gateway() as (vendor, _, stub):
        outcome = await speak(stub, MARKED, commit(), marker_audio(300, 60), strict=True, endpointing=MANUAL)
        assert vendor.journals[0].parameters["turn_detection"] is None
    assert told(outcome) == [(" ".join(SENTENCES), True), ("w10 w11", False)]
    assert not any(final.HasField("start_offset") for final in outcome.finals)


async def test_a_manual_commit_without_speech_finds_nothing() -> None:
    async with vendor_and_gateway() as (_, _, stub):
        outcome = await speak(
            stub, commit(), silent_audio(5), commit(), silent_audio(50), commit(), FIRST, endpointing=MANUAL
        )
    assert stream_events(outcome) == [pb.STREAM_EVENT_TYPE_COMMIT_EMPTY] * 3
    assert told(outcome) == [(SENTENCES[0], False)]


async def test_too_little_audio_at_the_end_is_no_fault() -> None:
    async with vendor_and_gateway() as (_, _, stub):
        outcome = await speak(stub, FIRST, commit(), silent_audio(5), endpointing=MANUAL)
    assert (outcome.code, told(outcome)) == (grpc.StatusCode.OK, [(SENTENCES[0], True)])


async def test_a_vendor_that_finishes_without_committing_loses_no_last_words() -> None:
    async with vendor_and_gateway(emulator={"knobs": Knobs(session_finish_commits=False)}) as (_, _, stub):
        outcome = await speak(stub, FIRST, endpointing=MANUAL)
    assert outcome.texts == [SENTENCES[0]]


# Faults -----------------------------------------------------------------------------------------------------------


def faulty(action: Action, **where: Any) -> dict[str, Any]:
    return {"faults": (Fault(action=action, **where),)}


FAST = {"upstream_ready_timeout_seconds": 0.3, "upstream_stall_timeout_seconds": 0.3}
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
INTERNAL = grpc.StatusCode.INTERNAL


async def test_an_item_that_failed_ends_empty_and_the_call_goes_on() -> None:
    broken = faulty(FailItem(), phase=Phase.SPEECH, audio_ms=100)
    async with vendor_and_gateway(emulator=broken) as (_, _, stub):
        outcome = await speak(stub, MARKED, interim_results=True)
    assert outcome.code is grpc.StatusCode.OK
    assert outcome.texts == ["w0 w1 w2 w3", SENTENCES[1]]


async def test_a_commit_whose_item_failed_has_its_answer() -> None:
    broken = faulty(FailItem(), phase=Phase.SPEECH, audio_ms=100)
    async with vendor_and_gateway(emulator=broken) as (_, _, stub):
        outcome = await speak(stub, FIRST, commit(), SECOND)
    assert told(outcome) == [("w0 w1 w2 w3", True), (SENTENCES[1], False)]


START: dict[str, tuple[dict[str, Any], grpc.StatusCode]] = {
    "401": (faulty(Refuse(status=401), phase=Phase.HANDSHAKE), PRECONDITION),
    "503": (faulty(Refuse(status=503), phase=Phase.HANDSHAKE), UNAVAILABLE),
    "silence": (faulty(Stall(), phase=Phase.START), UNAVAILABLE),
    "drop": (faulty(Drop(), phase=Phase.START), UNAVAILABLE),
    "model not found": (faulty(Close(code=1007, reason="Model not found"), phase=Phase.START), PRECONDITION),
    "throttled": (faulty(Fail(code="limit_requests"), phase=Phase.START), EXHAUSTED),
    "settings": (faulty(Fail(code="invalid_value"), phase=Phase.START), PRECONDITION),
}


@pytest.mark.parametrize(("emulator", "code"), START.values(), ids=START.keys())
async def test_a_session_that_does_not_start(emulator: dict[str, Any], code: grpc.StatusCode) -> None:
    async with vendor_and_gateway(emulator=emulator, **FAST) as (_, _, stub):
        outcome = await speak(stub, FIRST)
    assert outcome.code is code
    assert outcome.kinds == []


#: Set it to 300 to look for a race of the close frame with what the gateway says meanwhile: a minute.
UNKNOWN_MODELS = int(os.environ.get("UNKNOWN_MODELS", "40"))


@pytest.mark.parametrize("has_session", [False, True], ids=["at once", "after session.created"])
@pytest.mark.parametrize("is_patient", [True, False], ids=["waits", "cuts"])
async def test_a_model_that_the_vendor_does_not_know_is_the_operators_to_mend_every_time(
    *, has_session: bool, is_patient: bool
) -> None:
    """A vendor that does not stay for the answer to its close frame makes the answer fail, and with it what is read."""

    async def refuse(request: web.Request, connection: web.WebSocketResponse) -> None:
        if has_session:
            await connection.send_str(session_messages.created())
        if is_patient:
            await connection.close(code=1007)
        else:
            await connection._writer.close(1007)  # type: ignore[union-attr] # the frame alone
            assert request.transport
            request.transport.close()

    async with (
        vendor(PATH, refuse) as url,
        open_gateway(dashscope_url=url, dashscope_api_key="k", embedded_workers=0) as (_, stub),
    ):
        outcomes = []
        for _ in range(UNKNOWN_MODELS // 10):
            requests = [qwen3(), *in_messages(FIRST)]
            outcomes += await asyncio.gather(*(recognize(stub, requests) for _ in range(10)))
    ends = Counter((outcome.code, outcome.upstream_code) for outcome in outcomes)
    assert ends == {(PRECONDITION, "close 1007"): len(outcomes)}


async def test_settings_that_the_gateway_relies_on_are_not_the_callers_to_give() -> None:
    """In a session without VAD nothing would ever be heard: OK, and no result."""
    wrong = Struct()
    wrong.update({"turn_detection": None})
    async with vendor_and_gateway() as (vendor, _, stub):
        outcome = await speak(stub, FIRST, vendor_parameters=wrong)
        assert not vendor.connections
    assert (outcome.code, outcome.field) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "streaming_config.vendor_parameters.turn_detection",
    )


SPEECH: dict[str, tuple[Action, grpc.StatusCode]] = {
    "drop": (Drop(), UNAVAILABLE),
    "close": (Close(code=1011), UNAVAILABLE),
    "clean close": (Close(code=1000), UNAVAILABLE),
    "internal": (Fail(code="InternalError"), UNAVAILABLE),
    "key": (Fail(code="invalid_api_key"), PRECONDITION),
    "broken JSON": (Garble(kind=Garbage.BROKEN_JSON), INTERNAL),
    "binary": (Garble(kind=Garbage.BINARY), INTERNAL),
}


@pytest.mark.parametrize(("action", "code"), SPEECH.values(), ids=SPEECH.keys())
async def test_a_fault_in_mid_speech(action: Action, code: grpc.StatusCode) -> None:
    emulator = faulty(action, phase=Phase.SPEECH, audio_ms=500)
    async with vendor_and_gateway(emulator=emulator, **FAST) as (_, _, stub):
        outcome = await speak(stub, MARKED)
    assert outcome.code is code
    assert not outcome.responses[-1].HasField("finished")


@pytest.mark.parametrize("action", [Stall(), Drop(), Close(code=1000)], ids=["silence", "drop", "clean close"])
async def test_an_end_that_is_not_confirmed_is_no_success(action: Action) -> None:
    async with vendor_and_gateway(emulator=faulty(action, phase=Phase.FINISH), **FAST) as (_, _, stub):
        outcome = await speak(stub, FIRST)
    assert outcome.code is UNAVAILABLE


async def test_a_vendor_that_closes_after_the_end_is_no_fault() -> None:
    async with vendor_and_gateway(emulator={"knobs": Knobs(session_finish_closes=True)}) as (_, _, stub):
        outcome = await speak(stub, FIRST)
    assert (outcome.code, outcome.texts) == (grpc.StatusCode.OK, [SENTENCES[0]])


async def test_an_unknown_event_is_passed_over() -> None:
    strange = faulty(Garble(kind=Garbage.UNKNOWN_EVENT), phase=Phase.SPEECH, audio_ms=500)
    async with vendor_and_gateway(emulator=strange) as (_, _, stub):
        outcome = await speak(stub, MARKED)
    assert (outcome.code, outcome.texts) == (grpc.StatusCode.OK, list(SENTENCES))


async def test_a_manual_utterance_that_nobody_commits_is_cut_by_the_gateway() -> None:
    manual = pb.EndpointingConfig(manual=pb.ManualEndpointing())
    async with vendor_and_gateway() as (vendor, _, stub):
        outcome = await speak(stub, marker_audio(0, 4500), endpointing=manual)
        assert vendor.journals[0].blocks == list(range(4500))
    assert outcome.code is grpc.StatusCode.OK
    assert " ".join(outcome.texts).split() == [f"w{number}" for number in range(150)]
    assert [final.forced for final in outcome.finals].count(True) >= 2


# A hundred calls ------------------------------------------------------------------------------------------------


async def speak_at_random(seed: int) -> AsyncIterator[pb.RecognizeRequest]:
    rng = random.Random(seed)
    yield qwen3(interim_results=seed % 2 == 0)
    for piece in cut_at_random(MARKED, rng):
        yield audio(piece)
        if rng.random() < 0.2:
            await asyncio.sleep(rng.uniform(0, 0.01))


async def test_a_hundred_calls_lose_repeat_and_confuse_nothing() -> None:
    # On a busy machine so many clients are quiet for a while in the middle of a sentence.
    async with vendor_and_gateway(quiet_after_seconds=60) as (vendor, _, stub):
        outcomes = await asyncio.gather(*(recognize(stub, speak_at_random(seed), timeout=60) for seed in range(100)))
        assert [outcome.code for outcome in outcomes] == [grpc.StatusCode.OK] * 100
        assert [outcome.texts for outcome in outcomes] == [list(SENTENCES)] * 100
        assert [spans(outcome) for outcome in outcomes] == [[(0, 1500), (3000, 4500)]] * 100
        assert [session.blocks for session in vendor.journals] == [list(range(300))] * 100
        assert [session.damaged_bytes for session in vendor.journals] == [0] * 100


async def test_the_language_heard_is_told() -> None:
    async with vendor_and_gateway(emulator={"knobs": Knobs(session_language="ja")}) as (_, _, stub):
        outcome = await speak(stub, MARKED, interim_results=True)
    assert {result.language_code for result in outcome.results} == {"ja"}
