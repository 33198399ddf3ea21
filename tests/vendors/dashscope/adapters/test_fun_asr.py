"""What each model of the Fun-ASR family is asked for, and what is particular about its answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asrgateway_server.backends.adapter import Output, Send
from asrgateway_server.config import (
    Adaptation,
    AudioFormat,
    ContextMessage,
    ContextRole,
    Features,
    Hotword,
    KeepAlive,
    KeepAlivePolicy,
    RecognitionConfig,
    SemanticEndpointing,
    SensitiveWordFilter,
    ServerVad,
)
from asrgateway_server.events import FinalResult, Finished, InterimResult, SpeechEnded, SpeechStarted, UpdateApplied
from asrgateway_server.vendors.dashscope.adapters.fun_asr import FunAsrAdapter
from asrgateway_server.vendors.dashscope.adapters.run_task import RunTaskAdapter
from catalogues import WITH_KEY
from messages import event, final, interim, started

MODELS = WITH_KEY
MAIN = "fun-asr-realtime"
EIGHT_K = "fun-asr-flash-8k-realtime"
STREAMING = "qwen-audio-3.1-asr-flash-streaming"
MESSAGE = "qwen-audio-3.1-asr-flash-message"
WITH_CONTEXT = [
    MAIN,
    "fun-asr-realtime-2025-11-07",
    "qwen-audio-3.0-asr-flash-streaming",
    STREAMING,
    MESSAGE,
]
WITHOUT_CONTEXT = ["fun-asr-realtime-2026-02-28", "fun-asr-realtime-2025-09-15", EIGHT_K]


def adapter(model: str, **options_set: Any) -> RunTaskAdapter:
    options_set.setdefault("audio", AudioFormat(sample_rate_hertz=16_000))
    return FunAsrAdapter(RecognitionConfig(model=MODELS.find(model), **options_set), "task-1")


def payload_of(outputs: Any) -> dict[str, Any]:
    """The payload of the one message among what was given out."""
    (message,) = [json.loads(output.message) for output in outputs if isinstance(output, Send)]
    payload: dict[str, Any] = message["payload"]
    return payload


def asked(model: str, **options_set: Any) -> dict[str, Any]:
    """The payload of the first task."""
    return payload_of(adapter(model, **options_set).start())


def parameters(model: str, **options_set: Any) -> dict[str, Any]:
    chosen: dict[str, Any] = asked(model, **options_set)["parameters"]
    return chosen


def running(model: str = STREAMING, **options_set: Any) -> RunTaskAdapter:
    """An adapter whose task has started."""
    task = adapter(model, **options_set)
    task.start()
    task.receive(started())
    task.audio(bytes(32_000))
    return task


@pytest.mark.parametrize("model", [*WITH_CONTEXT, *WITHOUT_CONTEXT])
def test_what_the_caller_leaves_open_is_left_to_the_vendor(model: str) -> None:
    rate = 8_000 if model == EIGHT_K else 16_000
    assert parameters(model) == {"format": "pcm", "sample_rate": rate, "heartbeat": True}


def test_a_call_that_nothing_keeps_alive_asks_for_no_heartbeat() -> None:
    off = KeepAlive(policy=KeepAlivePolicy.OFF)
    assert parameters(MAIN, keep_alive=off) == {"format": "pcm", "sample_rate": 16_000}


WISHES: list[tuple[dict[str, Any], str, object]] = [
    ({"adaptation": Adaptation(vocabulary_id="vocab-1")}, "vocabulary_id", "vocab-1"),
    ({"endpointing": ServerVad(silence_ms=500)}, "max_sentence_silence", 500),
    ({"endpointing": ServerVad(threshold=-0.2)}, "speech_noise_threshold", -0.2),
    ({"endpointing": ServerVad(threshold=0.0)}, "speech_noise_threshold", 0.0),
    ({"vendor_parameters": {"keep_dialect": True}}, "keep_dialect", True),
]


@pytest.mark.parametrize("model", [*WITH_CONTEXT, *WITHOUT_CONTEXT])
@pytest.mark.parametrize(("options_set", "name", "value"), WISHES)
def test_a_wish_that_all_models_know(model: str, options_set: dict[str, Any], name: str, value: object) -> None:
    assert parameters(model, **options_set)[name] == value


SEMANTIC = ({"endpointing": SemanticEndpointing()}, "semantic_punctuation_enabled", True)
MULTI = ({"endpointing": ServerVad(is_multi_threshold=True)}, "multi_threshold_mode_enabled", True)
NO_FILLERS = ({"features": Features(disfluency_removal=True)}, "disfluency_removal_enabled", True)
HOTWORDS = ({"adaptation": Adaptation(hotwords=(Hotword(text="Kestrel"),))}, "vocabulary", {"Kestrel": 4})
FILTER = (
    {"features": Features(sensitive_words=SensitiveWordFilter(masked_words=("darn",)))},
    "special_word_filter",
    '{"filter_with_signed": {"word_list": ["darn"]}}',
)
INTERIMS = ({"interim_results": True}, "intermediate_result_enabled", True)
SOME_MODELS = [
    (MAIN, (SEMANTIC, MULTI, NO_FILLERS, FILTER)),
    (EIGHT_K, (SEMANTIC, MULTI, NO_FILLERS, FILTER)),
    ("qwen-audio-3.0-asr-flash-streaming", (SEMANTIC, MULTI, HOTWORDS)),
    (STREAMING, (SEMANTIC, MULTI, HOTWORDS)),
    (MESSAGE, (NO_FILLERS, HOTWORDS, INTERIMS)),
]


@pytest.mark.parametrize(
    ("model", "options_set", "name", "value"),
    [(model, *wish) for model, known in SOME_MODELS for wish in known],
)
def test_a_wish_that_some_models_know(model: str, options_set: dict[str, Any], name: str, value: object) -> None:
    assert parameters(model, **options_set)[name] == value


@pytest.mark.parametrize(
    ("model", "options_set"),
    [
        (model, wish[0])
        for model, known in SOME_MODELS
        for wish in (SEMANTIC, MULTI, NO_FILLERS, HOTWORDS, FILTER, INTERIMS)
        if wish not in known
    ],
)
def test_a_model_is_not_asked_for_what_it_does_not_know(model: str, options_set: dict[str, Any]) -> None:
    assert parameters(model, **options_set) == parameters(model)


@pytest.mark.parametrize(
    ("model", "spoken", "hints"),
    [
        (MAIN, ("ja", "en"), ["ja"]),
        (MAIN, ("en-US",), ["en"]),
        ("fun-asr-realtime-2025-09-15", ("ja", "en-GB"), ["en"]),
        (EIGHT_K, ("zh-CN",), ["zh"]),
        (STREAMING, ("zh", "en-US", "en-GB", "ja", "ko", "fr"), ["zh", "en", "ja", "ko"]),
    ],
)
def test_a_model_is_told_as_many_languages_as_it_takes(model: str, spoken: tuple[str, ...], hints: list[str]) -> None:
    assert parameters(model, language_codes=spoken)["language_hints"] == hints


@pytest.mark.parametrize(("model", "spoken"), [(EIGHT_K, ("en",)), (MESSAGE, ("zh",))])
def test_a_language_that_cannot_be_told_is_left_out(model: str, spoken: tuple[str, ...]) -> None:
    assert "language_hints" not in parameters(model, language_codes=spoken)


def test_a_weight_out_of_range_does_not_cost_all_hot_words() -> None:
    words = tuple(Hotword(text=str(weight), weight=weight) for weight in (-1, 0, 1, 5, 6, 49, 50, 99))
    assert parameters(STREAMING, adaptation=Adaptation(hotwords=words))["vocabulary"] == {
        "-1": 1,
        "0": 1,
        "1": 1,
        "5": 5,
        "6": 5,
        "49": 5,
        "50": 50,
        "99": 50,
    }


def test_sensitive_words_are_masked_or_removed() -> None:
    words = SensitiveWordFilter(masked_words=("一",), removed_words=("b", "c"), use_builtin_list=False)
    chosen = parameters(MAIN, features=Features(sensitive_words=words))["special_word_filter"]
    assert json.loads(chosen) == {
        "filter_with_signed": {"word_list": ["一"]},
        "filter_with_empty": {"word_list": ["b", "c"]},
        "system_reserved_filter": False,
    }


# Context --------------------------------------------------------------------------------------------------------

SAID = Adaptation(
    context_messages=(
        ContextMessage(role=ContextRole.USER, text="book a table"),
        ContextMessage(role=ContextRole.ASSISTANT, text="For how many?"),
    ),
    context="restaurants: Chez Ophiuchus",
)
CONTEXT = [
    {"role": "user", "content": [{"type": "input_text", "text": "book a table"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "For how many?"}]},
    {"role": "user", "content": [{"type": "input_text", "text": "restaurants: Chez Ophiuchus"}]},
]


@pytest.mark.parametrize("model", WITH_CONTEXT)
def test_what_was_said_before_and_free_text_go_with_the_task(model: str) -> None:
    assert asked(model, adaptation=SAID)["input"] == {"context": CONTEXT}


@pytest.mark.parametrize("model", WITHOUT_CONTEXT)
def test_a_model_without_context_gets_none(model: str) -> None:
    assert asked(model, adaptation=SAID)["input"] == {}


def test_an_update_continues_the_task_with_another_context() -> None:
    task = running()
    outputs = task.update(SAID)
    assert payload_of(outputs) == {"input": {"context": CONTEXT}}
    assert outputs[-1] == UpdateApplied()


def test_an_update_without_context_takes_the_old_one_away() -> None:
    assert payload_of(running(adaptation=SAID).update(Adaptation())) == {"input": {"context": []}}


# Answers --------------------------------------------------------------------------------------------------------


def begin(at_ms: int = 170, **more: Any) -> str:
    return interim("", at_ms, sentence_begin=True, sentence_id=1, **more)


def test_a_sentence_that_begins_is_speech_that_started() -> None:
    task = running()
    assert task.receive(begin()) == [SpeechStarted(offset_ms=170)]
    assert task.receive(begin()) == []
    assert task.receive(interim("please")) == [InterimResult(text="please", start_ms=170, end_ms=170)]


def test_a_sentence_that_came_to_nothing_ends_as_it_began() -> None:
    task = running()
    task.receive(begin())
    assert task.receive(final("")) == [
        SpeechEnded(offset_ms=920),
        FinalResult(text="", start_ms=170, end_ms=920),
    ]


def test_a_heartbeat_mark_does_not_swallow_the_end_of_a_sentence() -> None:
    """On one page of the manual every result of a task with the switch carries the mark."""
    task = running(MAIN)
    task.receive(interim("hm", heartbeat=True))
    assert task.receive(final("", heartbeat=True, sentence_id=1))[-1] == FinalResult(text="", start_ms=170, end_ms=920)


def test_a_heartbeat_ends_no_sentence() -> None:
    task = running(MAIN)
    task.receive(interim("hm"))
    assert task.receive(final("", heartbeat=True, sentence_id=0)) == []


def twice_over(text: str) -> str:
    """A final as the newer models send it: all of it again one level deeper, and tokens beside the seconds."""
    sentence = json.loads(final(text))["payload"]["output"]["sentence"]
    usage = {"duration": 3, "input_tokens": 99, "output_tokens": 4, "total_tokens": 103}
    inner = {"sentence": sentence | {"text": "another"}, "text": "another", "request_id": "r"}
    stash = {"sentence_id": 2, "text": "and", "begin_time": 930, "current_time": 940, "words": []}
    output = {"sentence": sentence | {"stash": stash}, "text": text, "request_id": "r", "output": inner, "usage": usage}
    return event("result-generated", {"output": output, "usage": usage})


def test_what_a_result_says_twice_is_told_once() -> None:
    outputs: list[Output] = [*running().receive(twice_over("yes"))]
    assert [output for output in outputs if isinstance(output, FinalResult)] == [
        FinalResult(text="yes", start_ms=170, end_ms=920)
    ]


def test_totals_at_the_end_are_the_bill() -> None:
    task = running()
    task.receive(twice_over("yes"))
    task.finish()
    totals = {"duration": 4, "input_tokens": 120, "output_tokens": 4, "total_tokens": 124}
    assert task.receive(event("task-finished", {"output": {}, "usage": totals})) == [Finished(billed_ms=4000)]
