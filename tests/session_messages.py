"""Messages of the vendor's session dialect, as its manual shows them."""

from __future__ import annotations

import itertools
import json
from typing import Any

SESSION = "sess_8Kq2"
ITEM = "item_1"
_numbers = itertools.count(1)
_TRANSCRIPTION = "conversation.item.input_audio_transcription"


def event(kind: str, **fields: Any) -> str:
    """A message with a name of its own."""
    return json.dumps({"event_id": f"event_s{next(_numbers)}", "type": kind, **fields})


def created() -> str:
    return event("session.created", session={"id": SESSION, "object": "realtime.session"})


def updated() -> str:
    return event("session.updated", session={"id": SESSION, "object": "realtime.session"})


def finished() -> str:
    return event("session.finished")


def speech_started(at_ms: Any, item_id: str = ITEM) -> str:
    return event("input_audio_buffer.speech_started", audio_start_ms=at_ms, item_id=item_id)


def speech_stopped(at_ms: Any, item_id: str = ITEM) -> str:
    return event("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=item_id)


def committed(item_id: str = ITEM) -> str:
    return event("input_audio_buffer.committed", previous_item_id=None, item_id=item_id)


def item_created(item_id: str = ITEM) -> str:
    return event("conversation.item.created", previous_item_id=None, item={"id": item_id, "status": "completed"})


def text(confirmed: str, stash: str = "", item_id: str = ITEM, language: str = "en") -> str:
    return event(
        f"{_TRANSCRIPTION}.text",
        item_id=item_id,
        content_index=0,
        language=language,
        emotion="neutral",
        text=confirmed,
        stash=stash,
    )


def completed(transcript: str, item_id: str = ITEM, language: str = "en", emotion: str = "neutral") -> str:
    return event(
        f"{_TRANSCRIPTION}.completed",
        item_id=item_id,
        content_index=0,
        language=language,
        emotion=emotion,
        transcript=transcript,
    )


def item_failed(item_id: str = ITEM) -> str:
    error = {"code": "audio_unintelligible", "message": "The audio could not be transcribed.", "param": None}
    return event(f"{_TRANSCRIPTION}.failed", item_id=item_id, content_index=0, error=error)


def error(
    kind: str = "invalid_request_error",
    code: str | None = "invalid_value",
    message: str = "what the vendor says",
    *,
    param: str | None = None,
    event_id: str | None = None,
) -> str:
    return event("error", error={"type": kind, "code": code, "message": message, "param": param, "event_id": event_id})
