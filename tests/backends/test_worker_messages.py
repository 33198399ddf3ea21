"""What goes between gateway and worker comes out as it went in, and nothing in it can run."""

from __future__ import annotations

import pickle
from typing import get_args

import pytest

from asrgateway_server.backends.worker_messages import (
    pack_adaptation,
    pack_events,
    unpack_adaptation,
    unpack_events,
)
from asrgateway_server.config import Adaptation, ContextMessage, ContextRole, Hotword
from asrgateway_server.events import (
    BackendEvent,
    CommitEmpty,
    Emotion,
    FinalResult,
    Finished,
    InterimResult,
    OptionWarning,
    Ready,
    SpeechEnded,
    SpeechStarted,
    UpdateApplied,
    WarningCode,
    Word,
)

WORDS = (Word(text="红隼", start_ms=0, end_ms=10), Word(text='say "no"', start_ms=10, end_ms=20, punctuation="."))
EVENTS: list[BackendEvent | Finished] = [
    Ready(request_id="task"),
    SpeechStarted(offset_ms=1),
    SpeechEnded(offset_ms=2),
    InterimResult(text="a b", committed="a", start_ms=0, end_ms=20, words=WORDS, language_code="en"),
    FinalResult(text="a", words=WORDS, emotion=Emotion(label="calm", confidence=0.5), is_forced=True),
    CommitEmpty(),
    UpdateApplied(),
    OptionWarning(code=WarningCode.OPTION_CHANGED, field="x", message="y"),
    Finished(billed_ms=None),
]


def test_every_event_comes_out_as_it_went_in() -> None:
    assert {type(event) for event in EVENTS} == {*get_args(BackendEvent), Finished}
    assert unpack_events(pack_events(EVENTS)) == EVENTS


def test_no_event_is_an_answer_too() -> None:
    assert unpack_events(pack_events([])) == []


def test_an_adaptation_comes_out_as_it_went_in() -> None:
    adaptation = Adaptation(
        vocabulary_id="v",
        hotwords=(Hotword(text="kestrel", weight=5, language_code="en"),),
        context="birds",
        context_messages=(ContextMessage(role=ContextRole.ASSISTANT, text="which one?"),),
    )
    assert unpack_adaptation(pack_adaptation(adaptation)) == adaptation


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"{}[",
        b"[1]",
        b"null",
        b'[["Ready"]]',
        b'[["System",{}]]',
        b'[[["Ready"],{}]]',
        b'[["SpeechStarted",{}]]',
        b'[["SpeechStarted",{"offset_ms":"soon"}]]',
        b"[" * 100_000,
        pickle.dumps([Ready()]),
    ],
)
def test_what_is_no_event_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="no events"):
        unpack_events(payload)
