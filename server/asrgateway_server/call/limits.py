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
        hibernate_after_seconds: After so much of it the task is ended, for calls whose policy is HIBERNATE.
        task_silence_seconds: A vendor's task without speech for so long is replaced by a new one, for models whose
            tasks the vendor would end soon.
        task_idle_seconds: A vendor's task is ended when the client's first audio has not come for so long; another one
            begins with that audio.
        answer_seconds: An upstream has answered all that it got once nothing was sent for so long.
        replay_seconds: The most audio that a call keeps for tasks that take over from lost ones.
        replay_speed: How many times faster than realtime it is sent again.
        hedge_after_seconds: A call whose model is not ready after so long begins at the next of its route too; 0: it
            waits.
        max_channels: The most channels of one call that are recognized each by itself.
        max_failures: How many tasks in a row may be lost.
        reconnect_pause_seconds: The pause after the first of them.
    """

    max_utterance_seconds: float
    cursor_interval_seconds: float
    backlog_speed: float
    quiet_after_seconds: float
    max_injected_silence_seconds: float
    hibernate_after_seconds: float
    task_silence_seconds: float
    task_idle_seconds: float
    answer_seconds: float
    replay_seconds: float
    replay_speed: float
    hedge_after_seconds: float
    max_channels: int
    max_failures: int
    reconnect_pause_seconds: float
