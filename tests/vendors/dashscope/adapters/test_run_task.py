"""The run-task dialect: the vendor's messages in, events out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from asrgateway_server.backends.adapter import Send
from asrgateway_server.config import Adaptation, AudioFormat, Features, RecognitionConfig
from asrgateway_server.errors import (
    GatewayError,
    Overloaded,
    UndecodableAudio,
    UpstreamLost,
    UpstreamProtocolError,
    UpstreamRefused,
)
from asrgateway_server.events import (
    Emotion,
    FinalResult,
    Finished,
    InterimResult,
    Ready,
    SpeechEnded,
    SpeechStarted,
    Word,
)
from asrgateway_server.models import UpstreamEncoding
from asrgateway_server.vendors.dashscope.adapters.paraformer import ParaformerAdapter
from asrgateway_server.vendors.dashscope.adapters.run_task import RunTaskAdapter
from catalogues import WITH_KEY
from messages import event, failed, final, finished, interim, started, word

MODELS = WITH_KEY
SECOND_OF_AUDIO = bytes(32_000)


@pytest.fixture
def adapter() -> RunTaskAdapter:
    config = RecognitionConfig(
        model=MODELS.find("paraformer-realtime-v2"),
        audio=AudioFormat(sample_rate_hertz=16_000),
        features=Features(word_time_offsets=True),
    )
    return RunTaskAdapter(config, "task-1", {"format": "pcm"})


@pytest.fixture
def running(adapter: RunTaskAdapter) -> RunTaskAdapter:
    adapter.start()
    adapter.receive(started())
    adapter.audio(SECOND_OF_AUDIO)
    return adapter


def sent(outputs: Any) -> list[dict[str, Any]]:
    return [json.loads(output.message) for output in outputs if isinstance(output, Send)]


def test_a_task_begins_with_run_task(adapter: RunTaskAdapter) -> None:
    (message,) = sent(adapter.start())
    assert message == {
        "header": {"action": "run-task", "task_id": "task-1", "streaming": "duplex"},
        "payload": {
            "task_group": "audio",
            "task": "asr",
            "function": "recognition",
            "model": "paraformer-realtime-v2",
            "parameters": {"format": "pcm"},
            "input": {},
        },
    }


def test_audio_waits_until_the_task_has_started(adapter: RunTaskAdapter) -> None:
    adapter.start()
    assert not adapter.is_ready
    assert adapter.receive(started()) == [Ready(request_id="task-1")]
    assert adapter.is_ready


def test_audio_is_sent_as_it_is(running: RunTaskAdapter) -> None:
    assert running.audio(b"\1\2") == b"\1\2"


def test_the_end_is_told_with_an_empty_input(running: RunTaskAdapter) -> None:
    (message,) = sent(running.finish())
    assert message == {
        "header": {"action": "finish-task", "task_id": "task-1", "streaming": "duplex"},
        "payload": {"input": {}},
    }
    assert not running.is_ready


def test_an_open_sentence_becomes_interim_results(running: RunTaskAdapter) -> None:
    assert running.receive(interim("please", words=[word("please", 170, 400)])) == [
        SpeechStarted(offset_ms=170),
        InterimResult(text="please", start_ms=170, end_ms=400, words=(Word(text="please", start_ms=170, end_ms=400),)),
    ]
    assert running.receive(interim("please open")) == [InterimResult(text="please open", start_ms=170, end_ms=170)]


def test_a_closed_sentence_becomes_one_final_result(running: RunTaskAdapter) -> None:
    running.receive(interim("你好"))
    assert running.receive(final("你好。", words=[word("你好", 170, 920, "。")])) == [
        SpeechEnded(offset_ms=920),
        FinalResult(
            text="你好。",
            start_ms=170,
            end_ms=920,
            words=(Word(text="你好", start_ms=170, end_ms=920, punctuation="。"),),
        ),
    ]


def test_either_mark_closes_a_sentence(running: RunTaskAdapter) -> None:
    by_time = running.receive(final("a", sentence_end=False))
    by_mark = running.receive(final("b", 1200, None, words=[word("b", 1200, 1300)]))
    assert [output for output in (*by_time, *by_mark) if isinstance(output, FinalResult)] == [
        FinalResult(text="a", start_ms=170, end_ms=920),
        FinalResult(text="b", start_ms=1200, end_ms=1300, words=(Word(text="b", start_ms=1200, end_ms=1300),)),
    ]


def test_words_are_made_only_where_the_call_wants_them() -> None:
    audio = AudioFormat(sample_rate_hertz=16_000)
    plain = RunTaskAdapter(RecognitionConfig(model=MODELS.find("paraformer-realtime-v2"), audio=audio), "task-1", {})
    (_, result) = plain.receive(interim("please", words=[word("please", 170, 400, fixed=True)]))
    assert result == InterimResult(text="please", committed="please", start_ms=170, end_ms=400)


def test_only_words_that_are_fixed_are_committed(running: RunTaskAdapter) -> None:
    words = [
        word("please", 0, 1, fixed=True),
        word(" open", 1, 2, ",", fixed=True),
        word(" a", 2, 3, fixed=False),
        word(" door", 3, 4, fixed=True),
    ]
    (_, result) = running.receive(interim("please open, a door", words=words))
    assert isinstance(result, InterimResult)
    assert result.committed == "please open,"


def test_fixed_words_that_are_not_the_text_commit_nothing(running: RunTaskAdapter) -> None:
    (_, result) = running.receive(interim("Please open", words=[word("please", 0, 1, fixed=True)]))
    assert isinstance(result, InterimResult)
    assert result.committed == ""


@pytest.mark.parametrize(
    "message",
    [
        interim("", heartbeat=True, sentence_id=0),
        interim(""),
        event("something-new", {"output": 1}),
    ],
    ids=["heartbeat", "empty interim", "unknown event"],
)
def test_what_carries_no_news_is_passed_over(running: RunTaskAdapter, message: str) -> None:
    assert running.receive(message) == []


def test_a_heartbeat_mark_beside_text_is_no_reason_to_lose_it(running: RunTaskAdapter) -> None:
    assert (running.receive(interim("yes", heartbeat=True)))[-1] == InterimResult(text="yes", start_ms=170, end_ms=170)


@pytest.mark.parametrize("confidence", [0.9, 1, None])
def test_emotion_comes_with_its_confidence(running: RunTaskAdapter, confidence: float | None) -> None:
    (*_, result) = running.receive(final("good", emo_tag="positive", emo_confidence=confidence))
    assert isinstance(result, FinalResult)
    assert result.emotion == Emotion(label="positive", confidence=confidence)


def test_what_is_billed_is_the_last_count_and_no_sum(running: RunTaskAdapter) -> None:
    running.receive(final("a", billed_seconds=2))
    running.receive(final("b", billed_seconds=5))
    running.finish()
    assert running.receive(finished()) == [Finished(billed_ms=5000)]


def test_without_a_count_nothing_is_said_of_the_bill(running: RunTaskAdapter) -> None:
    running.finish()
    assert running.receive(finished()) == [Finished(billed_ms=None)]


def test_it_ends_where_an_utterance_is_committed(running: RunTaskAdapter) -> None:
    assert running.ends_at_commit
    with pytest.raises(NotImplementedError):
        running.commit()


def test_a_sentence_without_a_final_ends_as_far_as_it_was_promised(running: RunTaskAdapter) -> None:
    running.receive(interim("two things", words=[word("two", 170, 400, fixed=True), word(" things", 400, 600)]))
    running.finish()
    assert running.receive(finished()) == [FinalResult(text="two", start_ms=170, end_ms=600), Finished()]


def test_a_sentence_without_a_final_ends_before_the_end(running: RunTaskAdapter) -> None:
    running.receive(interim("two"))
    running.finish()
    assert (running.receive(finished())) == [FinalResult(text="", start_ms=170, end_ms=170), Finished()]


def test_a_sentence_may_begin_before_the_end_of_the_one_before(running: RunTaskAdapter) -> None:
    """Seen by users: the times of sentences overlap."""
    running.receive(final("one", 160, 5720))
    assert (running.receive(final("two", 4350, 7000)))[-1] == FinalResult(text="two", start_ms=4350, end_ms=7000)


@pytest.mark.parametrize("again", [started(), final("one", 160, 5720), interim("on", 160), final("", 160, 5720)])
def test_what_is_said_twice_or_too_late_is_passed_over(running: RunTaskAdapter, again: str) -> None:
    running.receive(final("one", 160, 5720))
    assert running.receive(again) == []
    running.finish()
    assert running.receive(again) == []


@pytest.mark.parametrize("message", [started("task-0"), final("one", task_id="task-0"), finished("task-0")])
def test_the_task_before_on_the_same_connection_is_no_concern(adapter: RunTaskAdapter, message: str) -> None:
    adapter.start()
    assert adapter.receive(message) == []
    assert not adapter.is_ready


def test_its_connection_can_carry_another_task(running: RunTaskAdapter) -> None:
    running.finish()
    running.receive(finished())
    assert running.keeps_connection


CALLS: dict[str, Callable[[RunTaskAdapter], object]] = {
    "audio": lambda task: task.audio(SECOND_OF_AUDIO),
    "update": lambda task: task.update(Adaptation()),
    "finish": RunTaskAdapter.finish,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_out_of_order_is_our_mistake(adapter: RunTaskAdapter, call: Callable[[RunTaskAdapter], object]) -> None:
    with pytest.raises(RuntimeError, match="whose task is new"):
        call(adapter)
    adapter.start()
    with pytest.raises(RuntimeError, match="whose task is starting"):
        call(adapter)
    adapter.receive(started())
    adapter.finish()
    with pytest.raises(RuntimeError, match="whose task is finishing"):
        call(adapter)
    adapter.receive(finished())
    with pytest.raises(RuntimeError, match="whose task is ended"):
        call(adapter)


def test_a_task_starts_once(running: RunTaskAdapter) -> None:
    with pytest.raises(RuntimeError):
        running.start()


def test_nothing_comes_after_the_end(running: RunTaskAdapter) -> None:
    running.receive(finished())
    with pytest.raises(RuntimeError):
        running.receive(final("late"))


def test_nothing_comes_after_a_failure(running: RunTaskAdapter) -> None:
    with pytest.raises(UpstreamRefused):
        running.receive(failed("InvalidParameter"))
    with pytest.raises(RuntimeError):
        running.audio(SECOND_OF_AUDIO)


@pytest.mark.parametrize(
    "message",
    [
        "no JSON",
        "[]",
        "{}",
        '{"header": 1}',
        event("result-generated"),
        event("result-generated", {"output": None}),
        event("result-generated", {"output": {"sentence": {"text": 7}}}),
        event("result-generated", {"output": {"sentence": {"text": "a", "begin_time": "soon", "end_time": 1}}}),
    ],
)
def test_a_broken_message_is_the_vendors_fault(running: RunTaskAdapter, message: str) -> None:
    with pytest.raises(UpstreamProtocolError):
        running.receive(message)


REFUSED, BUSY, LOST, AUDIO = UpstreamRefused, Overloaded, UpstreamLost, UndecodableAudio
CODES: dict[str, type[GatewayError]] = {
    "InvalidApiKey": REFUSED,
    "invalid_api_key": REFUSED,
    "NOT AUTHORIZED": REFUSED,
    "invalid access token or token expired": REFUSED,
    "Arrearage": REFUSED,
    "AccessDenied": REFUSED,
    "AccessDenied.Unpurchased": REFUSED,
    "Model.AccessDenied": REFUSED,
    "Workspace.AccessDenied": REFUSED,
    "App.AccessDenied": REFUSED,
    "Endpoint.AccessDenied": REFUSED,
    "AllocationQuota.FreeTierOnly": REFUSED,
    "ModelNotFound": REFUSED,
    "model_not_found": REFUSED,
    "InvalidParameter": REFUSED,
    "WorkSpaceNotFound": REFUSED,
    "NotFound": REFUSED,
    "CommodityNotPurchased": REFUSED,
    "PrepaidBillOverdue": REFUSED,
    "PostpaidBillOverdue": REFUSED,
    "Throttling": BUSY,
    "Throttling.RateQuota": BUSY,
    "Throttling.BurstRate": BUSY,
    "Throttling.AllocationQuota": BUSY,
    "LimitRequests": BUSY,
    "limit_requests": BUSY,
    "limit_burst_rate": BUSY,
    "insufficient_quota": BUSY,
    "ModelServingError": LOST,
    "BadRequest.EmptyInput": REFUSED,
    "BadRequest.ResourceNotExist": REFUSED,
    "BadRequest.TooLarge": REFUSED,
    "invalid_value": REFUSED,
    "NO_VALID_AUDIO_ERROR": AUDIO,
    "NO_INPUT_AUDIO_ERROR": AUDIO,
    "UNSUPPORTED_FORMAT": AUDIO,
    "DECODE_ERROR": AUDIO,
    "DataInspectionFailed": REFUSED,
    "data_inspection_failed": REFUSED,
    "ClientDisconnect": LOST,
    "Conflict": REFUSED,
    "CLIENT_ERROR": LOST,
    "RequestTimeOut": LOST,
    "ResponseTimeout": LOST,
    "InternalError": LOST,
    "InternalError.Algo": LOST,
    "InternalError.Timeout": LOST,
    "SystemError": LOST,
    "ModelServiceFailed": LOST,
    "ModelUnavailable": LOST,
    "ServiceUnavailable": LOST,
    "GatewayTimeout": LOST,
    "a code that nobody has seen": LOST,
    "": LOST,
}


@pytest.mark.parametrize(("code", "means"), CODES.items(), ids=[code or "no code" for code in CODES])
def test_a_failed_task_means_what_its_code_says(running: RunTaskAdapter, code: str, means: type[GatewayError]) -> None:
    with pytest.raises(means) as caught:
        running.receive(failed(code))
    assert caught.value.upstream_code == code
    assert caught.value.upstream_request_id == "task-1"


def test_a_failure_that_names_no_task_is_about_this_one(running: RunTaskAdapter) -> None:
    with pytest.raises(UpstreamRefused):
        running.receive(event("task-failed", task_id="", error_code="InvalidParameter"))


def test_the_23_second_rule_is_no_wrong_parameter(running: RunTaskAdapter) -> None:
    with pytest.raises(UpstreamLost):
        running.receive(failed("InvalidParameter", "request timeout after 23 seconds."))


def test_the_vendors_own_sentence_goes_no_further(running: RunTaskAdapter) -> None:
    with pytest.raises(GatewayError) as caught:
        running.receive(failed("InvalidParameter", "word 'Ophiuchus' of key sk-secret is wrong"))
    assert "Ophiuchus" not in str(caught.value)
    assert "sk-secret" not in str(caught.value)


def test_a_task_in_which_nothing_was_said_ends_well(running: RunTaskAdapter) -> None:
    running.finish()
    assert running.receive(failed("NO_VALID_AUDIO_ERROR")) == [Finished(billed_ms=None)]


def test_after_a_failure_the_connection_is_of_no_use(running: RunTaskAdapter) -> None:
    running.finish()
    running.receive(failed("NO_VALID_AUDIO_ERROR"))
    assert not running.keeps_connection


@pytest.mark.parametrize(
    ("on_request", "is_asked", "answers"), [(False, False, True), (True, False, False), (True, True, True)]
)
def test_a_model_may_say_nothing_while_somebody_speaks(on_request: bool, is_asked: bool, answers: bool) -> None:
    model = replace(MODELS.find("paraformer-realtime-v2"), has_interim_on_request=on_request)
    audio = AudioFormat(sample_rate_hertz=16_000)
    config = RecognitionConfig(model=model, audio=audio, interim_results=is_asked)
    assert RunTaskAdapter(config, "task-1", {}).answers_speech is answers


def test_a_task_that_told_something_does_not(running: RunTaskAdapter) -> None:
    running.receive(interim("yes"))
    running.finish()
    with pytest.raises(UndecodableAudio):
        running.receive(failed("NO_VALID_AUDIO_ERROR"))


# A model that is sent Opus ---------------------------------------------------------------------------------------


@pytest.fixture
def coding() -> RunTaskAdapter:
    model = replace(MODELS.find("paraformer-realtime-v2"), upstream_encoding=UpstreamEncoding.OGG_OPUS)
    adapter = ParaformerAdapter(RecognitionConfig(model=model, audio=AudioFormat(sample_rate_hertz=16_000)), "task-1")
    assert sent(adapter.start())[0]["payload"]["parameters"]["format"] == "opus"
    adapter.receive(started())
    return adapter


def test_opus_is_sent_as_it_comes_and_its_end_before_that_of_the_task(coding: RunTaskAdapter) -> None:
    stream = coding.audio(SECOND_OF_AUDIO)
    end, finish = coding.finish()
    assert isinstance(end, Send)
    assert isinstance(end.message, bytes)
    assert isinstance(finish, Send)
    assert (stream[:4], end.message[:4]) == (b"OggS", b"OggS")
    assert json.loads(finish.message)["header"]["action"] == "finish-task"


def test_a_task_without_audio_has_no_opus_to_end(coding: RunTaskAdapter) -> None:
    assert [message["header"]["action"] for message in sent(coding.finish())] == ["finish-task"]


def test_audio_too_short_for_opus_waits_for_more(coding: RunTaskAdapter) -> None:
    assert coding.audio(bytes(100)) == b""
    assert len(coding.finish()) == 2
