"""Hot words through the gateway: heard by the emulator's real recogniser, or seen to arrive."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import grpc
import pytest

from asrgateway.v1 import recognition_pb2 as pb
from calls import Outcome, config, in_messages, recognize, silence
from dashscope_emulator import Knobs
from dashscope_emulator.recognizers.markers import marker_audio
from emulated_vendor import vendor_and_gateway
from gateways import open_gateway

WITHOUT = "the castro was there when the sun rose"
WITH = "the Kestrel was there when the sun rose"
#: Stands for anything that must be told nobody.
PRIVATE = "Zyzzyva"
MARKED = in_messages(marker_audio(0, 50))


def hotwords(*texts: str, **more: Any) -> pb.SpeechAdaptation:
    return pb.SpeechAdaptation(hotwords=[pb.Hotword(text=text) for text in texts], **more)


def warnings(outcome: Outcome) -> list[tuple[int, str]]:
    told = [response.warning for response in outcome.responses if response.HasField("warning")]
    return [(warning.code, warning.field) for warning in told]


IGNORED = [(pb.WARNING_CODE_OPTION_IGNORED, "streaming_config.adaptation.hotwords")]


async def test_the_embedded_model_hears_hot_words(kestrel: bytes) -> None:
    speech = in_messages(kestrel)
    async with open_gateway() as (_, stub):
        outcome = await recognize(stub, [config(adaptation=hotwords("Kestrel"), strict=True), *speech])
        deaf = await recognize(stub, [config(), *speech])
    assert (outcome.code, outcome.texts, warnings(outcome)) == (grpc.StatusCode.OK, [WITH], [])
    assert deaf.texts == [WITHOUT]


async def test_every_family_hears_hot_words(kestrel: bytes) -> None:
    speech = [*in_messages(kestrel), *in_messages(silence(1))]
    models = ("paraformer-realtime-v1", "paraformer-realtime-v2", "fun-asr-realtime")
    others = ("qwen-audio-3.0-asr-flash-streaming", "qwen3-asr-flash-realtime")
    async with vendor_and_gateway(emulator={"recognizer": "pocketsphinx"}) as (_, _, stub):
        outcomes = {
            model: await recognize(stub, [config(model=model, adaptation=hotwords("Kestrel"), strict=True), *speech])
            for model in (*models, *others)
        }
        deaf = await recognize(stub, [config(model="fun-asr-realtime"), *speech])
    assert {model: outcome.texts for model, outcome in outcomes.items()} == {model: [WITH] for model in outcomes}
    assert [warnings(outcome) for outcome in outcomes.values()] == [[]] * 5
    assert deaf.texts == [WITHOUT]


@pytest.mark.parametrize("model", ["fun-asr-realtime", "paraformer-realtime-v2"])
async def test_a_task_is_told_its_table(model: str) -> None:
    async with vendor_and_gateway() as (vendor, _, stub):
        await recognize(stub, [config(model=model, adaptation=hotwords("Kestrel", "osprey")), *MARKED])
        (table,) = vendor.vocabularies.page(None, 0, 10)
        parameters = vendor.journals[0].parameters
    assert parameters["vocabulary_id"] == table.vocabulary_id
    assert "vocabulary" not in parameters
    assert table.target_model == model


async def test_a_hundred_calls_share_one_table() -> None:
    async with vendor_and_gateway() as (vendor, _, stub):
        call = [config(model="fun-asr-realtime", adaptation=hotwords("Kestrel")), *MARKED]
        outcomes = await asyncio.gather(*(recognize(stub, call) for _ in range(100)))
        (table,) = vendor.vocabularies.page(None, 0, 10)
        told = {task.parameters["vocabulary_id"] for task in vendor.journals}
    assert {outcome.code for outcome in outcomes} == {grpc.StatusCode.OK}
    assert told == {table.vocabulary_id}


async def test_two_gateways_share_one_table() -> None:
    call = [config(model="fun-asr-realtime", adaptation=hotwords("Kestrel")), *MARKED]
    async with (
        vendor_and_gateway() as (vendor, _, stub),
        open_gateway(dashscope_url=vendor.url, dashscope_api_key="sk-test", embedded_workers=0) as (_, other),
    ):
        await recognize(stub, call)
        await recognize(other, call)
        (table,) = vendor.vocabularies.page(None, 0, 10)
        assert [task.parameters["vocabulary_id"] for task in vendor.journals] == [table.vocabulary_id] * 2


@pytest.mark.parametrize(
    ("knobs", "settings"),
    [
        ({"hotword_status": 503}, {}),
        ({"hotword_seconds": 1.0}, {"hotword_timeout_seconds": 0.1}),
        ({"vocabulary_lists": 0}, {}),
        ({}, {"hotword_tables": "off"}),
    ],
)
async def test_without_a_table_the_call_goes_on_with_a_warning(knobs: dict[str, Any], settings: dict[str, Any]) -> None:
    async with vendor_and_gateway(emulator={"knobs": Knobs(**knobs)}, **settings) as (vendor, _, stub):
        outcome = await recognize(stub, [config(model="fun-asr-realtime", adaptation=hotwords("Kestrel")), *MARKED])
        parameters = vendor.journals[0].parameters
    assert outcome.code is grpc.StatusCode.OK
    assert warnings(outcome) == IGNORED
    assert [downgrade.field for downgrade in outcome.responses[0].started.downgrades] == ["adaptation.hotwords"]
    assert not parameters.keys() & {"vocabulary", "vocabulary_id"}


@pytest.mark.parametrize(
    ("knobs", "code"),
    [
        ({"hotword_status": 503}, grpc.StatusCode.UNAVAILABLE),
        ({"vocabulary_lists": 0}, grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
async def test_without_a_table_the_call_ends_where_the_operator_wants_it(
    knobs: dict[str, Any], code: grpc.StatusCode
) -> None:
    async with vendor_and_gateway(emulator={"knobs": Knobs(**knobs)}, hotword_failures="fail") as (vendor, _, stub):
        outcome = await recognize(stub, [config(model="fun-asr-realtime", adaptation=hotwords("Kestrel")), *MARKED])
    assert outcome.code is code
    assert outcome.upstream_code
    assert not vendor.journals


async def test_a_stored_table_goes_before_hot_words() -> None:
    async with vendor_and_gateway() as (vendor, _, stub):
        words: list[dict[str, object]] = [{"text": "kite", "weight": 4}]
        stored = vendor.vocabularies.create("mine", "fun-asr-realtime", words).vocabulary_id
        both = hotwords("Kestrel", vocabulary_id=stored)
        outcome = await recognize(stub, [config(model="fun-asr-realtime", adaptation=both), *MARKED])
        assert vendor.journals[0].parameters["vocabulary_id"] == stored
    assert warnings(outcome) == IGNORED


async def test_qwen_audio_takes_a_stored_table_and_hot_words() -> None:
    model = "qwen-audio-3.0-asr-flash-streaming"
    async with vendor_and_gateway() as (vendor, _, stub):
        stored = vendor.vocabularies.create("mine", model, [{"text": "kite", "weight": 4}]).vocabulary_id
        both = hotwords("Kestrel", vocabulary_id=stored)
        outcome = await recognize(stub, [config(model=model, adaptation=both, strict=True), *MARKED])
        parameters = vendor.journals[0].parameters
    assert (parameters["vocabulary_id"], parameters["vocabulary"]) == (stored, {"Kestrel": 4})
    assert warnings(outcome) == []


async def test_an_unknown_stored_table_is_refused_by_the_vendor() -> None:
    adaptation = pb.SpeechAdaptation(vocabulary_id="vocab-gone-1")
    async with vendor_and_gateway() as (_, _, stub):
        outcome = await recognize(stub, [config(model="fun-asr-realtime", adaptation=adaptation), *MARKED])
    assert outcome.code is grpc.StatusCode.FAILED_PRECONDITION
    assert outcome.upstream_code == "NotFound"


async def test_a_word_beyond_the_limits_is_named_by_its_position() -> None:
    adaptation = hotwords(*(chr(ord("a") + number) for number in range(17)), f"{PRIVATE} b c d e f g h")
    async with vendor_and_gateway() as (vendor, _, stub):
        outcome = await recognize(stub, [config(model="fun-asr-realtime", adaptation=adaptation), *MARKED])
    assert outcome.code is grpc.StatusCode.INVALID_ARGUMENT
    assert outcome.field == "streaming_config.adaptation.hotwords[17]"
    assert PRIVATE not in outcome.message
    assert not vendor.connections


async def test_context_that_the_vendor_cuts_is_told() -> None:
    said = [pb.ContextMessage(role=pb.CONTEXT_ROLE_USER, text="x")] * 6
    adaptation = pb.SpeechAdaptation(context_messages=said)
    async with vendor_and_gateway() as (_, _, stub):
        outcome = await recognize(stub, [config(model="fun-asr-realtime", adaptation=adaptation), *MARKED])
    assert warnings(outcome) == [(pb.WARNING_CODE_OPTION_CHANGED, "streaming_config.adaptation.context_messages")]


@pytest.mark.parametrize("model", ["fun-asr-realtime", "paraformer-realtime-v1", "qwen3-asr-flash-realtime"])
async def test_hot_words_stand_in_no_log(model: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with vendor_and_gateway(emulator={"recognizer": "script"}) as (_, _, stub):
        outcome = await recognize(stub, [config(model=model, adaptation=hotwords(PRIVATE)), *in_messages(silence(1))])
    assert outcome.code is grpc.StatusCode.OK
    assert caplog.records
    assert PRIVATE not in "".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
