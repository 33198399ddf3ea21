"""Riva's service: real calls of any client, through the gateway, to the emulator."""

from __future__ import annotations

import asyncio
import io
import time
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from asrgateway_server.admission.keys import hashed_line
from asrgateway_server.lifecycle import Gateway
from asrgateway_server.metrics import RIVA_METHODS, RIVA_SERVICE, SERVICE
from asrgateway_server.riva_api import asr_pb2 as asr
from dashscope_emulator import Emulator
from dashscope_emulator.recognizers.markers import marker_audio, silent_audio
from emulated_vendor import vendor_and_gateway
from gateways import eventually, open_gateway
from riva_calls import (
    config,
    forced_end,
    in_messages,
    list_models,
    outcome_of,
    recognition,
    recognize,
    stream,
    streaming_method,
)

V2 = "paraformer-realtime-v2"
#: Two sentences of five words of 300 ms, with a pause that closes the first.
MARKED = marker_audio(0, 150) + silent_audio(150) + marker_audio(150, 150)
FIRST, SECOND = "w0 w1 w2 w3 w4", "w5 w6 w7 w8 w9"
SPOKEN = MARKED[:48_000]
DIARIZATION = asr.SpeakerDiarizationConfig(enable_speaker_diarization=True)


@asynccontextmanager
async def riva(**settings: Any) -> AsyncIterator[tuple[Emulator, Gateway]]:
    async with vendor_and_gateway(riva_facade=True, default_model=V2, **settings) as (vendor, gateway, _):
        yield vendor, gateway


def wav(samples: bytes, rate: int = 16_000) -> bytes:
    with io.BytesIO() as file:
        with wave.open(file, "wb") as recording:
            recording.setnchannels(1)
            recording.setsampwidth(2)
            recording.setframerate(rate)
            recording.writeframes(samples)
        return file.getvalue()


def handled(gateway: Gateway, method: str, code: str) -> float | None:
    labels = {"grpc_type": RIVA_METHODS[method], "grpc_service": RIVA_SERVICE, "grpc_method": method, "grpc_code": code}
    return gateway.metrics.registry.get_sample_value("grpc_server_handled_total", labels)


def messages(gateway: Gateway, direction: str) -> float | None:
    labels = {"grpc_type": "bidi_stream", "grpc_service": RIVA_SERVICE, "grpc_method": "StreamingRecognize"}
    return gateway.metrics.registry.get_sample_value(f"grpc_server_msg_{direction}_total", labels)


# Live audio -------------------------------------------------------------------------------------------------------


async def test_two_utterances_read_as_one_text() -> None:
    async with riva() as (_, gateway):
        outcome = await stream(gateway, [config(), *in_messages(MARKED)])
    assert outcome.code is grpc.StatusCode.OK
    assert outcome.finals == [FIRST, f" {SECOND}"]


@pytest.mark.parametrize("size", [3, 320, 65_536])
async def test_a_header_in_the_stream_is_no_audio_however_it_is_cut(size: int) -> None:
    sent = in_messages(wav(marker_audio(0, 30)), size)
    async with riva() as (vendor, gateway):
        outcome = await stream(gateway, [config(sample_rate_hertz=0, audio_channel_count=0), *sent])
        assert vendor.journals[0].audio_ms == 300
    assert outcome.text == "w0"


async def test_a_header_beside_a_wrong_rate_has_the_last_word() -> None:
    async with riva() as (_, gateway):
        outcome = await stream(gateway, [config(sample_rate_hertz=8000), *in_messages(wav(SPOKEN))])
    assert outcome.text == FIRST


async def test_interim_results_come_only_to_those_who_want_them() -> None:
    async with riva() as (_, gateway):
        without = await stream(gateway, [config(), *in_messages(SPOKEN)])
        with_them = await stream(gateway, [config(interim_results=True), *in_messages(SPOKEN)])
    assert {result.is_final for result in without.results} == {True}
    assert [result.is_final for result in with_them.results].count(False) > 0
    assert all(result.stability < 1 for result in with_them.results)


async def test_words_come_in_milliseconds_with_final_results() -> None:
    async with riva() as (_, gateway):
        outcome = await stream(gateway, [config(enable_word_time_offsets=True), *in_messages(SPOKEN)])
    words = outcome.results[-1].alternatives[0].words
    assert [(word.word, word.start_time) for word in words] == [(f"w{k}", 300 * k) for k in range(5)]


@pytest.mark.parametrize("is_beside_audio", [True, False])
async def test_a_forced_end_ends_the_utterance(is_beside_audio: bool) -> None:
    first, last, rest = SPOKEN[:-3200], SPOKEN[-3200:], MARKED[48_000:]
    end = [forced_end(last)] if is_beside_audio else [*in_messages(last), forced_end()]
    async with riva() as (vendor, gateway):
        outcome = await stream(gateway, [config(), *in_messages(first), *end, *in_messages(rest)])
        assert [number for task in vendor.journals for number in task.blocks] == list(range(300))
    assert outcome.finals == [FIRST, f" {SECOND}"]


async def test_a_forced_end_before_all_audio_ends_nothing() -> None:
    async with riva() as (_, gateway):
        outcome = await stream(gateway, [config(), forced_end(), *in_messages(SPOKEN)])
    assert outcome.text == FIRST


async def test_a_forced_end_is_one_however_often_it_is_said() -> None:
    ends = [forced_end()] * 5
    async with riva(max_commits_per_minute=2) as (_, gateway):
        outcome = await stream(gateway, [config(), *in_messages(SPOKEN), *ends, *in_messages(SPOKEN), *ends])
    assert outcome.code is grpc.StatusCode.OK
    assert outcome.finals == [FIRST, f" {FIRST}"]
    assert not any("force_eou" in entry for entry in outcome.trailing.get("asrgateway-ignored", ()))


async def test_more_forced_ends_than_are_taken_are_ignored_and_said_so() -> None:
    sent = [config(enable_automatic_punctuation=True), *([forced_end(SPOKEN)] * 3)]
    async with riva(max_commits_per_minute=1) as (_, gateway):
        outcome = await stream(gateway, sent)
    assert outcome.code is grpc.StatusCode.OK
    assert outcome.text.count("w4") == 3
    limit = "runtime_config.force_eou: a call may send 1 force_eou in a minute, and this one has sent more"
    assert limit in outcome.trailing["asrgateway-ignored"]
    async with riva(max_commits_per_minute=1, riva_strict=True) as (_, gateway):
        refused = await stream(gateway, sent)
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_the_id_of_the_first_request_is_in_every_response() -> None:
    async with riva() as (_, gateway):
        outcome = await stream(gateway, [config(request_id="call-7", interim_results=True), *in_messages(SPOKEN)])
    assert {response.id.value for response in outcome.responses} == {"call-7"}


async def test_quiet_is_broken_by_empty_responses() -> None:
    async with (
        riva(cursor_interval_seconds=0.05) as (_, gateway),
        grpc.aio.insecure_channel(str(gateway.address)) as to,
    ):
        call = streaming_method(to)(timeout=120)
        await call.write(config())
        await call.write(in_messages(SPOKEN, len(SPOKEN))[0])
        while (response := await call.read()).results:
            pass
        call.cancel()
    assert response == asr.StreamingRecognizeResponse()


async def test_unknown_metadata_is_not_looked_at() -> None:
    async with riva() as (_, gateway):
        outcome = await stream(gateway, [config(), *in_messages(SPOKEN)], [("function-id", "1598d209")])
    assert outcome.text == FIRST


async def test_each_channel_may_be_recognised_by_itself() -> None:
    left, right = marker_audio(0, 60), marker_audio(300, 60)
    both = b"".join(left[at : at + 2] + right[at : at + 2] for at in range(0, len(left), 2))
    wanted = config(audio_channel_count=2, enable_separate_recognition_per_channel=True)
    async with riva() as (_, gateway):
        outcome = await stream(gateway, [wanted, *in_messages(both)])
    told = [(result.channel_tag, result.alternatives[0].transcript) for result in outcome.results]
    assert sorted(told) == [(1, "w0 w1"), (2, "w10 w11")]


# What is ignored --------------------------------------------------------------------------------------------------


async def test_what_is_ignored_is_in_the_trailing_metadata() -> None:
    wanted = config(diarization_config=DIARIZATION, language_code="xx-XX", profanity_filter=True)
    async with riva() as (_, gateway):
        outcome = await stream(gateway, [wanted, *in_messages(SPOKEN)])
    assert outcome.text == FIRST
    assert {entry.partition(":")[0] for entry in outcome.trailing["asrgateway-ignored"]} >= {
        "config.diarization_config",
        "config.language_code",
    }


async def test_a_call_has_its_id_and_cost() -> None:
    async with riva() as (_, gateway):
        outcome = await stream(gateway, [config(), *in_messages(MARKED)])
    assert len(outcome.trailing["asrgateway-call-id"][0]) == 32
    assert float(outcome.trailing["asrgateway-cost-cny"][0]) > 0


async def test_an_error_keeps_the_trailing_metadata() -> None:
    wanted = config(diarization_config=DIARIZATION, model="whisper")
    async with riva() as (_, gateway):
        outcome = await stream(gateway, [wanted, *in_messages(SPOKEN)])
    assert outcome.code is grpc.StatusCode.INVALID_ARGUMENT
    assert outcome.trailing["asrgateway-ignored"] == ["config.diarization_config: speakers are not told apart"]


async def test_a_strict_operator_refuses_what_would_be_ignored() -> None:
    async with riva(riva_strict=True) as (_, gateway):
        outcome = await stream(gateway, [config(diarization_config=DIARIZATION), *in_messages(SPOKEN)])
    assert outcome.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "riva_strict" in outcome.message


async def test_an_unknown_key_beside_audio_is_ignored_or_refused() -> None:
    keyed = asr.StreamingRecognizeRequest(audio_content=SPOKEN, runtime_config={"mood": "calm"})
    async with riva() as (_, gateway):
        outcome = await stream(gateway, [config(), keyed])
    assert outcome.text == FIRST
    assert "runtime_config.mood: this gateway does not know it" in outcome.trailing["asrgateway-ignored"]
    async with riva(riva_strict=True) as (_, gateway):
        refused = await stream(gateway, [config(), keyed])
    assert (refused.code, "runtime_config.mood" in refused.message) == (grpc.StatusCode.INVALID_ARGUMENT, True)


async def test_a_language_that_clients_send_by_themselves_may_be_ignored() -> None:
    async with riva(riva_ignored_languages=("en-US",)) as (vendor, gateway):
        await stream(gateway, [config(language_code="en-US"), *in_messages(SPOKEN)])
        assert "language_hints" not in vendor.journals[0].parameters


async def test_a_language_that_clients_send_by_themselves_is_noted_and_strictly_obeyed_too() -> None:
    requests = [config(language_code="en-US", enable_automatic_punctuation=True), *in_messages(SPOKEN)]
    async with riva(riva_strict=True) as (_, gateway):
        outcome = await stream(gateway, requests)
    assert outcome.text == FIRST
    assert outcome.trailing["asrgateway-note"][0].startswith("config.language_code: en-US is obeyed")


# Errors -----------------------------------------------------------------------------------------------------------


async def test_an_unknown_model_is_refused_in_rivas_words_and_not_at_once() -> None:
    """Some clients call again at once, without end."""
    async with riva() as (_, gateway):
        began = time.monotonic()
        outcome = await stream(gateway, [config(model="whisper", language_code="en-US"), *in_messages(SPOKEN)])
        assert time.monotonic() - began >= 1.0
        await eventually(lambda: handled(gateway, "StreamingRecognize", "INVALID_ARGUMENT") == 1)
        errors = {"grpc_code": "INVALID_ARGUMENT", "reason": "client"}
        assert gateway.metrics.registry.get_sample_value("asrgateway_stream_errors_total", errors) == 1
    assert outcome.message.startswith(
        "Error: Unavailable model requested given these parameters: "
        "language_code=en-US; sample_rate=16000; type=online; no model is called 'whisper'"
    )


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ([], "the first request must carry streaming_config, not the end of the stream"),
        (in_messages(SPOKEN), "the first request must carry streaming_config, not audio_content"),
        ([config()], "no audio was received before the end of the stream"),
        ([config(), config()], "streaming_config comes once, in the first request; this is another one"),
        ([config(sample_rate_hertz=0), *in_messages(SPOKEN)], "LINEAR_PCM audio has no header, so its sample rate"),
        ([config(encoding=9), *in_messages(SPOKEN)], "9 is not a value of this field; use one of ENCODING_UNSPECIFIED"),
    ],
)
async def test_a_wrong_request_is_refused(requests: list[asr.StreamingRecognizeRequest], message: str) -> None:
    async with riva() as (_, gateway):
        outcome = await stream(gateway, requests)
    assert outcome.code is grpc.StatusCode.INVALID_ARGUMENT
    assert outcome.message.startswith(message)


@pytest.mark.parametrize(
    ("requests", "setting", "missing"),
    [
        ([], "config_timeout_seconds", "no streaming_config came within 0.05 s"),
        ([config()], "first_audio_timeout_seconds", "no audio came within 0.05 s"),
    ],
)
async def test_a_client_that_sends_nothing_is_not_waited_for(
    requests: list[asr.StreamingRecognizeRequest], setting: str, missing: str
) -> None:
    async with riva(**{setting: 0.05}) as (_, gateway), grpc.aio.insecure_channel(str(gateway.address)) as channel:
        call = streaming_method(channel)(timeout=120)
        for request in requests:
            await call.write(request)
        outcome = await outcome_of(call)
    assert (outcome.code, outcome.message) == (grpc.StatusCode.DEADLINE_EXCEEDED, missing)


# The same doors, limits and counts --------------------------------------------------------------------------------


async def test_calls_and_messages_are_counted_by_rivas_name() -> None:
    async with riva() as (_, gateway):
        outcome = await stream(gateway, [config(), *in_messages(SPOKEN)])
        await eventually(lambda: handled(gateway, "StreamingRecognize", "OK") == 1)
        assert messages(gateway, "received") == 1 + len(in_messages(SPOKEN))
        assert messages(gateway, "sent") == len(outcome.responses)


async def test_a_key_opens_every_method(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{hashed_line('correct-horse-battery', 'team')}\n")
    shown = [("authorization", "Bearer correct-horse-battery")]
    recording = asr.RecognizeRequest(config=recognition(), audio=SPOKEN)
    async with riva(api_keys_file=str(keys)) as (_, gateway):
        assert (await stream(gateway, [config(), *in_messages(SPOKEN)])).code is grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(grpc.aio.AioRpcError, match="requires a key"):
            await recognize(gateway, recording)
        with pytest.raises(grpc.aio.AioRpcError, match="requires a key"):
            await list_models(gateway)
        assert V2 in await list_models(gateway, metadata=shown)
        assert (await stream(gateway, [config(), *in_messages(SPOKEN)], shown)).text == FIRST
        assert len((await recognize(gateway, recording, shown)).results) == 1


async def test_the_limit_of_streams_holds_for_all_doors() -> None:
    async with (
        vendor_and_gateway(riva_facade=True, max_streams=1) as (_, gateway, stub),
        grpc.aio.insecure_channel(str(gateway.address)) as channel,
    ):
        open_call = stub.Recognize(timeout=120)
        await open_call.initial_metadata()
        outcome = await outcome_of(streaming_method(channel)(iter([config()]), timeout=120))
        open_call.cancel()
    assert outcome.code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_call_that_is_cut_gets_its_last_result_and_unavailable() -> None:
    async with (
        riva(drain_seconds=0.1, drain_finalize_seconds=10) as (_, gateway),
        grpc.aio.insecure_channel(str(gateway.address)) as channel,
    ):
        call = streaming_method(channel)(timeout=120)
        await call.write(config(interim_results=True))
        for request in in_messages(SPOKEN):
            await call.write(request)
        while FIRST not in [result.alternatives[0].transcript for result in (await call.read()).results]:
            pass
        gateway.drain.begin()
        outcome, _ = await asyncio.gather(outcome_of(call), gateway.drain.finish())
    assert outcome.code is grpc.StatusCode.UNAVAILABLE
    assert outcome.finals == [FIRST]


async def test_without_the_setting_there_is_no_such_service() -> None:
    async with open_gateway(embedded_workers=0, dashscope_api_key="k") as (gateway, _):
        assert (await stream(gateway, [config()])).code is grpc.StatusCode.UNIMPLEMENTED
        assert RIVA_SERVICE not in await reflected(gateway)


async def reflected(gateway: Gateway) -> list[str]:
    async with grpc.aio.insecure_channel(str(gateway.address)) as channel:
        ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        asked = [reflection_pb2.ServerReflectionRequest(list_services="*")]
        (answer,) = [answer async for answer in ask(iter(asked), timeout=60)]
        return [service.name for service in answer.list_services_response.service]


async def test_reflection_lists_both_services() -> None:
    async with riva() as (_, gateway):
        assert {SERVICE, RIVA_SERVICE} <= set(await reflected(gateway))


# Recordings and models --------------------------------------------------------------------------------------------


async def test_a_recording_is_recognised_in_one_response() -> None:
    request = asr.RecognizeRequest(config=recognition(enable_word_time_offsets=True), audio=wav(MARKED))
    request.id.value = "file-1"
    async with riva() as (_, gateway):
        response = await recognize(gateway, request)
        await eventually(lambda: handled(gateway, "Recognize", "OK") == 1)
    assert [result.alternatives[0].transcript for result in response.results] == [FIRST, f" {SECOND}"]
    assert response.results[1].alternatives[0].words[0].start_time == 3000
    assert response.results[0].channel_tag == 1
    assert response.id.value == "file-1"


@pytest.mark.parametrize(
    ("audio", "message"),
    [(b"", "the request has no audio"), (bytes(2000), "the message holds 2000 bytes of audio; the limit is 1024")],
)
async def test_a_recording_that_cannot_be_taken_is_refused(audio: bytes, message: str) -> None:
    async with riva(max_message_bytes=1024) as (_, gateway):
        with pytest.raises(grpc.aio.AioRpcError, match=message) as caught:
            await recognize(gateway, asr.RecognizeRequest(config=recognition(), audio=audio))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_models_and_aliases_are_listed() -> None:
    async with riva(aliases={"parakeet": V2}) as (_, gateway):
        assert {V2, "parakeet", "default"} <= set(await list_models(gateway))
        assert await list_models(gateway, "parakeet") == ["parakeet"]
        assert await list_models(gateway, "whisper") == []
