"""A task in which nothing was said: the vendor may call its end an error and close, and the call goes on."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from asrgateway.v1 import recognition_pb2 as pb
from calls import Outcome, commit, config, in_messages, recognize, silence
from dashscope_emulator.knobs import Knobs
from dashscope_emulator.recognizers.markers import marker_audio
from emulated_vendor import on_either_transport, vendor_and_gateway

# The SDK leaves its socket and its event loop to the garbage collector, which comes in anybody's test.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

V2 = "paraformer-realtime-v2"
V1 = "paraformer-realtime-v1"
FUN_ASR = "fun-asr-realtime"
WORD_TIMES = pb.RecognitionFeatures(enable_word_time_offsets=True)
SPEECH = marker_audio(0, 150)
SECOND = marker_audio(150, 150)
WORDS = ["w0 w1 w2 w3 w4", "w5 w6 w7 w8 w9"]
OK = grpc.StatusCode.OK
#: A task that ends without a sentence ends with NO_VALID_AUDIO_ERROR, and its connection with it.
SILENCE_FAILS: dict[str, Any] = {"knobs": Knobs(silence_only="task-failed", heartbeat_seconds=0.01)}


def on(transport: str) -> dict[str, Any]:
    return {"transports": {"paraformer": transport, "fun_asr": transport}}


def answers(outcome: Outcome) -> list[str]:
    """How each commit was answered, in order."""
    return [
        "result" if response.HasField("result") else "empty"
        for response in outcome.responses
        if response.result.forced or response.stream_event.event_type == pb.STREAM_EVENT_TYPE_COMMIT_EMPTY
    ]


@on_either_transport
@pytest.mark.parametrize("model", [V2, FUN_ASR])
async def test_a_commit_in_silence_is_answered_and_the_call_goes_on(transport: str, model: str) -> None:
    async with vendor_and_gateway(emulator=SILENCE_FAILS, **on(transport)) as (vendor, _, stub):
        outcome = await recognize(
            stub,
            [
                config(model=model, features=WORD_TIMES),
                *in_messages(silence(1.0)),
                commit(),
                *in_messages(SPEECH),
                commit(),
                *in_messages(silence(0.5)),
                commit(),
                *in_messages(SECOND),
            ],
        )
        outcomes = [journal.outcome for journal in vendor.journals]
    assert (outcome.code, outcome.message) == (OK, "")
    assert answers(outcome) == ["empty", "result", "empty"]
    assert outcome.texts == WORDS
    assert [final.words[0].start_offset.ToMilliseconds() for final in outcome.finals] == [1000, 3000]
    assert outcomes == ["failed", "finished", "failed", "finished"]


@on_either_transport
async def test_a_roll_over_in_silence_does_not_end_the_call(transport: str) -> None:
    """Models without a heartbeat switch get a new task before the vendor ends a silent one."""
    async with vendor_and_gateway(emulator=SILENCE_FAILS, task_silence_seconds=2.0, **on(transport)) as (
        vendor,
        _,
        stub,
    ):
        outcome = await recognize(
            stub, [config(model=V1, features=WORD_TIMES), *in_messages(silence(4.3)), *in_messages(SPEECH)]
        )
        outcomes = [journal.outcome for journal in vendor.journals]
    assert (outcome.code, outcome.texts) == (OK, WORDS[:1])
    assert outcome.finals[0].words[0].start_offset.ToMilliseconds() == 4300
    assert answers(outcome) == []
    assert outcomes == ["failed", "failed", "finished"]
