"""A task takes over from another one: where in the audio it begins, and what the client gets to know of it."""

from __future__ import annotations

import logging
from typing import Final

from asrgateway_server.call.responses import StreamEvent, StreamEventType
from asrgateway_server.call.task_input import CallAudio
from asrgateway_server.errors import AudioLost
from asrgateway_server.events import OptionWarning
from asrgateway_server.models import Feature, Model

log = logging.getLogger(__name__)

_REPLAYS: Final = (StreamEventType.RECONNECTED, StreamEventType.ROLLED_OVER)


class Takeover:
    """Goes back in the audio of one call.

    Attributes:
        events: What the client gets once the next task is ready.
        has_replayed: A task has received audio again, or will do so.

    Args:
        audio: The audio of the call.
        fails_on_audio_loss: The call ends when audio is lost to it.
    """

    def __init__(self, audio: CallAudio, *, fails_on_audio_loss: bool) -> None:
        self.events: list[StreamEvent] = []
        self.has_replayed = False
        self._is_hibernating = False
        self._audio = audio
        self._fails_on_audio_loss = fails_on_audio_loss

    def replay(
        self,
        kind: StreamEventType,
        reason: str,
        *,
        model: Model,
        from_model: str = "",
        to_model: str = "",
        downgrades: tuple[OptionWarning, ...] = (),
    ) -> None:
        """Go back to what has no final result yet, for a task of a model.

        Raises:
            AudioLost: Not all of it is held any more, and the call is to end then.
        """
        audio = self._audio
        self.has_replayed = True
        if Feature.WORD_TIME_OFFSETS not in model.features:
            audio.results.expect_no_words()
        wanted_samples = audio.clock.samples(audio.results.replay_from_ms - audio.clock.offset_ms)
        audio.log.rewind(wanted_samples, audio.results.begin_replay())
        start_ms = self._client_ms(audio.log.read_samples)
        event = StreamEvent(
            type=kind,
            reason=reason,
            start_ms=start_ms,
            end_ms=self._sent_ms,
            from_model=from_model,
            to_model=to_model,
            downgrades=downgrades,
        )
        # A task that was lost before it was ready has not sent its events yet; the client gets the last reason.
        self.events[:] = [*(earlier for earlier in self.events if earlier.type not in _REPLAYS), event]
        delivered_ms = audio.results.delivered_ms
        if (first_ms := self._client_ms(audio.log.start_samples)) > delivered_ms:
            self._drop(delivered_ms, first_ms)

    def begins_elsewhere(
        self, reason: str, from_model: str, to_model: str, downgrades: tuple[OptionWarning, ...]
    ) -> None:
        """Note that the call begins with another model than its own, before any audio was sent."""
        event = StreamEvent(
            type=StreamEventType.FAILED_OVER,
            reason=reason,
            start_ms=self._client_ms(0),
            end_ms=self._client_ms(0),
            from_model=from_model,
            to_model=to_model,
            downgrades=downgrades,
        )
        self.events.append(event)

    def hibernated(self, reason: str) -> StreamEvent:
        """Return that no task runs; the next one begins with the client's next audio, and says so."""
        self._is_hibernating = True
        at_ms = self._sent_ms
        return StreamEvent(type=StreamEventType.HIBERNATED, reason=reason, start_ms=at_ms, end_ms=at_ms)

    def woken(self) -> None:
        """Note that the client's next audio has come."""
        if not self._is_hibernating:  # There was none before it.
            return
        self._is_hibernating = False
        at_ms, reason = self._sent_ms, "the client sends audio again"
        self.events[:] = [StreamEvent(type=StreamEventType.WOKE, reason=reason, start_ms=at_ms, end_ms=at_ms)]

    @property
    def _sent_ms(self) -> int:
        return self._audio.clock.offset_ms + self._audio.statistics.sent_ms

    def _client_ms(self, samples: int) -> int:
        return self._audio.clock.offset_ms + self._audio.clock.time_ms(samples)

    def _drop(self, start_ms: int, end_ms: int) -> None:
        """Note that audio is lost to the call."""
        seconds = (end_ms - start_ms) / 1000
        self._audio.statistics.dropped(end_ms - start_ms)
        self._audio.results.deliver_until(end_ms)
        log.warning("audio lost", extra={"seconds": seconds})
        reason = "the gateway no longer held this audio when the task was lost"
        if self._fails_on_audio_loss:
            raise AudioLost(f"{seconds:g} s of audio are lost: {reason}")
        dropped = StreamEventType.AUDIO_DROPPED
        self.events.append(StreamEvent(type=dropped, reason=reason, start_ms=start_ms, end_ms=end_ms))
