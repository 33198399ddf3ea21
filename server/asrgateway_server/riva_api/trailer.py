"""What Riva's messages have no field for, as trailing metadata and a line of the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.riva_api import asr_pb2 as asr
from asrgateway_server.riva_api.fields import riva_field, riva_text
from asrgateway_server.riva_api.requests import Ignored

log = logging.getLogger(__name__)

CALL_ID: Final = "asrgateway-call-id"
COST: Final = "asrgateway-cost-cny"
IGNORED: Final = "asrgateway-ignored"
NOTE: Final = "asrgateway-note"
# Clients take 8 KB of metadata, and the details of an error are among it.
_MOST_ENTRIES: Final = 16
_MOST_LOSSES: Final = 8
_LONGEST_TEXT: Final = 200
_LONGEST_CODE: Final = 35


class Trailer:
    """Collects it during a call.

    Attributes:
        asked: What the client asked for, as Riva says it of an unknown model.
    """

    def __init__(self) -> None:
        self.asked = ""
        self._call_id = ""
        self._cost = ""
        self._note = ""
        self._ignored: dict[Ignored, None] = {}
        self._losses: list[Ignored] = []
        self._more_losses = 0
        self._takers: Mapping[str, Callable[[pb.RecognizeResponse], None]] = {
            "started": self._take_started,
            "warning": self._take_warning,
            "stream_event": self._take_event,
            "finished": self._take_finished,
        }

    def ask(self, config: asr.RecognitionConfig, kind: str) -> None:
        """Note what the client asks for; ``kind`` is online or offline."""
        code = config.language_code[:_LONGEST_CODE]
        self.asked = f"language_code={code}; sample_rate={config.sample_rate_hertz}; type={kind};"

    def ignore(self, ignored: Iterable[Ignored]) -> None:
        """Add what is ignored; the first ones, each once."""
        for entry in ignored:
            if len(self._ignored) < _MOST_ENTRIES:
                self._ignored[entry] = None

    def note(self, text: str) -> None:
        """Say what the client may not expect, though nothing of its request is ignored."""
        self._note = text

    def take(self, message: pb.RecognizeResponse) -> None:
        """Take from a response what belongs here."""
        if taker := self._takers.get(message.WhichOneof("response") or ""):
            taker(message)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return it as trailing metadata."""
        return tuple((name, _ascii(text)) for name, text in self._entries() if text)

    def write_log(self) -> None:
        """Write a line if anything was ignored."""
        if entries := [_text(entry) for entry in self._told()]:
            log.info("options ignored", extra={"ignored": entries})

    def _entries(self) -> Iterator[tuple[str, str]]:
        yield CALL_ID, self._call_id
        yield COST, self._cost
        yield NOTE, self._note
        for entry in self._told():
            yield IGNORED, _text(entry)

    def _told(self) -> Iterator[Ignored]:
        """Yield what was ignored or lost: lost audio first, which always finds room."""
        yield from self._losses
        if self._more_losses:
            yield Ignored("audio", f"{self._more_losses} more losses, which the log of the gateway has")
        yield from islice(self._ignored, _MOST_ENTRIES - len(self._losses) - bool(self._more_losses))

    def _lose(self, reason: str) -> None:
        if len(self._losses) < _MOST_LOSSES:
            self._losses.append(Ignored("audio", reason))
        else:
            self._more_losses += 1

    def _take_started(self, message: pb.RecognizeResponse) -> None:
        self._call_id = message.started.call_id

    def _take_warning(self, message: pb.RecognizeResponse) -> None:
        self.ignore([Ignored(riva_field(message.warning.field), riva_text(message.warning.message))])

    def _take_event(self, message: pb.RecognizeResponse) -> None:
        event = message.stream_event
        self.ignore(
            Ignored(riva_field(downgrade.field), riva_text(downgrade.message)) for downgrade in event.downgrades
        )
        if event.event_type == pb.STREAM_EVENT_TYPE_AUDIO_DROPPED:
            start, end = event.start_offset.ToMilliseconds(), event.end_offset.ToMilliseconds()
            self._lose(f"{start} to {end} ms were lost: {event.reason}")
        if event.event_type == pb.STREAM_EVENT_TYPE_CHANNEL_FAILED:
            start = event.start_offset.ToMilliseconds()
            self._lose(f"channel_tag {event.channel + 1} failed at {start} ms: {event.reason}")

    def _take_finished(self, message: pb.RecognizeResponse) -> None:
        if message.finished.HasField("estimated_cost_cny"):
            self._cost = f"{message.finished.estimated_cost_cny:.6f}"


def _text(entry: Ignored) -> str:
    return f"{entry.field}: {entry.reason}"[:_LONGEST_TEXT]


def _ascii(text: str) -> str:
    """Return what metadata can carry: printable ASCII."""
    return "".join(character if " " <= character <= "~" else "?" for character in text)
