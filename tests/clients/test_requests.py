"""The messages that are sent for each item that a program yields."""

import pytest

from asrgateway import Commit, ConfigUpdate, SpeechAdaptation
from asrgateway.requests import MAX_AUDIO_BYTES, requests_for
from asrgateway.v1.recognition_pb2 import RecognizeRequest


def test_small_audio_is_one_message() -> None:
    assert list(requests_for(b"ab")) == [RecognizeRequest(audio=b"ab")]


def test_empty_audio_is_sent_as_a_sign_of_life() -> None:
    assert list(requests_for(b"")) == [RecognizeRequest(audio=b"")]


def test_large_audio_is_split() -> None:
    audio = bytes(MAX_AUDIO_BYTES) + b"end"
    assert [len(request.audio) for request in requests_for(audio)] == [MAX_AUDIO_BYTES, 3]


def test_commits_and_updates_have_their_own_messages() -> None:
    update = ConfigUpdate(adaptation=SpeechAdaptation(context="chess"))
    assert list(requests_for(Commit())) == [RecognizeRequest(commit=Commit())]
    assert list(requests_for(update)) == [RecognizeRequest(update=update)]


def test_anything_else_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="not str"):
        list(requests_for("text"))  # type: ignore[arg-type]  # the mistake in question
