"""The server's messages of the session dialect as types."""

from __future__ import annotations

import json

import pytest

import session_messages as sent
from asrgateway_server.errors import UpstreamProtocolError
from asrgateway_server.vendors.dashscope.adapters.session_messages import (
    Committed,
    Error,
    ErrorDetails,
    Known,
    Session,
    SessionCreated,
    SessionFinished,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    TranscriptionCompleted,
    TranscriptionFailed,
    TranscriptionText,
    Unknown,
    decode,
)

A = sent.ITEM
MESSAGES: dict[str, tuple[str, Known]] = {
    "created": (sent.created(), SessionCreated(session=Session(id=sent.SESSION))),
    "updated": (sent.updated(), SessionUpdated()),
    "finished": (sent.finished(), SessionFinished()),
    "started": (sent.speech_started(9), SpeechStarted(item_id=A, audio_start_ms=9)),
    "stopped": (sent.speech_stopped(9), SpeechStopped(item_id=A, audio_end_ms=9)),
    "committed": (sent.committed(), Committed(item_id=A)),
    "text": (sent.text("a", "b"), TranscriptionText(item_id=A, text="a", stash="b", language="en")),
    "completed": (
        sent.completed("a"),
        TranscriptionCompleted(item_id=A, transcript="a", language="en", emotion="neutral"),
    ),
    "failed": (sent.item_failed(), TranscriptionFailed(item_id=A)),
    "error": (
        sent.error("kind", "code", "message", param="p", event_id="e"),
        Error(error=ErrorDetails(type="kind", code="code", message="message", param="p", event_id="e")),
    ),
}


@pytest.mark.parametrize(("message", "means"), MESSAGES.values(), ids=MESSAGES)
def test_each_message_has_a_type(message: str, means: Known) -> None:
    decoded = decode(message)
    assert not isinstance(decoded, Unknown)
    assert decoded.event_id
    assert decode(without_its_name(message)) == means


def without_its_name(message: str) -> str:
    fields = json.loads(message)
    del fields["event_id"]
    return json.dumps(fields)


def test_fields_may_be_missing_or_null() -> None:
    kind = "conversation.item.input_audio_transcription.text"
    assert decode(json.dumps({"type": kind, "item_id": A, "text": None})) == TranscriptionText(item_id=A)


def test_a_code_may_be_a_number() -> None:
    assert decode('{"type": "error", "error": {"code": 429}}') == Error(error=ErrorDetails(code=429))


@pytest.mark.parametrize("message", [sent.item_created(), sent.event("session.progress", item_id=1), '{"type": ""}'])
def test_an_unknown_event_is_no_error(message: str) -> None:
    assert decode(message) == Unknown()


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("no JSON", "not JSON"),
        ('{"type": "\ud800"}', "not JSON"),
        ("[]", "object"),
        ("{}", "type"),
        ('{"type": 1}', "type"),
        (sent.event("session.created"), "session"),
        (sent.event("session.created", session={"id": 1}), "session.id"),
        (sent.event("error"), "error"),
        (sent.error(1), "error.type"),  # type: ignore[arg-type] # wrong on purpose
        (sent.speech_started("soon"), "audio_start_ms"),
        (sent.speech_stopped(1.5), "audio_end_ms"),
        (sent.speech_stopped(True), "audio_end_ms"),
        (sent.event("input_audio_buffer.speech_started", audio_start_ms=1), "item_id"),
        (sent.committed(""), "item_id"),
        (sent.completed(["secret"]), "transcript"),  # type: ignore[arg-type] # wrong on purpose
        (sent.text("secret", 7), "stash"),  # type: ignore[arg-type] # wrong on purpose
    ],
)
def test_an_error_names_the_field_and_never_holds_what_was_said(message: str, names: str) -> None:
    with pytest.raises(UpstreamProtocolError, match=names) as caught:
        decode(message)
    assert "secret" not in str(caught.value)
