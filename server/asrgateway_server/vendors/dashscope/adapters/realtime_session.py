"""The session dialect: what Qwen3-ASR speaks on `/api-ws/v1/realtime`.

A connection is one session, and a session one task. Its voice-activity detection (VAD) makes items of the audio, each
of which becomes an utterance; in manual mode each commit makes one.

+-----------+------------------------+--------------------------------------------------------+-----------+
| state     | call or message        | what is done                                           | leads to  |
+===========+========================+========================================================+===========+
| new       | start                  | wait for `session.created`                             | starting  |
| starting  | `session.created`      | send all settings                                      |           |
|           | `session.updated`      | ``Ready``                                              | ready     |
|           | `error`                | raise                                                  |           |
| ready     | audio                  | append it                                              |           |
|           | commit, manual mode    | commit what was appended                               |           |
|           | commit, VAD mode       | append silence, and send all settings as a probe       |           |
|           | update                 | send all settings                                      |           |
|           | finish                 | commit what is left in manual mode                     | finishing |
|           | `session.updated`      | ``UpdateApplied``, or a probe is answered              |           |
| finishing | a last commit answered | finish the session; in VAD mode at once                |           |
| both      | news of items          | interim and final results, each at its turn            |           |
|           | `error`                | a commit or update is refused; all else is raised      |           |
|           | `session.finished`     | what is left of items and commits, then ``Finished``   | ended     |
+-----------+------------------------+--------------------------------------------------------+-----------+

In VAD mode the vendor forbids commits. There a commit is a stretch of silence, sent at once and long enough for the
VAD to close what is being spoken, and kept out of all times. The item that was open at that place answers it. Where
none is known to be spoken, the same settings are sent once more: when they are acknowledged, the vendor has read all
audio before, and no item that was open means that the commit found nothing. The limits of this: the manual does not
say that settings are acknowledged in step with the VAD, so that words spoken in the last moments before a commit may
become a result of their own after ``CommitEmpty``. And should the VAD find no end in the silence, the answer waits for
the next pause, at the latest for the end of the session.

Source: Model Studio manual, "Qwen-ASR realtime client events", "server events" and "interaction process".
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final

from asrgateway_server.audio.inserted_silence import InsertedSilence
from asrgateway_server.backends.adapter import Output, Send
from asrgateway_server.backends.adapter_order import AdapterOrder, State, Step
from asrgateway_server.config import Adaptation
from asrgateway_server.errors import GatewayError, UpstreamLost, UpstreamRefused
from asrgateway_server.events import Finished, Ready, UpdateApplied
from asrgateway_server.vendors.dashscope.adapters.session_commits import ManualCommits, VadCommits
from asrgateway_server.vendors.dashscope.adapters.session_items import Item, Items
from asrgateway_server.vendors.dashscope.adapters.session_messages import (
    Error,
    ErrorDetails,
    ItemMessage,
    Known,
    SessionCreated,
    SessionFinished,
    SessionUpdated,
    Unknown,
    decode,
)
from asrgateway_server.vendors.dashscope.adapters.session_requests import Asked, Request, Requests, is_of_settings
from asrgateway_server.vendors.dashscope.error_codes import error_for

PATH: Final = "/api-ws/v1/realtime"

#: The `session` of all settings, for the adaptation in force.
Settings = Callable[[Adaptation], Mapping[str, object]]

# Source: the official SDK, which takes this type of error for harmless, and none after the end was asked for.
_RECOVERABLE: Final = "invalid_request_error"
# A message that comes twice is passed over, as long as it came first among so many.
_REMEMBERED: Final = 64
# The VAD looks at whole frames, and the last sound rings on.
_MORE_SILENCE_MS: Final = 400
_PACKET_MS: Final = 100


class RealtimeSessionAdapter:
    """One session; see ``WebSocketAdapter``.

    Args:
        path: Path and query of the URL.
        task_id: A name that no other session has: 32 hexadecimal digits.
        settings: Returns what the session is set to.
        adaptation: The one that it begins with.
        sample_rate_hertz: Of the audio.
        closing_silence_ms: So much silence makes the VAD close an utterance; None in manual mode.
    """

    ends_at_commit: ClassVar[bool] = False
    keeps_connection: ClassVar[bool] = False

    def __init__(
        self,
        path: str,
        task_id: str,
        settings: Settings,
        adaptation: Adaptation,
        *,
        sample_rate_hertz: int,
        closing_silence_ms: int | None,
    ) -> None:
        self.path = path
        self.answers_speech = closing_silence_ms is not None
        self._settings = settings
        self._adaptation = adaptation
        self._bytes_per_ms = sample_rate_hertz * 2 // 1000
        self._closing_silence_ms = closing_silence_ms
        self._order = AdapterOrder()
        self._session_id: str | None = None
        self._requests = Requests(task_id)
        self._inserted = InsertedSilence()
        self._items = Items(self._inserted)
        self._manual_commits = ManualCommits()
        self._vad_commits = VadCommits(closing_silence_ms or 0)
        self._audio_bytes = 0
        self._committed_bytes = 0
        self._received: deque[int] = deque(maxlen=_REMEMBERED)

    @property
    def is_ready(self) -> bool:
        """See ``WebSocketAdapter``."""
        return self._order.is_ready

    # Calls ------------------------------------------------------------------------------------------------------

    def start(self) -> Sequence[Output]:
        """See ``WebSocketAdapter``; the server speaks first, and may have done so."""
        self._order.take(Step.START)
        return self._begin_when_due()

    def audio(self, pcm: bytes) -> str:
        """See ``WebSocketAdapter``."""
        if not self._order.is_ready:
            self._order.take(Step.AUDIO)  # Raises.
        self._audio_bytes += len(pcm)
        return self._append(pcm)

    def commit(self) -> Sequence[Output]:
        """See ``WebSocketAdapter``, and the module for what becomes of it in VAD mode."""
        self._order.take(Step.COMMIT)
        if not self._has_new_audio:
            return self._commit_nothing()
        self._committed_bytes = self._audio_bytes
        if self._closing_silence_ms is None:
            return self._commit_buffer()
        return self._commit_by_silence(self._closing_silence_ms)

    def update(self, adaptation: Adaptation) -> Sequence[Output]:
        """Send all settings again; see ``WebSocketAdapter``.

        The manual does not say whether a session takes them in its middle. If not, it goes on as it was.
        """
        self._order.take(Step.UPDATE)
        self._adaptation = adaptation
        return [self._send_settings(self._requests.add(Asked.UPDATE))]

    def finish(self) -> Sequence[Output]:
        """Commit what is left in manual mode, then end the session; see ``WebSocketAdapter``."""
        self._order.take(Step.FINISH)
        is_rest = self._closing_silence_ms is None and self._has_new_audio
        return [*(self._commit_buffer(is_end=True) if is_rest else ()), *self._finish_when_due()]

    def receive(self, message: str) -> Sequence[Output]:
        """See ``WebSocketAdapter``."""
        self._order.take(Step.RECEIVE)
        known = decode(message)
        if isinstance(known, Unknown) or (known.event_id and self._is_repeated(message)):
            return []  # The vendor adds events over time; an unknown one is not an error.
        outputs = [*self._dispatch(known), *self._ends(self._items.take_ended()), *self._take_empty()]
        if news := self._items.take_news():
            outputs.append(news)
        return [*outputs, *self._finish_when_due()]

    # Messages to the server -------------------------------------------------------------------------------------

    def _begin_when_due(self) -> Sequence[Output]:
        if self._order.state is State.NEW or self._session_id is None:
            return []
        return [self._send_settings(self._requests.add(Asked.START))]

    def _finish_when_due(self) -> Sequence[Output]:
        """End the session, once; in manual mode only when every commit has its text."""
        is_due = self._order.state is State.FINISHING and not self._manual_commits.are_open
        if not is_due or self._requests.has(Asked.FINISH):
            return []
        return [_send(self._requests.add(Asked.FINISH), "session.finish")]

    def _commit_buffer(self, *, is_end: bool = False) -> Sequence[Output]:
        event_id = self._requests.new_event_id()
        self._manual_commits.add(event_id, is_end=is_end)
        return [_send(event_id, "input_audio_buffer.commit")]

    def _commit_nothing(self) -> Sequence[Output]:
        """Answer a commit without audio, once those before it are answered."""
        if self._closing_silence_ms is None:
            self._manual_commits.add_empty(self._requests.new_event_id())
        else:
            self._vad_commits.add(self._audio_bytes // self._bytes_per_ms)
        return self._take_empty()

    def _commit_by_silence(self, silence_ms: int) -> Sequence[Output]:
        position_ms = self._audio_bytes // self._bytes_per_ms
        silence = self._silence(position_ms, silence_ms)
        spoken = self._items.spoken()
        if spoken is not None and not self._vad_commits.is_answered_by(spoken):
            self._vad_commits.add(position_ms, closes=spoken)
            return silence
        probe = self._requests.add(Asked.PROBE)
        self._vad_commits.add(position_ms, probe=probe)
        return [*silence, self._send_settings(probe)]

    def _silence(self, position_ms: int, silence_ms: int) -> Sequence[Output]:
        packets = -(-(silence_ms + _MORE_SILENCE_MS) // _PACKET_MS)
        self._inserted.add(position_ms + self._inserted.added_ms, packets * _PACKET_MS)
        return [Send(self._append(bytes(_PACKET_MS * self._bytes_per_ms))) for _ in range(packets)]

    def _append(self, pcm: bytes) -> str:
        """Return the message that carries audio. It is built by hand: nothing in it needs escaping."""
        event_id, audio = self._requests.new_event_id(), b64encode(pcm).decode("ascii")
        return f'{{"event_id":"{event_id}","type":"input_audio_buffer.append","audio":"{audio}"}}'

    def _send_settings(self, event_id: str) -> Send:
        # Always all of them: whether what is left out stays as it was, nobody says.
        return _send(event_id, "session.update", session=self._settings(self._adaptation))

    @property
    def _has_new_audio(self) -> bool:
        return self._audio_bytes > self._committed_bytes

    # Messages from the server -----------------------------------------------------------------------------------

    def _is_repeated(self, message: str) -> bool:
        """Whether a message that bears a name of its own was received before, the very same."""
        seal = hash(message)
        is_repeated = seal in self._received
        self._received.append(seal)
        return is_repeated

    def _dispatch(self, message: Known) -> Sequence[Output]:
        match message:
            case ItemMessage():
                return self._items.receive(message)
            case SessionCreated():
                return self._created(message.session.id or "")
            case SessionUpdated():
                return self._acknowledged()
            case SessionFinished():
                return self._finished()
            case Error():
                return self._refused(message.error)

    def _created(self, session_id: str) -> Sequence[Output]:
        if self._session_id is not None:
            return []
        self._session_id = session_id
        return self._begin_when_due()

    def _acknowledged(self) -> Sequence[Output]:
        match self._requests.acknowledged():
            case Request(asked=Asked.START):
                self._order.take(Step.READY)
                return [Ready(request_id=self._session_id or "")]
            case Request(asked=Asked.UPDATE):
                return [UpdateApplied()]
            case Request(asked=Asked.PROBE, event_id=probe):
                self._vad_commits.probed(probe)
        return []

    def _finished(self) -> Sequence[Output]:
        self._order.take(Step.END)
        ends = self._ends(self._items.take_all())
        return [*ends, *self._manual_commits.end(), *self._vad_commits.end(), Finished()]

    def _ends(self, items: Sequence[Item]) -> list[Output]:
        """Return how items ended, and answer commits by them."""
        ends: list[Output] = []
        for place, item in enumerate(items):
            self._vad_commits.pass_before(item)
            ends += self._take_empty(items[place:])
            ends.append(self._manual_commits.answer(item) or self._vad_commits.answer(item) or item.end_or_break_off())
        return ends

    def _take_empty(self, ended: Sequence[Item] = ()) -> list[Output]:
        """Answer what found nothing; ``ended`` items are still to answer theirs."""
        items = [*ended, *self._items.waiting]
        return [*self._manual_commits.take_empty(), *self._vad_commits.take_empty(items)]

    def _refused(self, error: ErrorDetails) -> Sequence[Output]:
        """Take a request as refused: the session goes on without it.

        Raises:
            GatewayError: It cannot.
        """
        is_open = self._order.state in (State.READY, State.FINISHING)
        if not is_open or error.type != _RECOVERABLE:
            raise self._error_for(error)
        named, promised = error.event_id or "", self._items.promised
        if self._manual_commits.may_be(named, promised) and (named or not is_of_settings(error)):
            self._manual_commits.refuse(named, promised)
            return []
        match self._requests.refused(error):
            case Request(asked=Asked.FINISH):
                raise self._error_for(error)
            case Request(asked=Asked.PROBE, event_id=probe):
                self._vad_commits.probed(probe)
        return []

    def _error_for(self, details: ErrorDetails) -> GatewayError:
        kind, session_id = details.type or "", self._session_id or ""
        error = error_for(str(details.code or kind), details.message or "", session_id)
        if kind == _RECOVERABLE and isinstance(error, UpstreamLost):
            # What is wrong with our request is wrong the next time too.
            return UpstreamRefused(
                "the vendor rejected a parameter of the session",
                upstream_code=error.upstream_code,
                upstream_request_id=session_id,
            )
        return error


def _send(event_id: str, kind: str, **fields: object) -> Send:
    return Send(json.dumps({"event_id": event_id, "type": kind, **fields}, ensure_ascii=False))
