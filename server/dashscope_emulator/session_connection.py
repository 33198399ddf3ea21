"""Dialect B, ``/api-ws/v1/realtime``: one session on one connection."""

from __future__ import annotations

import base64
import binascii
import math
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import WSMessage, WSMsgType, web

from dashscope_emulator.audio_input import AudioInput, open_input
from dashscope_emulator.connection import Connection, Peer, World
from dashscope_emulator.expected_words import of_text
from dashscope_emulator.faults import FaultPlan, Phase
from dashscope_emulator.journal import Journal
from dashscope_emulator.models import SESSION_MODELS
from dashscope_emulator.plain_audio import UndecodableAudio
from dashscope_emulator.recognizers.base import (
    Heard,
    NoRecognizerLeft,
    Recognizer,
    RecognizerFailed,
    Stream,
)
from dashscope_emulator.session_messages import SessionVoice
from dashscope_emulator.session_requests import (
    EventRefused,
    SessionSettings,
    TurnDetection,
    read_event,
    updated,
)

_TOO_SMALL: Final = "Error committing input audio buffer: buffer too small, or have no audio."


@dataclass(slots=True, kw_only=True)
class _Item:
    """The item that is being spoken.

    Attributes:
        item_id: Ours.
        begin_ms: Where it begins.
        confirmed: The text that will not change; it only grows.
    """

    item_id: str
    begin_ms: int
    confirmed: str = ""


class SessionConnection(Connection):
    """One WebSocket of dialect B."""

    def __init__(self, world: World, peer: Peer, socket: web.WebSocketResponse, request: web.Request) -> None:
        super().__init__(world, peer, socket, request)
        session_id = f"sess_{uuid.uuid4().hex[:20]}"
        self._model = request.query.get("model", "")
        self._voice = SessionVoice(session_id, self._model, world.knobs)
        self._journal: Journal = world.journals.begin(peer.number, session_id, self._model)
        self._journal.headers = peer.headers
        self._misfortunes: FaultPlan = self._faults(Phase.SPEECH)
        self._settings = SessionSettings()
        self._recognizer: Recognizer | None = None
        self._input: AudioInput | None = None  # the first audio opens it
        self._pcm_bytes = 0
        self._committed_bytes = 0
        self._item: _Item | None = None
        self._previous_item = world.knobs.session_first_previous_item
        self._said: list[str] = []  # finals that wait for a commit, in manual mode
        self._updates = 0
        self._is_discarding = False
        self._last_event = self.opened
        self._is_over = False
        self._handlers: Mapping[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "session.finish": self._finish,
        }

    async def begin(self) -> None:
        """Say ``session.created``, or that there is no such model."""
        is_known = self._model in SESSION_MODELS
        await self.suffer(self._faults(Phase.START).due())
        if self._is_over:
            return
        if is_known or self.knobs.session_created_before_1007:
            await self.line.say(self._voice.session("session.created", self._settings))
        if not is_known:
            # Source: Model Studio, "Qwen-ASR realtime interaction process": a wrong model closes with 1007.
            self._is_over = True
            seconds = self.knobs.session_bad_model_seconds
            await self.line.close(1007, "Model not found", after_seconds=seconds)

    async def heard(self, message: WSMessage) -> None:
        """Serve one event."""
        if self._is_over or message.type is WSMsgType.PING:
            return
        self._last_event = self.now()
        try:
            await self._serve(message)
        except EventRefused as refused:
            await self.line.say(self._voice.refused(refused))
        except RecursionError:
            await self.line.say(self._voice.refused(EventRefused("The event is too deep.", code="invalid_json")))
        except NoRecognizerLeft:
            await self.fail("ModelServingError", "Too many requests.")
        except RecognizerFailed:
            await self.fail("InternalError", "Internal service error.")

    async def over(self) -> None:
        """What was not finished is lost."""
        await self._end("disconnected")

    async def fail(self, code: str, message: str) -> None:
        """``error`` of the server's own, and the end of the session if that is fatal."""
        kind = "server_error"
        await self.line.say(self._voice.error(kind, code, message))
        if kind in self.knobs.session_fatal_errors:
            await self._end("failed")
            await self._close(self.knobs.failure_close_code)

    def strange_event(self, padding: int) -> str:
        """An event nobody knows."""
        return self._voice.event("session.progress", padding="x" * padding)

    def deadline(self) -> float | None:
        """The nearest of the limits of time."""
        return min((at for at, _, _ in self._deadlines()), default=None)

    async def overdue(self) -> None:
        """Close the connection."""
        for at, code, reason in self._deadlines():
            if at <= self.now():
                await self._close(code, reason)
                return

    def _deadlines(self) -> list[tuple[float, int, str]]:
        if self._is_over:
            return []
        knobs = self.knobs
        limits = []
        if knobs.session_seconds:
            limits.append((self.opened + self.scaled(knobs.session_seconds), knobs.idle_close_code, ""))
        if knobs.session_idle_seconds:
            idle = self._last_event + self.scaled(knobs.session_idle_seconds)
            limits.append((idle, knobs.idle_close_code, ""))
        if knobs.expired_token_closes and self.peer.token_expires is not None:
            limits.append((self.peer.token_expires, knobs.policy_close_code, "token expired"))
        return limits

    async def _serve(self, message: WSMessage) -> None:
        if message.type is not WSMsgType.TEXT:
            raise EventRefused("Binary messages are not supported.", code="invalid_message")
        event = read_event(message.data)
        event_id = event.get("event_id")
        handler = self._handlers.get(event["type"], self._unknown)
        try:
            await handler(event)
        except EventRefused as refused:
            refused.event_id = event_id if isinstance(event_id, str) else None
            raise

    async def _unknown(self, event: dict[str, Any]) -> None:
        raise EventRefused(f"Invalid value: '{event['type']}'.", code="invalid_value", param="type")

    async def _update(self, event: dict[str, Any]) -> None:
        if self._updates and self.knobs.session_updates == "error":
            raise EventRefused("The session has been updated already.", code="invalid_value", param="session")
        are_integers = self.knobs.whole_floats == "accept"
        settings = updated(self._settings, event.get("session"), whole_floats=are_integers)
        if self._input is not None:
            _require_same(self._settings, settings)
        self._settings = settings
        if self._recognizer is not None:
            await self._recognizer.adapt(self._sentence_silence_ms, of_text(settings.corpus))
        self._updates += 1
        self._journal.parameters = dict(event["session"])
        await self.line.say(self._voice.session("session.updated", settings))

    async def _append(self, event: dict[str, Any]) -> None:
        try:
            data = base64.b64decode(event.get("audio", ""), validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise EventRefused("Invalid base64 audio.", code="invalid_value", param="audio") from None
        pcm = await self._decoded(data)
        self._pcm_bytes += len(pcm)
        self._journal.packets += 1
        self._journal.audio_ms = self._audio_ms
        if pcm:
            await (await self._ears()).hear(pcm)
        await self._end_long_item()
        await self.suffer(self._misfortunes.due(audio_ms=self._journal.audio_ms, packets=self._journal.packets))

    async def _decoded(self, data: bytes) -> bytes:
        settings = self._settings
        if self._input is None:
            self._input = open_input(settings.input_format, settings.sample_rate_hertz, resamples=True)
        try:
            return await self.decoded(self._input, data)
        except UndecodableAudio:
            raise EventRefused("Failed to decode audio.", code="invalid_value", param="audio") from None

    async def _commit(self, _: dict[str, Any]) -> None:
        if self._settings.turn_detection is not None:
            if self.knobs.session_vad_commit == "error":
                raise EventRefused("Cannot commit while turn detection is on.", code="invalid_value", param="type")
            return
        waiting_ms = (self._pcm_bytes - self._committed_bytes) // self._bytes_per_ms
        if waiting_ms < max(self.knobs.session_commit_min_ms, 1):
            raise EventRefused(_TOO_SMALL)
        await self._commit_manually()

    async def _commit_manually(self) -> None:
        if self._recognizer is not None:
            await self._recognizer.commit()
        self._committed_bytes = self._pcm_bytes
        transcript, self._said = " ".join(self._said), []
        item_id = _new_item()
        for message in self._voice.committed(item_id, self._previous_item):
            await self._say(message)
        await self._say(self._voice.text(item_id, self._language, transcript, ""))
        await self._complete(item_id, transcript)

    async def _clear(self, _: dict[str, Any]) -> None:
        if self._recognizer is not None:
            self._is_discarding = True
            await self._recognizer.commit()
            self._is_discarding = False
        self._said, self._item = [], None
        self._committed_bytes = self._pcm_bytes
        if self.knobs.session_clear_acknowledged:
            await self._say(self._voice.event("input_audio_buffer.cleared"))

    async def _finish(self, _: dict[str, Any]) -> None:
        if self._recognizer is not None:
            await self._recognizer.commit()
        if self._said and self.knobs.session_finish_commits:
            await self._commit_manually()
        await self.suffer(self._faults(Phase.FINISH).due())
        if self._is_over:
            return
        await self._end("finished")
        await self._say(self._voice.event("session.finished"))
        self._is_over = True
        if self.knobs.session_finish_closes:
            await self.line.close(1000, after_seconds=self.world.recognizers.delay_seconds)

    async def _ears(self) -> Recognizer:
        """The session's recogniser; the first audio opens it, since only then is its rate known."""
        if self._recognizer is None:
            stream = Stream(
                sample_rate_hertz=self._settings.sample_rate_hertz,
                sentence_silence_ms=self._sentence_silence_ms,
                journal=self._journal,
                hotwords=of_text(self._settings.corpus),
            )
            self._recognizer = await self.world.recognizers.open(stream, self._emit)
        return self._recognizer

    async def _emit(self, heard: Heard) -> None:
        if self._is_over or self._is_discarding:
            return
        if self._settings.turn_detection is None:
            if heard.is_final and heard.words:
                self._said.append(heard.text)
            return
        item = self._item
        if item is None:
            item = self._item = _Item(item_id=_new_item(), begin_ms=heard.begin_ms)
            await self._say(self._voice.speech_started(item.item_id, heard.begin_ms))
        if heard.is_final:
            await self._end_item(item, heard)
        elif not self.knobs.session_text_after_item:
            await self._say_text(item, heard)

    async def _say_text(self, item: _Item, heard: Heard) -> None:
        fixed = [word.text + word.punctuation for word in heard.words if word.is_fixed]
        item.confirmed = max(item.confirmed, "".join(fixed), key=len)
        stash = heard.text[len(item.confirmed) :]
        await self._say(self._voice.text(item.item_id, self._language, item.confirmed, stash))

    async def _end_item(self, item: _Item, heard: Heard) -> None:
        self._item = None
        await self._say(self._voice.speech_stopped(item.item_id, heard.end_ms))
        for message in self._voice.committed(item.item_id, self._previous_item):
            await self._say(message)
        if self.knobs.session_text_after_item:
            await self._say_text(item, heard)
        await self._complete(item.item_id, heard.text)

    async def _complete(self, item_id: str, transcript: str) -> None:
        self._previous_item = item_id
        if self.item_failures:
            failure = self.item_failures.popleft()
            await self._say(self._voice.failed(item_id, failure.code, failure.message))
            return
        seconds = math.ceil(self._audio_ms / 1000)
        await self._say(self._voice.completed(item_id, self._language, transcript, seconds))

    async def _end_long_item(self) -> None:
        limit = self.knobs.session_item_ms
        if limit and self._item and self._recognizer and self._audio_ms - self._item.begin_ms >= limit:
            await self._recognizer.commit()

    async def _say(self, message: str) -> None:
        await self.line.say_result(message, after_seconds=self.world.recognizers.delay_seconds)

    @property
    def _sentence_silence_ms(self) -> int:
        """In manual mode sentences do not matter: a commit takes all of them."""
        return (self._settings.turn_detection or TurnDetection()).silence_ms

    @property
    def _language(self) -> str:
        return self._settings.language or self.knobs.session_language

    @property
    def _bytes_per_ms(self) -> int:
        return self._settings.sample_rate_hertz * 2 // 1000

    @property
    def _audio_ms(self) -> int:
        return self._pcm_bytes // self._bytes_per_ms

    def _faults(self, phase: Phase) -> FaultPlan:
        return self.world.faults.select(phase, connection=self.peer.number, task=self._journal.task, model=self._model)

    async def _close(self, code: int, reason: str = "") -> None:
        self._is_over = True
        await self.line.close(code, reason)

    async def _end(self, outcome: str) -> None:
        if self._journal.ended.is_set():
            return
        self.world.journals.end(self._journal, outcome)
        if self._recognizer is not None:
            await self._recognizer.close()


def _require_same(before: SessionSettings, after: SessionSettings) -> None:
    """Audio has come already: what it is cannot change."""
    if after.sample_rate_hertz != before.sample_rate_hertz:
        message, param = "The sample rate cannot change any more.", "session.sample_rate"
        raise EventRefused(message, code="invalid_value", param=param)
    if after.input_format != before.input_format:
        message, param = "The format cannot change any more.", "session.input_audio_format"
        raise EventRefused(message, code="invalid_value", param=param)


def _new_item() -> str:
    return f"item_{uuid.uuid4().hex[:20]}"
