"""What the operator sets for every call."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Times of every call.

    Attributes:
        max_utterance_seconds: The gateway ends an utterance that is longer.
        cursor_interval_seconds: A cursor is sent when no response was sent for so long.
        backlog_speed: How many times faster than realtime waiting audio is sent to a vendor.
        quiet_after_seconds: When a client counts as quiet, unless its config says otherwise.
        max_injected_silence_seconds: The most silence in a row that is sent in a client's place until audio comes.
        task_silence_seconds: A vendor's task without speech for so long is replaced by a new one, for models whose
            tasks the vendor would end soon.
        task_idle_seconds: A vendor's task is ended when the client's first audio has not come for so long; another one
            begins with that audio.
    """

    max_utterance_seconds: float
    cursor_interval_seconds: float
    backlog_speed: float
    quiet_after_seconds: float
    max_injected_silence_seconds: float
    task_silence_seconds: float
    task_idle_seconds: float
