"""Fault files."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashscope_emulator.faults import (
    Close,
    Delay,
    Drop,
    Duplicate,
    Fail,
    Fault,
    Garbage,
    Garble,
    Phase,
    Refuse,
    SlowRead,
    Stall,
    Throttle,
    load_faults,
)

FILE = """
faults:
  - {action: refuse, status: 503, connections: [1, 2]}
  - {action: stall, phase: handshake}
  - {action: stall, phase: start, model: fun-asr-realtime}
  - {action: throttle, starts_per_second: 20}
  - {action: drop, audio_ms: 7000}
  - {action: close, code: 1011, reason: oops, packets: 30}
  - {action: task_failed, code: C, message: m, tasks: 3, audio_ms: 500}
  - {action: stall, phase: speech, seconds: 2, times: 1}
  - {action: duplicate, audio_ms: 1000, count: 2}
  - {action: garble, kind: unknown_event, audio_ms: 1000}
  - {action: delay, delay_ms: 80, jitter_ms: 40}
  - {action: slow_read, seconds: 3.5, audio_ms: 1000}
"""


def test_faults_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(FILE)
    assert load_faults(path) == (
        Fault(action=Refuse(status=503), phase=Phase.HANDSHAKE, connections=(1, 2)),
        Fault(action=Stall(), phase=Phase.HANDSHAKE),
        Fault(action=Stall(), phase=Phase.START, model="fun-asr-realtime"),
        Fault(action=Throttle(starts_per_second=20), phase=Phase.START),
        Fault(action=Drop(), audio_ms=7000),
        Fault(action=Close(code=1011, reason="oops"), packets=30),
        Fault(action=Fail(code="C", message="m"), tasks=(3,), audio_ms=500),
        Fault(action=Stall(seconds=2.0), times=1),
        Fault(action=Duplicate(count=2), audio_ms=1000),
        Fault(action=Garble(kind=Garbage.UNKNOWN_EVENT), audio_ms=1000),
        Fault(action=Delay(delay_ms=80, jitter_ms=40), phase=Phase.START),
        Fault(action=SlowRead(seconds=3.5), audio_ms=1000),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "Input should be an object"),
        ("faults: [{}]", "action must be one of refuse, .*, not None"),
        ("faults: [{action: explode}]", "fault 1: action must be one of refuse, .*, not explode"),
        ("faults: [{action: drop, sound: loud}]", "fault 1: sound: Unexpected keyword argument"),
        ("faults: [{action: drop, audio_ms: soon}]", "fault 1: audio_ms: Input should be a valid integer"),
        (
            "faults: [{action: drop, phase: later}]",
            "fault 1: phase: Input should be 'handshake', 'start', 'speech' or 'finish'",
        ),
        ("faults: [", "neither YAML nor JSON"),
    ],
)
def test_a_bad_file_is_refused_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_faults(path)
