"""Speech of people whose vendor drops every connection before the end of an utterance."""

from __future__ import annotations

from itertools import pairwise

import grpc
import pytest

from calls import REAL_RECORDINGS, config, in_messages, pcm, recognize
from dashscope_emulator import Fault
from dashscope_emulator.faults import Drop, Phase
from emulated_vendor import vendor_and_gateway


@pytest.mark.parametrize(
    ("model", "dropped_after_ms"),
    [
        ("paraformer-realtime-v2", 2_500),
        # A commit is 1.2 s of silence there.
        ("qwen3-asr-flash-realtime", 3_000),
        ("qwen3-asr-flash-realtime", 4_000),
    ],
)
async def test_a_call_goes_on_in_small_steps(model: str, dropped_after_ms: int) -> None:
    recording = REAL_RECORDINGS / "jfk.wav"
    if not recording.is_file():
        pytest.skip("the recordings of people are not here")
    dropped = Fault(action=Drop(), phase=Phase.SPEECH, audio_ms=dropped_after_ms)
    emulator = {"recognizer": "pocketsphinx", "faults": (dropped,)}
    settings = {"backlog_speed": 3.0, "replay_speed": 10.0, "reconnect_pause_seconds": 0.01, "max_upstream_failures": 5}
    async with vendor_and_gateway(emulator=emulator, **settings) as (_, _, stub):
        outcome = await recognize(stub, [config(model=model), *in_messages(pcm(recording))])
    assert (outcome.code, outcome.message) == (grpc.StatusCode.OK, "")
    assert outcome.finished.reconnects > 1
    assert [final.result_index for final in outcome.finals] == list(range(len(outcome.finals)))
    assert all(
        before.end_offset.ToMilliseconds() <= after.start_offset.ToMilliseconds()
        for before, after in pairwise(outcome.finals)
    )
    assert sum(len(text.split()) for text in outcome.texts) > 10
