"""Requests as a browser writes them."""

from __future__ import annotations

import json

import pytest

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.contract.json_messages import ending_text, internal_error_text, key_in_text, request_from_text
from asrgateway_server.errors import ClientLimitReached, InvalidRequest


def test_the_first_text_is_a_config() -> None:
    text = (
        '{"model": "m", "decodingConfig": {"sampleRateHertz": 8000}, "endpointing": {"serverVad": {"silence": "0.5s"}}}'
    )
    request = request_from_text(text, is_first=True)
    assert request is not None
    assert request.streaming_config.decoding_config.sample_rate_hertz == 8000
    assert request.streaming_config.endpointing.server_vad.silence.ToMilliseconds() == 500


def test_an_empty_config_is_one() -> None:
    assert request_from_text("{}", is_first=True) == pb.RecognizeRequest(streaming_config=pb.StreamingConfig())


def test_later_texts_are_commits_updates_and_the_end() -> None:
    assert request_from_text('{"commit": {}}', is_first=False) == pb.RecognizeRequest(commit=pb.Commit())
    update = pb.ConfigUpdate(adaptation=pb.SpeechAdaptation(context="stars"))
    text = '{"update": {"adaptation": {"context": "stars"}}}'
    assert request_from_text(text, is_first=False) == pb.RecognizeRequest(update=update)
    assert request_from_text('{"finish": {}}', is_first=False) is None


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"endpointing": {"serverVad": {"silence": 5}}}', "streaming_config.endpointing"),
        ('{"adaptation": {"hotwords": [{"text": 5}]}}', "streaming_config.adaptation.hotwords.text"),
        ('{"adaptation": {"hotwords": [{"nonsense": 5}]}}', "streaming_config.adaptation"),
        ('{"endpointing": {"semantic": {}, "manual": {}}}', "streaming_config.endpointing"),
        ('{"vendorParameters": {"a": ' + "[" * 200 + "]" * 200 + "}}", "streaming_config"),
        ('{"model": NaN}', "streaming_config.model"),
    ],
)
def test_an_error_leads_to_its_field(text: str, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        request_from_text(text, is_first=True)
    assert refused.value.field is not None
    assert refused.value.field.startswith(field)


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(InvalidRequest, match="streaming_config has no field modell"):
        request_from_text('{"modell": "m"}', is_first=True)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"apiKey": "k"}', "k"),
        ('{"apiKey": 5}', ""),
        ('{"apiKey": "k", "model": "m"}', ""),
        ('["apiKey"]', ""),
        ('{"apiKey"', ""),
        ('{"model": "apiKey"}', ""),
        ('{"apiKey": "' + "k" * 3000 + '"}', ""),
        ("[" * 1000 + '"apiKey"', ""),
    ],
)
def test_a_key_is_the_only_field_of_its_text(text: str, key: str) -> None:
    assert key_in_text(text) == key


def test_the_last_text_is_a_status() -> None:
    assert json.loads(ending_text(None)) == {"status": {"code": 0}}
    assert json.loads(internal_error_text("our fault")) == {"status": {"code": 13, "message": "our fault"}}


def test_a_status_has_its_details() -> None:
    error = ClientLimitReached("too many", field="commit", retry_after_seconds=1.5)
    status = json.loads(ending_text(error))["status"]
    kinds = [detail["@type"].rpartition(".")[2] for detail in status["details"]]
    assert (status["code"], kinds) == (8, ["ErrorInfo", "BadRequest", "RetryInfo"])
    assert status["details"][2]["retryDelay"] == "1.500s"
