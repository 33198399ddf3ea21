"""The session dialect: what Qwen3-ASR says on `/api-ws/v1/realtime`.

One connection is one session. Its voice-activity detection (VAD) makes items of the audio, each of which becomes an
utterance; in manual mode each commit makes one.

In manual mode every commit makes an item, or an error if it found too little audio: so many commits, so many answers.
Items and errors may come late, twice and in any order; each counts once, and answers the commit that it names or, if
that has its answer already, another one.

In VAD mode the vendor forbids commits. There a commit is a stretch of silence, sent at once and long enough for the
VAD to close what is being spoken, and kept out of all times. The item that was open at that place answers it. Is none
known to be spoken, the same settings are sent once more: when they are acknowledged, the vendor has read all audio
before, and no item that was open means that the commit found nothing. The limits of this: the manual does not say
that settings are acknowledged in step with the VAD, so that words spoken in the last moments before a commit may be
told as a result of their own after ``CommitEmpty``. And should the VAD hear no end in the silence, the answer waits
for the next pause, at the latest for the end of the session.

Source: Model Studio manual, "Qwen-ASR realtime client events", "server events" and "interaction process".
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import ClassVar, Final
from urllib.parse import quote

from asrgateway_server.audio.inserted_silence import InsertedSilence
from asrgateway_server.backends.adapter import Output, Send
from asrgateway_server.config import Adaptation, ManualEndpointing, RecognitionConfig, ServerVad
from asrgateway_server.errors import GatewayError, UpstreamLost, UpstreamProtocolError, UpstreamRefused
from asrgateway_server.events import (
    CommitEmpty,
    Emotion,
    FinalResult,
    Finished,
    InterimResult,
    Ready,
    SpeechEnded,
    SpeechStarted,
    UpdateApplied,
)
from asrgateway_server.languages import language_hints
from asrgateway_server.vendors.dashscope.adapters.json_message import Json, member, milliseconds, parse, text
from asrgateway_server.vendors.dashscope.adapters.json_numbers import whole_numbers
from asrgateway_server.vendors.dashscope.adapters.session_items import Item, Items
from asrgateway_server.vendors.dashscope.error_codes import error_for

PATH: Final = "/api-ws/v1/realtime"

#: What every session is given, and the options of the contract behind it.
OWNED: Final[Mapping[str, str]] = {
    "modalities": "",
    "input_audio_format": "decoding_config.encoding",
    "sample_rate": "decoding_config.sample_rate_hertz",
    "audio": "decoding_config",
    "turn_detection": "endpointing",
    "input_audio_transcription": "language_codes and adaptation",
}

_TRANSCRIPTION: Final = "conversation.item.input_audio_transcription"
_RECOVERABLE: Final = "invalid_request_error"
# What comes twice is passed over, as long as it came first among so many messages.
_REMEMBERED: Final = 64

# Source: Model Studio manual, "Qwen-ASR realtime client events": the VAD's own value. One sample shows less.
_VADS_OWN_SILENCE_MS: Final = 800
# The VAD looks at whole frames, and the last sound rings on.
_MORE_SILENCE_MS: Final = 400
_PACKET_MS: Final = 100


class _State(Enum):
    OPENING = auto()
    RUNNING = auto()
    FINISHING = auto()


class _Request(Enum):
    """What the server answers: with a success or an error."""

    START = auto()
    UPDATE = auto()
    PROBE = auto()
    COMMIT = auto()
    FINISH = auto()


_SESSION_UPDATES: Final = (_Request.START, _Request.UPDATE, _Request.PROBE)


@dataclass(slots=True, kw_only=True)
class _Commit:
    """A commit without an answer.

    Attributes:
        position_ms: Where it is, in the connection's audio without the silence that was put in.
        event_id: The request that goes with it; empty if it needs none.
        item_id: The item that will answer it, as far as is known.
        is_own: Nobody asked for it: it closes what the end of the audio left open.
        is_passed: The server has read all audio before it.
    """

    position_ms: int
    event_id: str = ""
    item_id: str = ""
    is_own: bool = False
    is_passed: bool = False


class Qwen3AsrAdapter:
    """One connection, which is one session; see ``WebSocketAdapter``.

    Args:
        config: The call.
        task_id: A name that no other session has: 32 hexadecimal digits.
    """

    ends_at_commit: ClassVar[bool] = False
    keeps_connection: ClassVar[bool] = False

    def __init__(self, config: RecognitionConfig, task_id: str) -> None:
        self.path = f"{PATH}?model={quote(config.model.name, safe='')}"
        self._config = config
        self._adaptation = config.adaptation
        self._has_corpus = False
        self._is_manual = isinstance(config.endpointing, ManualEndpointing)
        self._vad = config.endpointing if isinstance(config.endpointing, ServerVad) else ServerVad()
        self._bytes_per_ms = config.model_rate_hertz * 2 // 1000
        self._event_prefix = f"event_{task_id}_"
        self._events = 0
        self._state = _State.OPENING
        self._session_id = ""
        self._asked: dict[str, _Request] = {}
        self._audio_bytes = 0
        self._committed_bytes = 0
        self._inserted = InsertedSilence()
        self._items = Items()
        self._commits: list[_Commit] = []
        # The requests of commits that were not refused by name.
        self._unrefused: deque[str] = deque(maxlen=_REMEMBERED)
        self._is_finish_sent = False
        self._received: deque[int] = deque(maxlen=_REMEMBERED)
        self._handlers: Mapping[str, Callable[[Json], Sequence[Output]]] = {
            "session.created": self._created,
            "session.updated": self._updated,
            "session.finished": self._finished,
            "input_audio_buffer.speech_started": self._speech_started,
            "input_audio_buffer.speech_stopped": self._speech_stopped,
            "input_audio_buffer.committed": self._committed,
            f"{_TRANSCRIPTION}.text": self._text,
            f"{_TRANSCRIPTION}.completed": self._completed,
            f"{_TRANSCRIPTION}.failed": self._failed,
            "error": self._error,
        }

    @property
    def is_ready(self) -> bool:
        """See ``WebSocketAdapter``."""
        return self._state is _State.RUNNING

    @property
    def answers_speech(self) -> bool:
        """See ``WebSocketAdapter``."""
        return not self._is_manual

    def start(self) -> Sequence[Output]:
        """Wait for ``session.created``; see ``WebSocketAdapter``."""
        return []

    def audio(self, pcm: bytes) -> str:
        """See ``WebSocketAdapter``."""
        self._audio_bytes += len(pcm)
        return self._append(b64encode(pcm).decode("ascii"))

    def commit(self) -> Sequence[Output]:
        """See ``WebSocketAdapter``, and the module for what becomes of it in VAD mode."""
        if self._audio_bytes == self._committed_bytes:
            return [CommitEmpty()]
        return self._commit_buffer() if self._is_manual else self._commit_by_silence()

    def update(self, adaptation: Adaptation) -> Sequence[Output]:
        """Send all settings again; see ``WebSocketAdapter``.

        The manual does not say whether a session takes them in its middle. If not, it goes on as it was.
        """
        self._adaptation = adaptation
        return [self._update_session(_Request.UPDATE)]

    def finish(self) -> Sequence[Output]:
        """Commit what is left in manual mode, then end the session; see ``WebSocketAdapter``."""
        self._state = _State.FINISHING
        is_rest = self._is_manual and self._audio_bytes > self._committed_bytes
        return [*(self._commit_buffer(is_own=True) if is_rest else ()), *self._finish_when_due()]

    def receive(self, message: str) -> Sequence[Output]:
        """See ``WebSocketAdapter``."""
        record = parse(message)
        kind = text(record, "type")
        if not kind:
            raise UpstreamProtocolError("the vendor's message lacks 'type'")
        handler = self._handlers.get(kind)
        if handler is None or (record.get("event_id") and self._is_repeated(message)):
            return []  # The vendor adds events over time; an unknown one is not an error.
        outputs = [*handler(record), *self._told(self._items.take_ended()), *self._empty_commits()]
        if news := self._items.take_news():
            outputs.append(news)
        return [*outputs, *self._finish_when_due()]

    def _is_repeated(self, message: str) -> bool:
        """Whether a message that bears a name of its own was received before, the very same."""
        seal = hash(message)
        is_repeated = seal in self._received
        self._received.append(seal)
        return is_repeated

    # Messages to the server -------------------------------------------------------------------------------------

    def _new_event_id(self) -> str:
        self._events += 1
        return f"{self._event_prefix}{self._events}"

    def _append(self, audio: str) -> str:
        """Return the message that carries base64. It is built by hand: nothing in it needs escaping."""
        return f'{{"event_id":"{self._new_event_id()}","type":"input_audio_buffer.append","audio":"{audio}"}}'

    def _ask(self, request: _Request, kind: str, **fields: object) -> Send:
        event_id = self._new_event_id()
        self._asked[event_id] = request
        return Send(json.dumps({"event_id": event_id, "type": kind, **fields}, ensure_ascii=False))

    def _update_session(self, request: _Request) -> Send:
        # Always all of it: whether what is left out stays as it was, nobody says.
        return self._ask(request, "session.update", session=self._session())

    def _session(self) -> Json:
        session: dict[str, object] = {
            "modalities": ["text"],
            "input_audio_format": "pcm",
            "sample_rate": self._config.model_rate_hertz,
            "turn_detection": None if self._is_manual else _turn_detection(self._vad),
        }
        if transcription := self._transcription():
            session["input_audio_transcription"] = transcription
        return session | whole_numbers(self._config.vendor_parameters)

    def _transcription(self) -> Json:
        """Return language and subject. It can be told one language: of several none, and it finds out by itself."""
        transcription: dict[str, object] = {}
        hints = language_hints(self._config)
        if hints:
            (transcription["language"],) = hints
        corpus = _corpus(self._adaptation)
        if corpus or self._has_corpus:  # Left out, it might stay as it was.
            self._has_corpus = True
            transcription["corpus"] = {"text": corpus}
        return transcription

    def _commit_buffer(self, *, is_own: bool = False) -> Sequence[Output]:
        send = self._ask(_Request.COMMIT, "input_audio_buffer.commit")
        self._unrefused.append(self._last_asked())
        self._note_commit(event_id=self._last_asked(), is_own=is_own)
        return [send]

    def _commit_by_silence(self) -> Sequence[Output]:
        spoken = self._items.spoken()
        if spoken is not None and not any(self._is_answered_by(commit, spoken) for commit in self._commits):
            self._note_commit(item_id=spoken.item_id)
            return self._silence()
        outputs = [*self._silence(), self._update_session(_Request.PROBE)]
        self._note_commit(event_id=self._last_asked())
        return outputs

    def _last_asked(self) -> str:
        return next(reversed(self._asked))

    def _note_commit(self, *, event_id: str = "", item_id: str = "", is_own: bool = False) -> None:
        self._committed_bytes = self._audio_bytes
        self._commits.append(_Commit(position_ms=self._position_ms, event_id=event_id, item_id=item_id, is_own=is_own))

    def _silence(self) -> list[Output]:
        packets = -(-(self._closing_silence_ms + _MORE_SILENCE_MS) // _PACKET_MS)
        self._inserted.add(self._position_ms + self._inserted.added_ms, packets * _PACKET_MS)
        packet = b64encode(bytes(_PACKET_MS * self._bytes_per_ms)).decode("ascii")
        return [Send(self._append(packet)) for _ in range(packets)]

    def _finish_when_due(self) -> Sequence[Output]:
        """End the session; in manual mode only when every commit has its text."""
        if self._state is not _State.FINISHING or self._is_finish_sent or (self._is_manual and self._commits):
            return []
        self._is_finish_sent = True
        return [self._ask(_Request.FINISH, "session.finish")]

    @property
    def _position_ms(self) -> int:
        """All audio so far, without the silence that was put in."""
        return self._audio_bytes // self._bytes_per_ms

    @property
    def _closing_silence_ms(self) -> int:
        return _VADS_OWN_SILENCE_MS if self._vad.silence_ms is None else self._vad.silence_ms

    # Messages from the server -----------------------------------------------------------------------------------

    def _created(self, record: Json) -> Sequence[Output]:
        if self._session_id or self._asked:
            return []
        self._session_id = text(member(record, "session"), "id")
        return [self._update_session(_Request.START)]

    def _updated(self, _: Json) -> Sequence[Output]:
        event_id = next((event_id for event_id, request in self._asked.items() if request in _SESSION_UPDATES), "")
        match self._asked.pop(event_id, None):
            case _Request.START:
                self._state = _State.RUNNING
                return [Ready(request_id=self._session_id)]
            case _Request.UPDATE:
                return [UpdateApplied()]
            case _Request.PROBE:
                self._pass(event_id)
        return []

    def _finished(self, _: Json) -> Sequence[Output]:
        outputs = [*self._told(self._items.take_all())]
        outputs += [CommitEmpty() for commit in self._commits if not commit.is_own]
        self._commits.clear()
        return [*outputs, Finished()]

    def _speech_started(self, record: Json) -> Sequence[Output]:
        item = self._item(record)
        start_ms = self._moment(record, "audio_start_ms")
        if item is None or item.start_ms is not None or start_ms is None:
            return []
        item.start_ms = start_ms
        return [SpeechStarted(offset_ms=start_ms)]

    def _speech_stopped(self, record: Json) -> Sequence[Output]:
        item = self._item(record)
        end_ms = self._moment(record, "audio_end_ms")
        if item is None:
            return []
        item.is_over = True
        if item.end_ms is not None or end_ms is None:
            return []
        item.end_ms = max(end_ms, item.start_ms or 0)
        return [SpeechEnded(offset_ms=item.end_ms)]

    def _committed(self, record: Json) -> Sequence[Output]:
        """Note that the item's text will come; in manual mode, that it answers the oldest commit without an item."""
        item = self._item(record)
        if item is None:
            return []
        item.is_over = item.is_promised = True
        if self._is_manual and not any(commit.item_id == item.item_id for commit in self._commits):
            commit = next((commit for commit in self._commits if not commit.item_id), None)
            if commit is not None:
                commit.item_id = item.item_id
                self._asked.pop(commit.event_id, None)
        return []

    def _text(self, record: Json) -> Sequence[Output]:
        item = self._item(record)
        confirmed, draft = text(record, "text"), text(record, "stash")
        said = (confirmed + draft).strip()
        if item is None or not said:
            return []
        item.has_text = True
        if confirmed.strip().startswith(item.committed):  # Else the message is late.
            item.committed = confirmed.strip()
        item.language_code = text(record, "language")
        item.news = InterimResult(
            text=said, committed=confirmed.strip(), start_ms=item.start_ms, language_code=item.language_code
        )
        return []

    def _completed(self, record: Json) -> Sequence[Output]:
        item = self._item(record)
        if item is None:
            return []
        transcript, emotion = text(record, "transcript").strip(), text(record, "emotion")
        item.is_blank = not transcript and not item.has_text
        self._end(
            item,
            replace(
                item.broken_off(),
                text=transcript,
                language_code=text(record, "language"),
                emotion=Emotion(label=emotion) if emotion else None,
            ),
        )
        return []

    def _failed(self, record: Json) -> Sequence[Output]:
        if item := self._item(record):
            self._end(item, item.broken_off())
        return []

    def _end(self, item: Item, final: FinalResult) -> None:
        item.is_over = True
        item.final = item.final or final

    def _item(self, record: Json) -> Item | None:
        """Return the item that a message is about; None if it was told to its end."""
        item_id = text(record, "item_id")
        if not item_id:
            raise UpstreamProtocolError("the vendor's message lacks 'item_id'")
        return self._items.find(item_id)

    def _moment(self, record: Json, name: str) -> int | None:
        """Return a time of the session's audio in that of the connection: without the silence that was put in."""
        value = milliseconds(record, name)
        return None if value is None else self._inserted.without(value)

    # Commits and their answers ----------------------------------------------------------------------------------

    def _told(self, items: Sequence[Item]) -> list[Output]:
        return [self._answer(item) for item in items]

    def _answer(self, item: Item) -> Output:
        """Return the item's end, which answers the commit that it belongs to."""
        final = item.final or item.broken_off()
        commit = next((commit for commit in self._commits if self._is_answered_by(commit, item)), None)
        if commit is None:
            return final
        self._commits.remove(commit)
        if self._is_manual:  # Settings that went along are still acknowledged; a commit has its answer.
            self._asked.pop(commit.event_id, None)
        if commit.is_own:
            return final
        return CommitEmpty() if item.is_blank else replace(final, is_forced=True)

    def _is_answered_by(self, commit: _Commit, item: Item) -> bool:
        if commit.item_id or self._is_manual:
            return commit.item_id in ("", item.item_id)
        has_begun = item.start_ms is None or item.start_ms < commit.position_ms
        return has_begun and (item.end_ms is None or item.end_ms + self._closing_silence_ms > commit.position_ms)

    def _empty_commits(self) -> list[Output]:
        """Answer the commits that have been passed while nothing was open."""
        empty = [
            commit
            for commit in self._commits
            if commit.is_passed and not any(self._is_answered_by(commit, item) for item in self._items.waiting)
        ]
        for commit in empty:
            self._commits.remove(commit)
        return [CommitEmpty() for _ in empty]

    def _pass(self, event_id: str) -> None:
        for commit in self._commits:
            if commit.event_id == event_id:
                commit.is_passed = True

    # Errors -----------------------------------------------------------------------------------------------------

    def _error(self, record: Json) -> Sequence[Output]:
        """Say what an error means for the session: most often it goes on.

        Source: the official SDK, which takes one type of error for harmless, and none after the end was asked for.

        Raises:
            GatewayError: It does not.
        """
        error = member(record, "error")
        kind, code = text(error, "type"), str(error.get("code") or "")
        event_id = self._asked_of(error)
        request = self._asked.pop(event_id, _Request.COMMIT if event_id in self._unrefused else None)
        if self._state is _State.OPENING or request in (_Request.START, _Request.FINISH) or kind != _RECOVERABLE:
            raise self._error_for(kind, code, str(error.get("message") or ""))
        match request:
            case _Request.PROBE:
                self._pass(event_id)
            case _Request.COMMIT:
                if text(error, "event_id") and event_id in self._unrefused:
                    self._unrefused.remove(event_id)
                return self._refused_commit(event_id)
        return []

    def _refused_commit(self, event_id: str) -> Sequence[Output]:
        """Answer a commit that found too little audio to make an item of."""
        commit = next((commit for commit in self._commits if commit.event_id == event_id), None)
        if commit is None:  # An item that came first was taken for its answer.
            commit = next((commit for commit in self._commits if not commit.item_id), None)
        if commit is None:
            return []
        self._commits.remove(commit)
        return [] if commit.is_own else [CommitEmpty()]

    def _asked_of(self, error: Json) -> str:
        """Return the event that an error answers; where it names none, the oldest that it may be about."""
        event_id = text(error, "event_id")
        if event_id or not self._asked:
            return event_id
        is_session = text(error, "param").startswith("session")
        oldest = (asked for asked, request in self._asked.items() if (request in _SESSION_UPDATES) == is_session)
        return next(oldest, next(iter(self._asked)))

    def _error_for(self, kind: str, code: str, message: str) -> GatewayError:
        error = error_for(code or kind, message, self._session_id)
        if kind == _RECOVERABLE and isinstance(error, UpstreamLost):
            # What is wrong with our request is wrong the next time too.
            return UpstreamRefused(
                "the vendor rejected a parameter of the session",
                upstream_code=error.upstream_code,
                upstream_request_id=self._session_id,
            )
        return error


def _turn_detection(vad: ServerVad) -> Json:
    """Return the VAD's values; what the caller leaves open is left to the vendor."""
    given = {"threshold": vad.threshold, "silence_duration_ms": vad.silence_ms}
    return {"type": "server_vad", **{name: value for name, value in given.items() if value is not None}}


def _corpus(adaptation: Adaptation) -> str:
    """Return text in which the words to expect occur: this model knows neither weights nor a list of hot words."""
    words = ", ".join(word.text for word in adaptation.hotwords)
    return "\n".join(part for part in (adaptation.context, words) if part)
