"""What ``asr-client file`` prints during a call."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from asrgateway.audio_file import AudioFile
from asrgateway.json_lines import to_json
from asrgateway.terminal import Terminal
from asrgateway.v1.recognition_pb2 import (
    Finished,
    RecognitionResult,
    RecognizeResponse,
    Started,
    StreamEvent,
    StreamEventType,
)


class Report:
    """Prints one call: final results as lines of standard output, everything else on standard error.

    Args:
        terminal: Where to print.
        audio: The recording that is sent.
        is_json: Print every response as JSON in place of the final text.
    """

    def __init__(self, terminal: Terminal, audio: AudioFile, *, is_json: bool) -> None:
        self._terminal = terminal
        self._audio = audio
        self._is_json = is_json
        self._sent_bytes = 0
        self._interim = ""
        self._warnings: set[str] = set()

    def sent(self, count_bytes: int) -> None:
        """Count bytes that were sent, header included."""
        self._sent_bytes += count_bytes
        self._redraw()

    def received(self, response: RecognizeResponse) -> None:
        """Show one response."""
        if self._is_json:
            self._terminal.result(to_json(response))
        match response.WhichOneof("response"):
            case "started":
                self._started(response.started)
            case "result":
                self._result(response.result)
            case "stream_event":
                self._terminal.note(_event(response.stream_event))
            case "warning":
                self._warn(response.warning.field, response.warning.message)
            case "going_away":
                left = _seconds(response.going_away.deadline)
                self._terminal.note(f"warning: the gateway stops in {left:.0f} s")
            case "finished":
                self._finished(response.finished)
        self._redraw()

    def _started(self, started: Started) -> None:
        for downgrade in started.downgrades:
            self._warn(downgrade.field, downgrade.message)

    def _warn(self, field: str, message: str) -> None:
        """Print a warning once, although the gateway may also list it as a downgrade."""
        if message not in self._warnings:
            self._warnings.add(message)
            self._terminal.note(f"warning: {field}: {message}")

    def _result(self, result: RecognitionResult) -> None:
        self._interim = "" if result.is_final or self._is_json else result.transcript
        if result.is_final and not self._is_json:
            self._redraw()  # The interim text is out of date.
            self._terminal.result(result.transcript)

    def _finished(self, finished: Finished) -> None:
        self._terminal.note(f"sent {self._progress()}")
        self._terminal.note(
            f"first package {_delay(finished, 'first_package_delay')}, "
            f"last package {_delay(finished, 'last_package_delay')}"
        )

    def _progress(self) -> str:
        return f"{self._audio.seconds_of(self._sent_bytes):.1f} of {self._audio.seconds:.1f} s"

    def _redraw(self) -> None:
        self._terminal.live(f"[{self._progress()}] ", self._interim)


def _event(event: StreamEvent) -> str:
    name = StreamEventType.Name(event.event_type).removeprefix("STREAM_EVENT_TYPE_").lower().replace("_", " ")
    is_loss = event.event_type == StreamEventType.STREAM_EVENT_TYPE_AUDIO_DROPPED
    span = (
        f" from {_seconds(event.start_offset):.1f} to {_seconds(event.end_offset):.1f} s"
        if event.HasField("end_offset")
        else ""
    )
    return f"{'warning' if is_loss else 'note'}: {name}{span}: {event.reason}"


def _delay(finished: Finished, field: str) -> str:
    """Return a delay at the gateway's edge, with the recogniser's part of it."""
    upstream = _milliseconds(finished, f"upstream_{field}")
    return f"{_milliseconds(finished, field)} (upstream {upstream})"


def _milliseconds(message: Message, field: str) -> str:
    if not message.HasField(field):
        return "none"
    return f"{_seconds(getattr(message, field)) * 1000:.0f} ms"


def _seconds(duration: Duration) -> float:
    return duration.ToNanoseconds() / 1e9
