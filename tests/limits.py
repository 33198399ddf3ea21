"""The operator's limits in tests of one call: no silence, no waiting, no second attempt unless a test wants it."""

from __future__ import annotations

from asrgateway_server.call.limits import Limits

LIMITS = Limits(
    max_utterance_seconds=20.0,
    cursor_interval_seconds=10.0,
    backlog_speed=1.0,
    quiet_after_seconds=60.0,
    max_injected_silence_seconds=600.0,
    hibernate_after_seconds=30.0,
    hedge_after_seconds=0.0,
    task_silence_seconds=50.0,
    task_idle_seconds=10.0,
    answer_seconds=60.0,
    replay_seconds=60.0,
    replay_speed=10.0,
    max_channels=16,
    max_failures=0,
    reconnect_pause_seconds=0.0,
)
