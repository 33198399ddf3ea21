"""Fun-ASR and its successors through the gateway, against the emulator: real sockets on both sides."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct

from asrgateway.v1 import recognition_pb2 as pb
from calls import Outcome, Stub, commit, config, in_messages, recognize
from dashscope_emulator.models import TASK_MODELS
from dashscope_emulator.recognizers.markers import marker_audio, silent_audio
from emulated_vendor import vendor_and_gateway

MODELS = [name for name in TASK_MODELS if not name.startswith("paraformer")]
MAIN = "fun-asr-realtime"
STREAMING = "qwen-audio-3.1-asr-flash-streaming"

#: Marked audio: two sentences of five words of 300 ms, with a pause that closes the first.
SENTENCES = ("w0 w1 w2 w3 w4", "w5 w6 w7 w8 w9")
MARKED = marker_audio(0, 150) + silent_audio(150) + marker_audio(150, 150)


async def speak(stub: Stub, model: str, **values: object) -> Outcome:
    return await recognize(stub, [config(model=model, **values), *in_messages(MARKED)])


async def test_it_is_the_model_of_callers_that_name_none() -> None:
    async with vendor_and_gateway() as (_, _, stub):
        outcome = await speak(stub, "")
    assert outcome.responses[0].started.model == "fun-asr-realtime"
    assert outcome.texts == list(SENTENCES)


@pytest.mark.parametrize("model", [model for model in MODELS if "8k" not in model])
async def test_each_model_hears_every_word_at_its_place(model: str) -> None:
    wanted = pb.RecognitionFeatures(enable_word_time_offsets=True)
    async with vendor_and_gateway() as (vendor, _, stub):
        outcome = await speak(stub, model, features=wanted)
        assert vendor.journals[0].blocks == list(range(300))
    assert (outcome.code, outcome.texts) == (grpc.StatusCode.OK, list(SENTENCES))
    starts = [word.start_offset.ToMilliseconds() for final in outcome.finals for word in final.words]
    assert starts == [0, 300, 600, 900, 1200, 3000, 3300, 3600, 3900, 4200]


@pytest.mark.parametrize("model", [model for model in MODELS if "8k" in model])
async def test_the_8k_models_hear_8_khz(model: str) -> None:
    async with vendor_and_gateway() as (vendor, _, stub):
        outcome = await speak(stub, model)
        assert outcome.responses[0].started.sample_rate_hertz == 8000
        assert vendor.journals[0].parameters["sample_rate"] == 8000
        assert vendor.journals[0].audio_ms == 4500


@pytest.mark.parametrize("model", MODELS)
async def test_a_strict_call_with_all_that_a_model_knows_is_taken(model: str) -> None:
    vad = pb.ServerVad(threshold=-0.1)
    vad.silence.FromMilliseconds(600)
    async with vendor_and_gateway() as (vendor, _, stub):
        outcome = await speak(stub, model, strict=True, endpointing=pb.EndpointingConfig(server_vad=vad))
        assert vendor.journals[0].parameters["max_sentence_silence"] == 600
        assert vendor.journals[0].parameters["speech_noise_threshold"] == pytest.approx(-0.1)
    assert outcome.code is grpc.StatusCode.OK


@pytest.mark.parametrize("model", ["fun-asr-realtime", STREAMING, "qwen-audio-3.1-asr-flash-message"])
async def test_interim_results_grow_into_the_final(model: str) -> None:
    async with vendor_and_gateway() as (_, _, stub):
        outcome = await speak(stub, model, interim_results=True)
    first = [result for result in outcome.results if result.result_index == 0]
    assert [result.transcript for result in first] == [
        "w0",
        "w0 w1",
        "w0 w1 w2",
        "w0 w1 w2 w3",
        "w0 w1 w2 w3 w4",
        SENTENCES[0],
    ]
    assert [result.committed for result in first][1] == "w0"


async def test_what_is_billed_by_tokens_has_no_price_by_the_second() -> None:
    async with vendor_and_gateway() as (_, _, stub):
        by_seconds = await speak(stub, "qwen-audio-3.0-asr-flash-streaming")
        by_tokens = await speak(stub, STREAMING)
    assert by_seconds.finished.estimated_cost_cny == pytest.approx(5 * 0.00033)
    assert not by_tokens.finished.HasField("estimated_cost_cny")


async def test_hot_words_and_context_go_with_the_task() -> None:
    adaptation = pb.SpeechAdaptation(hotwords=[pb.Hotword(text="Kestrel", weight=5)], context="birds of prey")
    async with vendor_and_gateway() as (vendor, _, stub):
        outcome = await speak(stub, STREAMING, adaptation=adaptation, strict=True)
        task = vendor.journals[0]
    assert outcome.code is grpc.StatusCode.OK
    assert task.parameters["vocabulary"] == {"Kestrel": 5}
    assert task.contexts == [[{"role": "user", "content": [{"type": "input_text", "text": "birds of prey"}]}]]


async def test_an_update_replaces_the_context() -> None:
    update = pb.RecognizeRequest(update=pb.ConfigUpdate(adaptation=pb.SpeechAdaptation(context="stars")))
    async with vendor_and_gateway() as (vendor, _, stub):
        audio = in_messages(MARKED)
        outcome = await recognize(stub, [config(model=STREAMING), *audio[:10], update, *audio[10:]])
        assert [context[0]["content"][0]["text"] for context in vendor.journals[0].contexts] == ["stars"]
    events = [response.stream_event.event_type for response in outcome.responses if response.HasField("stream_event")]
    assert events == [pb.STREAM_EVENT_TYPE_UPDATE_APPLIED]
    assert outcome.texts == list(SENTENCES)


@pytest.mark.parametrize("nothing", [pb.ConfigUpdate(), pb.ConfigUpdate(adaptation=pb.SpeechAdaptation())])
async def test_an_update_takes_the_context_away(nothing: pb.ConfigUpdate) -> None:
    update, birds = pb.RecognizeRequest(update=nothing), pb.SpeechAdaptation(context="birds")
    async with vendor_and_gateway() as (vendor, _, stub):
        audio = in_messages(MARKED)
        outcome = await recognize(stub, [config(model=STREAMING, adaptation=birds), *audio[:10], update, *audio[10:]])
        assert vendor.journals[0].contexts[-1] == []
    events = [response.stream_event.event_type for response in outcome.responses if response.HasField("stream_event")]
    assert events == [pb.STREAM_EVENT_TYPE_UPDATE_APPLIED]


async def test_an_update_before_everything_else_is_warned_of_after_the_start() -> None:
    update = pb.RecognizeRequest(update=pb.ConfigUpdate(adaptation=pb.SpeechAdaptation(vocabulary_id="vocab-1")))
    async with vendor_and_gateway() as (_, _, stub):
        outcome = await recognize(stub, [config(model=STREAMING), update, *in_messages(MARKED)])
    told = [response for response in outcome.responses if response.WhichOneof("response")]
    assert told[0].WhichOneof("response") == "started"
    assert told[1].warning.field == "update.adaptation.vocabulary_id"


async def test_a_language_that_the_model_is_not_told_is_a_warning() -> None:
    async with vendor_and_gateway() as (vendor, _, stub):
        outcome = await recognize(stub, [config(model=MAIN, language_codes=["ja", "en"]), *in_messages(MARKED)])
        assert vendor.journals[0].parameters["language_hints"] == ["ja"]
        strict = await recognize(
            stub, [config(model=MAIN, language_codes=["ja", "en"], strict=True), *in_messages(MARKED)]
        )
    (warning,) = [response.warning for response in outcome.responses if response.HasField("warning")]
    assert (warning.code, warning.field) == (pb.WARNING_CODE_OPTION_IGNORED, "streaming_config.language_codes[1]")
    assert (strict.code, strict.field) == (grpc.StatusCode.INVALID_ARGUMENT, "streaming_config.language_codes[1]")


async def test_numbers_arrive_as_they_were_meant() -> None:
    given = Struct()
    given.update({"something_new": 500, "else": 0.2})
    vad = pb.EndpointingConfig(server_vad=pb.ServerVad(threshold=0.2))
    async with vendor_and_gateway() as (vendor, _, stub):
        await recognize(stub, [config(model=MAIN, vendor_parameters=given, endpointing=vad), *in_messages(MARKED)])
        parameters = vendor.journals[0].parameters
    shown = {name: repr(parameters[name]) for name in ("something_new", "else", "speech_noise_threshold")}
    assert shown == {"something_new": "500", "else": "0.2", "speech_noise_threshold": "0.2"}


async def test_a_commit_closes_the_open_sentence_at_once() -> None:
    async with vendor_and_gateway() as (vendor, _, stub):
        first, rest = in_messages(MARKED[:48_000]), in_messages(MARKED[48_000:])
        outcome = await recognize(stub, [config(model=STREAMING), *first, commit(), *rest])
        assert [number for task in vendor.journals for number in task.blocks] == list(range(300))
    assert [(final.transcript, final.forced) for final in outcome.finals] == [
        (SENTENCES[0], True),
        (SENTENCES[1], False),
    ]
