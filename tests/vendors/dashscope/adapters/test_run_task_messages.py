"""The server's messages of the run-task dialect as types."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asrgateway_server.errors import UpstreamProtocolError
from asrgateway_server.vendors.dashscope.adapters.run_task_messages import (
    ResultGenerated,
    Sentence,
    TaskFailed,
    TaskFinished,
    TaskStarted,
    Unknown,
    Usage,
    Word,
    decode,
)
from messages import TASK, event, final, finished, interim, started, word


def result(**fields: Any) -> str:
    """A result whose sentence has these fields, right or wrong."""
    return event("result-generated", {"output": {"sentence": fields}})


def header(**fields: Any) -> str:
    """A message whose header has these fields, right or wrong."""
    return json.dumps({"header": fields})


def sentence(message: str) -> Sentence:
    result = decode(message)
    assert isinstance(result, ResultGenerated)
    return result.sentence


def test_a_task_starts_and_finishes() -> None:
    assert decode(started()) == TaskStarted(task_id=TASK)
    assert decode(finished()) == TaskFinished(task_id=TASK, usage=None)


def test_a_result_has_a_sentence_and_a_bill() -> None:
    result = decode(final("你好。", 170, 920, billed_seconds=3, sentence_id=2, heartbeat=None, emo_tag="positive"))
    assert isinstance(result, ResultGenerated)
    assert result.usage == Usage(duration=3)
    assert result.usage.billed_ms == 3000
    said = result.sentence
    assert (said.text, said.begin_time, said.end_time, said.sentence_end) == ("你好。", 170, 920, True)
    assert (said.sentence_id, said.heartbeat, said.emo_tag, said.emo_confidence) == (2, None, "positive", None)


def test_words_are_read_on_request() -> None:
    said = sentence(interim("a b", words=[word("a", 0, 9, fixed=True), word(" b", 9, 20, ".", speaker_id=None)]))
    assert said.words() == (
        Word(text="a", punctuation="", begin_time=0, end_time=9, fixed=True),
        Word(text=" b", punctuation=".", begin_time=9, end_time=20),
    )


@pytest.mark.parametrize("words", [None, []])
def test_a_sentence_may_have_no_words(words: list[Any] | None) -> None:
    assert sentence(result(words=words)).words() == ()


def test_all_that_a_sentence_may_lack_is_none() -> None:
    assert sentence(event("result-generated", {"output": {"sentence": {}}})) == Sentence()


def test_what_newer_models_add_is_skipped() -> None:
    output = {"sentence": {"text": "a", "stash": {"text": "b"}}, "output": {"sentence": {"text": 1}}, "request_id": 2}
    assert sentence(event("result-generated", {"output": output})).text == "a"


@pytest.mark.parametrize("code", ["429", 429])
def test_a_failure_has_a_code_and_a_message(code: Any) -> None:
    assert decode(event("task-failed", error_code=code, error_message="no")) == TaskFailed(
        task_id=TASK, error_code="429", error_message="no"
    )
    assert decode(event("task-failed")) == TaskFailed(task_id=TASK, error_code="", error_message="")


@pytest.mark.parametrize(
    "message",
    [
        event("something-new", {"output": 1}),
        json.dumps({"header": {"task_id": TASK}}),
        json.dumps({"header": {"task_id": TASK, "event": None}, "payload": []}),
    ],
)
def test_an_unknown_event_is_no_error(message: str) -> None:
    assert decode(message) == Unknown(task_id=TASK)


@pytest.mark.parametrize("payload", [None, [], {}, {"output": {}}, {"output": 1}, {"usage": "much"}])
def test_only_a_result_needs_its_payload(payload: Any) -> None:
    def message(name: str) -> str:
        return json.dumps({"header": {"task_id": TASK, "event": name}, "payload": payload})

    assert decode(message("task-started")) == TaskStarted(task_id=TASK)
    assert decode(message("task-finished")) == TaskFinished(task_id=TASK, usage=None)
    assert decode(message("task-failed")) == TaskFailed(task_id=TASK, error_code="", error_message="")
    with pytest.raises(UpstreamProtocolError):
        decode(message("result-generated"))


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("no JSON", "not JSON"),
        ('{"type": "\ud800"}', "not JSON"),
        ('{"header": ', "not JSON"),
        (json.dumps("\ud800"), "not JSON"),
        ("[]", "object"),
        ("{}", "header"),
        ('{"header": 1}', "header"),
        (header(task_id=7), "task_id"),
        (header(error_code=True), "error_code"),
        (event("result-generated"), "output.sentence"),
        (result(text=7), "text"),
        (result(begin_time="soon"), "begin_time"),
        (result(begin_time=1.5), "begin_time"),
        (result(begin_time=True), "begin_time"),
        (result(sentence_id="1"), "sentence_id"),
        (result(heartbeat=1), "heartbeat"),
    ],
)
def test_an_error_names_the_field(message: str, names: str) -> None:
    with pytest.raises(UpstreamProtocolError, match=names):
        decode(message)


@pytest.mark.parametrize(
    ("words", "names"), [([7], "object"), ([{"begin_time": "soon"}], "begin_time"), ({"a": 1}, "array")]
)
def test_an_error_names_the_field_of_a_word(words: Any, names: str) -> None:
    said = sentence(result(words=words))
    with pytest.raises(UpstreamProtocolError, match=names):
        said.words()


@pytest.mark.parametrize("text", ["the secret plan", "sk-secret"])
def test_an_error_never_holds_what_was_said(text: str) -> None:
    for message in (
        result(begin_time=text),
        header(event=text, task_id={text: text}),
        interim(text)[:-9],
        header(error_code=text, error_message={text: text}),
    ):
        with pytest.raises(UpstreamProtocolError) as caught:
            decode(message)
        assert text not in str(caught.value)
