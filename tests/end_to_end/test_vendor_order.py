"""The manual binds clients: the gateway keeps its order, though the emulator forgives others who do not."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from calls import config, in_messages, recognize
from dashscope_emulator import Knobs
from dashscope_emulator.recognizers.markers import marker_audio, silent_audio
from emulated_vendor import vendor_and_gateway
from on_sdk import vendor_and_gateway_on_sdk

STRICT: dict[str, Any] = {"early_frames": "task-failed", "foreign_task_id": "task-failed", "start_seconds": 0.2}


@pytest.mark.parametrize("model", ["paraformer-realtime-v2", "fun-asr-realtime"])
@pytest.mark.parametrize(
    "transport", [vendor_and_gateway, vendor_and_gateway_on_sdk], ids=["websocket", "official_sdk"]
)
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
async def test_audio_waits_for_task_started_and_every_frame_has_the_tasks_id(transport: Any, model: str) -> None:
    speech = in_messages(marker_audio(0, 150) + silent_audio(150))
    knobs = Knobs(**STRICT)
    async with transport(emulator={"knobs": knobs}) as (_, _, stub):
        outcome = await recognize(stub, [config(model=model), *speech])
    assert (outcome.code, outcome.texts) == (grpc.StatusCode.OK, ["w0 w1 w2 w3 w4"])
