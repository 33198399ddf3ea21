"""The server's events of dialect B, as JSON text. Pure but for their ids."""

from __future__ import annotations

import itertools
import json
import uuid

from dashscope_emulator.knobs import Knobs
from dashscope_emulator.session_requests import EventRefused, SessionSettings

_TRANSCRIPTION = "conversation.item.input_audio_transcription"


class SessionMessages:
    """Writes the events of one session."""

    def __init__(self, session_id: str, model: str, knobs: Knobs) -> None:
        self._session_id = session_id
        self._model = model
        self._knobs = knobs
        self._prefix = uuid.uuid4().hex[:20]
        self._numbers = itertools.count()

    def session(self, event: str, settings: SessionSettings) -> str:
        """Return ``session.created`` or ``session.updated``, with the settings in force."""
        detection = settings.turn_detection
        session: dict[str, object] = {
            "id": self._session_id,
            "object": "realtime.session",
            "model": self._model,
            "modalities": ["text"],
            "input_audio_format": settings.input_format,
            "input_audio_transcription": settings.transcription,
            "turn_detection": detection
            and {
                "type": "server_vad",
                "threshold": detection.threshold,
                "silence_duration_ms": detection.silence_ms,
            },
        }
        if self._knobs.session_sample_rate_echoed:
            session["sample_rate"] = settings.sample_rate_hertz
        return self.event(event, session=session)

    def speech_started(self, item_id: str, start_ms: int) -> str:
        """Return ``input_audio_buffer.speech_started``."""
        return self.event("input_audio_buffer.speech_started", audio_start_ms=start_ms, item_id=item_id)

    def speech_stopped(self, item_id: str, end_ms: int) -> str:
        """Return ``input_audio_buffer.speech_stopped``."""
        return self.event("input_audio_buffer.speech_stopped", audio_end_ms=end_ms, item_id=item_id)

    def committed(self, item_id: str, previous: str | None) -> list[str]:
        """Return ``input_audio_buffer.committed``, and ``conversation.item.created`` for the item made of it."""
        item = {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        return [
            self.event("input_audio_buffer.committed", previous_item_id=previous, item_id=item_id),
            self.event("conversation.item.created", previous_item_id=previous, item=item),
        ]

    def text(self, item_id: str, language: str, confirmed: str, stash: str) -> str:
        """Return the text so far: what will not change, and what may."""
        return self.event(
            f"{_TRANSCRIPTION}.text",
            item_id=item_id,
            content_index=0,
            language=language,
            emotion="neutral",
            text=confirmed,
            stash=stash,
        )

    def completed(self, item_id: str, language: str, transcript: str, seconds: int) -> str:
        """Return the final text of an item."""
        more = {"usage": {"duration": seconds}} if self._knobs.session_usage else {}
        return self.event(
            f"{_TRANSCRIPTION}.completed",
            item_id=item_id,
            content_index=0,
            language=language,
            emotion="neutral",
            transcript=transcript,
            **more,
        )

    def failed(self, item_id: str, code: str, message: str) -> str:
        """Return that an item could not be transcribed."""
        error = {"code": code, "message": message, "param": None}
        return self.event(f"{_TRANSCRIPTION}.failed", item_id=item_id, content_index=0, error=error)

    def refused(self, refused: EventRefused) -> str:
        """Return ``error`` for an event that was refused."""
        return self.error("invalid_request_error", refused.code, refused.message, refused.param, refused.event_id)

    def error(
        self,
        kind: str,
        code: str | None,
        message: str,
        param: str | None = None,
        event_id: str | None = None,
    ) -> str:
        """Return ``error``."""
        error = {"type": kind, "code": code, "message": message, "param": param, "event_id": event_id}
        return self.event("error", error=error)

    def event(self, event: str, **fields: object) -> str:
        """Return an event of any type."""
        head = {"event_id": f"event_{self._prefix}{next(self._numbers)}", "type": event}
        return json.dumps({**head, **fields}, ensure_ascii=False)
