"""What ``asr-client`` prints about one call."""

from dataclasses import dataclass
from typing import Protocol

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from asrgateway.errors import RecognitionError
from asrgateway.terminal import Terminal
from asrgateway.v1.recognition_pb2 import (
    Finished,
    RecognitionResult,
    RecognizeResponse,
    Started,
    StreamEvent,
    StreamEventType,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one call went.

    Attributes:
        name: Of the recording.
        sent_seconds: Audio that was sent.
        finals: Number of final results.
        finished: The last message of a call that ended well; None: it did not.
        status: ``OK``, the status of the call, or why it was not made.
        exit_code: Of the process, if this were its only call.
    """

    name: str
    sent_seconds: float
    finals: int
    finished: Finished | None
    status: str
    exit_code: int


class Display(Protocol):
    """Shows how far a call is."""

    def sent(self, seconds: float) -> None:
        """Show how much audio was sent."""

    def interim(self, text: str) -> None:
        """Show the text so far of the open utterance."""

    def end(self) -> None:
        """Remove what is shown."""


class Measured(Protocol):
    """Audio of a known format."""

    @property
    def seconds(self) -> float | None:
        """Its length; None: nobody knows."""

    def seconds_of(self, sent_bytes: int) -> float:
        """Return how much audio the first bytes hold."""


class Report:
    """Shows on standard error how one call goes.

    Attributes:
        is_waiting: The gateway is waited for, and has not answered yet.

    Args:
        terminal: Where to print.
        audio: What is sent.
        display: Shows the progress.
        name: Begins every note and names the outcome; empty: a single recording, whose notes need no name.
    """

    def __init__(self, terminal: Terminal, audio: Measured, display: Display, name: str) -> None:
        self._terminal = terminal
        self._audio = audio
        self._display = display
        self._name = name
        self._sent_bytes = 0
        self._finals = 0
        self._finished: Finished | None = None
        self.is_waiting = False
        self._warnings: set[str] = set()

    def sent(self, count_bytes: int) -> None:
        """Count bytes that were sent, header included."""
        self._sent_bytes += count_bytes
        self._display.sent(self._sent_seconds)

    def received(self, response: RecognizeResponse) -> None:
        """Show one response."""
        if self.is_waiting:
            self.is_waiting = False
            self._note("note: a gateway answers again")
        match response.WhichOneof("response"):
            case "started":
                self._started(response.started)
            case "result":
                self._result(response.result)
            case "stream_event":
                self._note(_event(response.stream_event))
            case "warning":
                self._warn(response.warning.field, response.warning.message)
            case "going_away":
                left = _seconds(response.going_away.deadline)
                self._note(f"warning: the gateway stops in {left:.0f} s")
            case "finished":
                self._finish(response.finished)

    def retrying(self, error: RecognitionError, advice: str, wait_seconds: float) -> None:
        """Say once that the gateway is waited for, until it answers."""
        if not self.is_waiting:
            self.is_waiting = True
            self._note(f"note: {error}")
            self._note(f"note: trying again for {wait_seconds:.0f} s. {advice}")

    def failed(self, error: RecognitionError, advice: str) -> None:
        """Say how the call ended and what to do."""
        self._note(f"asr-client: {error}")
        self._note(f"asr-client: {advice}")

    def unusable(self, cause: str) -> None:
        """Say why the recording cannot be read to its end."""
        self._note(f"asr-client: {cause}")

    def outcome(self, status: str, exit_code: int) -> Outcome:
        """Remove the bar and return how the call went."""
        self._display.end()
        return Outcome(
            name=self._name,
            sent_seconds=self._sent_seconds,
            finals=self._finals,
            finished=self._finished,
            status=status,
            exit_code=exit_code,
        )

    @property
    def _sent_seconds(self) -> float:
        return self._audio.seconds_of(self._sent_bytes)

    def _note(self, text: str) -> None:
        self._terminal.note(f"{self._name}: {text}" if self._name else text)

    def _started(self, started: Started) -> None:
        for downgrade in started.downgrades:
            self._warn(downgrade.field, downgrade.message)

    def _warn(self, field: str, message: str) -> None:
        """Print a warning once, although the gateway may also list it as a downgrade."""
        if message not in self._warnings:
            self._warnings.add(message)
            self._note(f"warning: {field}: {message}")

    def _result(self, result: RecognitionResult) -> None:
        self._display.interim("" if result.is_final else result.transcript)
        self._finals += result.is_final

    def _finish(self, finished: Finished) -> None:
        self._finished = finished
        if not self._name:
            total = self._audio.seconds
            sent_seconds = self._sent_seconds or _seconds(finished.audio_duration)
            self._note(f"sent {sent_seconds:.1f}{'' if total is None else f' of {total:.1f}'} s")
            self._note(
                f"first package {delay(finished, 'first_package_delay')}, "
                f"last package {delay(finished, 'last_package_delay')}"
            )


def delay(finished: Finished, field: str) -> str:
    """Return a delay at the gateway's edge, with the recogniser's part of it."""
    upstream = milliseconds(finished, f"upstream_{field}")
    return f"{milliseconds(finished, field)} (upstream {upstream})"


def milliseconds(message: Message, field: str) -> str:
    """Return a Duration of a message as text, or ``none``."""
    if not message.HasField(field):
        return "none"
    return f"{_seconds(getattr(message, field)) * 1000:.0f} ms"


def _event(event: StreamEvent) -> str:
    name = StreamEventType.Name(event.event_type).removeprefix("STREAM_EVENT_TYPE_").lower().replace("_", " ")
    is_loss = event.event_type in {
        StreamEventType.STREAM_EVENT_TYPE_AUDIO_DROPPED,
        StreamEventType.STREAM_EVENT_TYPE_CHANNEL_FAILED,
    }
    channel = f"channel {event.channel}: " if event.HasField("channel") else ""
    span = (
        f" from {_seconds(event.start_offset):.1f} to {_seconds(event.end_offset):.1f} s"
        if event.HasField("end_offset")
        else ""
    )
    return f"{'warning' if is_loss else 'note'}: {channel}{name}{span}: {event.reason}"


def _seconds(duration: Duration) -> float:
    return duration.ToNanoseconds() / 1e9
