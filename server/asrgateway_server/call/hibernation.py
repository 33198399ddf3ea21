"""No task runs: waits for audio that one has to recognize, and answers commits and updates meanwhile."""

from __future__ import annotations

from typing import Final

from asrgateway_server.backends.base import Commit
from asrgateway_server.call.audio_log import End, Mark
from asrgateway_server.call.responder import Responder
from asrgateway_server.call.silent_audio import is_audible
from asrgateway_server.call.task_input import PACKET_MS, CallAudio
from asrgateway_server.config import Update
from asrgateway_server.events import CommitEmpty, UpdateApplied

# So much before the first sound is recognized too: a word may begin softly.
_BEFORE_SOUND_MS: Final = 500


class Hibernation:
    """Waits without a task.

    Args:
        audio: The audio of the call. Where its silence is measured, silent audio is passed over.
        responder: Writes the answers.
    """

    def __init__(self, audio: CallAudio, responder: Responder) -> None:
        self._audio = audio
        self._responder = responder
        self._packet_samples = audio.clock.samples(PACKET_MS)
        self._before_sound_samples = audio.clock.samples(_BEFORE_SOUND_MS)
        # What was answered is not read again.
        self._answered_samples = self._begin_samples = audio.log.read_samples

    async def until_audio(self) -> bool:
        """Wait for the client's next audio; return False at the end of the call."""
        log = self._audio.log
        while not self._has_audio():
            match log.read(1):
                case Mark(item=Commit()):
                    await self._responder.write(CommitEmpty())
                case Mark(item=Update()):
                    await self._responder.write(UpdateApplied())
                case End():
                    self._pass_over(log.read_samples)
                    return False
                case _:
                    await log.wait(1, None)
                    continue
            self._answered_samples = log.read_samples
            self._pass_over(log.read_samples)
        return True

    def _has_audio(self) -> bool:
        """Whether audio comes next that a task has to recognize."""
        log = self._audio.log
        if self._audio.silence is None:
            return log.has_audio
        while log.has_audio:
            pcm = log.read(self._packet_samples, is_partial_wanted=True)
            if isinstance(pcm, bytes) and is_audible(pcm):
                log.rewind(self._begin_samples, ())
                return True
            self._pass_over(max(self._answered_samples, log.read_samples - self._before_sound_samples))
        return False

    def _pass_over(self, position_samples: int) -> None:
        """Give up the silent audio before a position."""
        audio = self._audio
        if audio.silence is None:
            return
        self._begin_samples = position_samples
        begin_ms = audio.clock.time_ms(position_samples)
        audio.log.release(position_samples)
        audio.statistics.passed_over(begin_ms)
        audio.results.deliver_until(audio.clock.offset_ms + begin_ms)
        audio.statistics.final_ms = audio.results.delivered_ms
