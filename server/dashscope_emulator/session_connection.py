"""Dialect B, ``/api-ws/v1/realtime``: one session on one connection."""

from __future__ import annotations

import base64
import binascii
import math
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from aiohttp import WSMessage, WSMsgType, web

from dashscope_emulator import fault_injection
from dashscope_emulator.audio_input import open_input
from dashscope_emulator.connection import Connection, Handshake, Limit, Services
from dashscope_emulator.expected_words import of_text
from dashscope_emulator.faults import FailItem, Phase
from dashscope_emulator.models import SESSION_MODELS
from dashscope_emulator.plain_audio import UndecodableAudio
from dashscope_emulator.recognition import Recognition
from dashscope_emulator.recognizers.base import NoRecognizerLeft, RecognizerFailed, Sentence
from dashscope_emulator.sender import Sender
from dashscope_emulator.session_items import SessionItems
from dashscope_emulator.session_messages import SessionMessages
from dashscope_emulator.session_requests import (
    EventRefused,
    SessionSettings,
    TurnDetection,
    read_event,
    require_same_audio,
    updated,
)

_SERVER_ERROR: Final = "server_error"
_TOO_SMALL: Final = "Error committing input audio buffer: buffer too small, or have no audio."
_FAILURES: Final[Mapping[type[Exception], tuple[str, str]]] = MappingProxyType(
    {
        NoRecognizerLeft: ("ModelServingError", "Too many requests."),
        RecognizerFailed: ("InternalError", "Internal service error."),
    }
)


class SessionConnection(Connection):
    """One WebSocket of dialect B."""

    def __init__(self, services: Services, handshake: Handshake, sender: Sender, socket: web.WebSocketResponse) -> None:
        super().__init__(services, handshake, sender, socket)
        session_id = f"sess_{uuid.uuid4().hex[:20]}"
        self._messages = SessionMessages(session_id, handshake.model, self.knobs)
        self._items = SessionItems(self._messages, self.knobs)
        self._journal = services.journals.begin(handshake.connection, session_id, handshake.model)
        self._journal.headers = handshake.headers
        self._speech_faults = self.faults(Phase.SPEECH, self._journal)
        self._settings = SessionSettings()
        self._recognition: Recognition | None = None  # since the first audio
        self._committed_ms = 0
        self._has_updates = False
        self._is_discarding = False
        self._last_event = self.opened
        self._handlers: Mapping[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "session.finish": self._finish,
        }

    async def on_open(self) -> None:
        """Send ``session.created``, or refuse the model.

        Source: Model Studio, "Qwen-ASR realtime interaction process": a wrong model closes with 1007.
        """
        is_known = self.handshake.model in SESSION_MODELS
        await fault_injection.apply(self, self.faults(Phase.START, self._journal).due())
        if self.is_over:
            return
        if is_known or self.knobs.session_created_before_1007:
            await self.sender.send(self._messages.session("session.created", self._settings))
        if not is_known:
            await self.close(1007, "Model not found", after_seconds=self.knobs.session_bad_model_seconds)

    async def on_message(self, message: WSMessage) -> None:
        """Serve one event."""
        if message.type is WSMsgType.PING:
            return
        self._last_event = self.now()
        try:
            await self._serve(message)
        except EventRefused as refused:
            await self.sender.send(self._messages.refused(refused))
        except RecursionError:
            too_deep = EventRefused("The event is nested too deeply.", code="invalid_json")
            await self.sender.send(self._messages.refused(too_deep))
        except tuple(_FAILURES) as failure:
            await self.fail(*_FAILURES[type(failure)])

    async def on_end(self) -> None:
        """Drop what was not finished."""
        await self._end("disconnected")

    async def fail(self, code: str, message: str) -> None:
        """Send ``error`` of the server's own; close if that is fatal."""
        await self.sender.send(self._messages.error(_SERVER_ERROR, code, message))
        if _SERVER_ERROR in self.knobs.session_fatal_errors:
            await self._end("failed")
            await self.close(self.knobs.failure_close_code)

    def fail_next_item(self, code: str, message: str) -> None:
        """Let the next item fail."""
        self._items.failures.append(FailItem(code=code, message=message))

    def unknown_event(self, padding: int) -> str:
        """Return an event that no manual knows."""
        return self._messages.event("session.progress", padding="x" * padding)

    def limits(self) -> Iterator[Limit]:
        """Yield the time limits in force."""
        yield from super().limits()
        if self.knobs.session_idle_seconds:
            yield Limit(self._last_event + self.scaled(self.knobs.session_idle_seconds), self.close_idle)

    async def _serve(self, message: WSMessage) -> None:
        if message.type is not WSMsgType.TEXT:
            raise EventRefused("Binary messages are not supported.", code="invalid_message")
        event = read_event(message.data)
        event_id = event.get("event_id")
        try:
            await self._handlers.get(event["type"], self._refuse_unknown)(event)
        except EventRefused as refused:
            refused.event_id = event_id if isinstance(event_id, str) else None
            raise

    async def _refuse_unknown(self, event: dict[str, Any]) -> None:
        raise EventRefused(f"Invalid value: '{event['type']}'.", code="invalid_value", param="type")

    async def _update(self, event: dict[str, Any]) -> None:
        if self._has_updates and self.knobs.session_updates == "error":
            raise EventRefused("The session has been updated already.", code="invalid_value", param="session")
        settings = updated(self._settings, event.get("session"))
        if self._recognition is not None:
            require_same_audio(self._settings, settings)
            await self._recognition.adapt(_sentence_silence_ms(settings), of_text(settings.corpus))
        self._settings = settings
        self._has_updates = True
        self._journal.parameters = dict(event["session"])
        await self.sender.send(self._messages.session("session.updated", settings))

    async def _append(self, event: dict[str, Any]) -> None:
        try:
            data = base64.b64decode(event.get("audio", ""), validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise EventRefused("Invalid base64 audio.", code="invalid_value", param="audio") from None
        recognition = self._recognition or await self._begin()
        try:
            await recognition.feed(data)
        except UndecodableAudio:
            raise EventRefused("Failed to decode audio.", code="invalid_value", param="audio") from None
        begin_ms, limit_ms = self._items.begin_ms, self.knobs.session_item_ms
        if limit_ms and begin_ms is not None and recognition.audio_ms - begin_ms >= limit_ms:
            await recognition.commit()
        due = self._speech_faults.due(audio_ms=recognition.audio_ms, packets=self._journal.packets)
        await fault_injection.apply(self, due)

    async def _begin(self) -> Recognition:
        """Open the recogniser, whose format and rate cannot change from now on."""
        settings = self._settings
        audio_input = open_input(settings.input_format, settings.sample_rate_hertz)
        self._recognition = Recognition(audio_input, settings.sample_rate_hertz, self._journal)
        words = of_text(settings.corpus)
        await self._recognition.open(self.services.recognizers, _sentence_silence_ms(settings), words, self._emit)
        return self._recognition

    async def _commit(self, _: dict[str, Any]) -> None:
        if self._settings.turn_detection is not None:
            if self.knobs.session_vad_commit == "error":
                raise EventRefused("Cannot commit while turn detection is on.", code="invalid_value", param="type")
        elif self._journal.audio_ms - self._committed_ms < max(self.knobs.session_commit_min_ms, 1):
            raise EventRefused(_TOO_SMALL)
        else:
            await self._end_sentence()
            await self._commit_finals()

    async def _clear(self, _: dict[str, Any]) -> None:
        self._is_discarding = True
        await self._end_sentence()
        self._is_discarding = False
        self._items.clear()
        self._committed_ms = self._journal.audio_ms
        if self.knobs.session_clear_acknowledged:
            await self._send([self._messages.event("input_audio_buffer.cleared")])

    async def _finish(self, _: dict[str, Any]) -> None:
        await self._end_sentence()
        if self._items.finals and self.knobs.session_finish_commits:
            await self._commit_finals()
        await fault_injection.apply(self, self.faults(Phase.FINISH, self._journal).due())
        if self.is_over:
            return
        await self._end("finished")
        await self._send([self._messages.event("session.finished")])
        self.is_over = True
        if self.knobs.session_finish_closes:
            await self.close(1000, after_seconds=self.services.recognizers.delay_seconds)

    async def _end_sentence(self) -> None:
        if self._recognition is not None:
            await self._recognition.commit()

    async def _commit_finals(self) -> None:
        self._committed_ms = self._journal.audio_ms
        await self._send(self._items.commit(self._language, self._seconds))

    async def _emit(self, sentence: Sentence) -> None:
        if self.is_over or self._is_discarding:
            return
        if self._settings.turn_detection is None:
            self._items.keep(sentence)
        else:
            await self._send(self._items.update(sentence, self._language, self._seconds))

    async def _send(self, messages: Iterable[str]) -> None:
        for message in messages:
            await self.sender.send_result(message, after_seconds=self.services.recognizers.delay_seconds)

    @property
    def _language(self) -> str:
        return self._settings.language or self.knobs.session_language

    @property
    def _seconds(self) -> int:
        return math.ceil(self._journal.audio_ms / 1000)

    async def _end(self, outcome: str) -> None:
        if self._journal.ended.is_set():
            return
        self.services.journals.end(self._journal, outcome)
        if self._recognition is not None:
            await self._recognition.close()


def _sentence_silence_ms(settings: SessionSettings) -> int:
    """Return the silence that ends a sentence; without turn detection a commit takes all sentences."""
    return (settings.turn_detection or TurnDetection()).silence_ms
