"""One recognition over all its calls: what is sent, what is final, and how the next call begins."""

from typing import Final

from google.protobuf.duration_pb2 import Duration

from asrgateway.commit_answers import CommitAnswers
from asrgateway.intake import Intake
from asrgateway.kept_items import KEPT_SECONDS, KeptItems, SampleFormat
from asrgateway.requests import AudioItem
from asrgateway.v1.recognition_pb2 import (
    GoingAway,
    RecognitionResult,
    RecognizeResponse,
    Resume,
    StreamEvent,
    StreamEventType,
    StreamingConfig,
)

_ANY_FORMAT: Final = SampleFormat(rate_hertz=16_000, channel_count=1)


class Resumption:
    """Follows one recognition. Pure: items and responses in, items and configs out.

    Args:
        config: As the program gave it.
        ahead_seconds: How much audio may wait to be sent.
    """

    def __init__(self, config: StreamingConfig, ahead_seconds: float = KEPT_SECONDS) -> None:
        self._intake = Intake(config)
        self._ahead_seconds = ahead_seconds
        self._begin_ms = config.resume.audio_offset.ToMilliseconds()
        self._kept = self._new_kept()
        self._resume = Resume()
        self._resume.CopyFrom(config.resume)
        self._answers = CommitAnswers()
        self._is_ended = False
        self._has_begun = False

    # The program's side -----------------------------------------------------------------------------------------

    def add(self, item: AudioItem) -> None:
        """Take an item of the program."""
        was_ready = self.is_ready
        items = self._intake.add(item)
        if self.is_ready and not was_ready:
            self._kept = self._new_kept()
        self._keep(items)

    def end(self) -> None:
        """Note that the program sends nothing more."""
        self._keep(self._intake.end())
        self._is_ended = True

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be sent that the program should wait."""
        return self._kept.is_full

    # The present call -------------------------------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Whether a call can begin: its config is known."""
        return self._intake.config is not None

    @property
    def can_resume(self) -> bool:
        """Whether another call can continue this one."""
        return self._intake.sample_format is not None

    def begin_call(self) -> StreamingConfig:
        """Return the config of the next call, which sends everything that is kept.

        Raises:
            RuntimeError: It is not known yet.
        """
        if self._intake.config is None:
            raise RuntimeError("the format of the audio is not known yet")
        if not self._has_begun:
            self._has_begun = True
            return self._intake.config
        self._kept.take_back()
        self._answers = CommitAnswers()
        config = StreamingConfig()
        config.CopyFrom(self._intake.config)
        config.resume.CopyFrom(self._resume)
        begin_ms = self._kept.begin_ms
        config.resume.audio_offset.CopyFrom(_duration(begin_ms))
        for offset in config.resume.channel_offsets:
            offset.FromMilliseconds(max(offset.ToMilliseconds(), begin_ms))
        if self._kept.adaptation is not None:
            config.adaptation.CopyFrom(self._kept.adaptation)
        return config

    def take(self) -> AudioItem | None:
        """Return the next item to send; None if there is none now."""
        return self._kept.take()

    @property
    def can_leave(self) -> bool:
        """Whether the present call may be left for another one: one that has everything ends by itself in time."""
        return self.can_resume and not (self._is_ended and self._kept.is_all_sent)

    def received(self, response: RecognizeResponse) -> None:
        """Let go of what a response makes final."""
        cursor = response.cursor
        self._kept.release(cursor.finalized.ToMilliseconds())
        if cursor.channel_finalized:
            del self._resume.channel_offsets[:]
            self._resume.channel_offsets.extend(cursor.channel_finalized)
        match response.WhichOneof("response"):
            case "started":
                self._resume.call_id = response.started.call_id
            case "result" if response.result.is_final:
                self._received_final(response.result)
            case "stream_event":
                self._received_event(response.stream_event)

    def _received_final(self, result: RecognitionResult) -> None:
        self._resume.next_result_index = max(self._resume.next_result_index, result.result_index + 1)
        if result.forced:
            self._answer_commit(result.channel)

    def _received_event(self, event: StreamEvent) -> None:
        match event.event_type:
            case StreamEventType.STREAM_EVENT_TYPE_COMMIT_EMPTY:
                self._answer_commit(event.channel)
            case StreamEventType.STREAM_EVENT_TYPE_CHANNEL_FAILED:
                self._answers.fail(event.channel)
                self._drop_answered()

    def _answer_commit(self, channel: int) -> None:
        self._answers.add(channel, self._kept.sent_commits)
        self._drop_answered()

    def _drop_answered(self) -> None:
        for _ in range(self._answers.take_complete(self._channel_count)):
            self._kept.answer_commit()

    @property
    def _channel_count(self) -> int:
        """The channels that are recognized by themselves."""
        return max(1, len(self._resume.channel_offsets))

    def _keep(self, items: list[AudioItem]) -> None:
        for item in items:
            self._kept.add(item)

    def _new_kept(self) -> KeptItems:
        return KeptItems(self._intake.sample_format or _ANY_FORMAT, self._begin_ms, self._ahead_seconds)


def half_deadline_seconds(going_away: GoingAway) -> float:
    """Return how long a call may go on at a gateway that is going away."""
    return going_away.deadline.ToNanoseconds() / 2e9


def _duration(milliseconds: int) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(milliseconds)
    return duration
