"""What the operator sets for every call."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Times of every call.

    Attributes:
        max_utterance_seconds: An utterance that goes on for longer is ended.
        cursor_interval_seconds: After so much quiet the client is sent a cursor.
        backlog_speed: How many times faster than realtime a vendor is sent audio that waits.
        quiet_after_seconds: When a client counts as quiet, unless it says so itself.
        max_injected_silence_seconds: So much silence in a row is sent in a client's place, and no more until it speaks.
        task_silence_seconds: A vendor's task in which nothing was said for so long is followed by a new one, where the
            vendor would soon end it.
        task_idle_seconds: A vendor's task that has had no audio for so long, since the client has not sent any yet, is
            ended, and another one begins with the first audio.
    """

    max_utterance_seconds: float
    cursor_interval_seconds: float
    backlog_speed: float
    quiet_after_seconds: float
    max_injected_silence_seconds: float
    task_silence_seconds: float
    task_idle_seconds: float
