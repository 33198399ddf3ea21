"""Which model of a route a call begins with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import pytest

from asrgateway.v1 import recognition_pb2 as pb
from calls import Stub, config, in_messages, recognize
from dashscope_emulator import EmulatorOptions, running_emulator
from dashscope_emulator.faults import Fault, Phase, Stall
from dashscope_emulator.recognizers.markers import marker_audio
from gateways import open_gateway

SPEECH: Final = in_messages(marker_audio(0, 150))
V2: Final = "paraformer-realtime-v2"
SETTINGS: Final[dict[str, Any]] = {
    "dashscope_api_key": "sk-1",
    "embedded_workers": 0,
    "backlog_speed": 1000.0,
    "models": [
        {"name": name, "like": V2, "vendor_model": V2, "languages": [language]}
        for name, language in (("chinese", "zh"), ("english", "en"))
    ],
    "aliases": {"default": ["chinese", "english"]},
}


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with (
        running_emulator(EmulatorOptions(recognizer="markers")) as vendor,
        open_gateway(dashscope_url=vendor.url, **SETTINGS) as (_, stub),
    ):
        yield stub


@pytest.mark.parametrize(
    ("languages", "model"), [([], "chinese"), (["en-GB"], "english"), (["en", "zh"], "chinese"), (["fr"], "chinese")]
)
async def test_a_call_begins_at_the_first_model_that_knows_one_of_its_languages(
    stub: Stub, languages: list[str], model: str
) -> None:
    outcome = await recognize(stub, [config(language_codes=languages), *SPEECH])
    assert outcome.code is grpc.StatusCode.OK
    assert outcome.responses[0].started.model == model


async def test_the_catalogue_lists_the_models_of_a_route_in_order(stub: Stub) -> None:
    (alias,) = (await stub.ListModels(pb.ListModelsRequest())).aliases
    assert (alias.name, alias.model, list(alias.models)) == ("default", "chinese", ["chinese", "english"])


@pytest.mark.parametrize("seconds", [0, 0.01], ids=["without", "with a hedged start"])
async def test_a_slow_model_is_left_before_it_has_had_any_audio(seconds: float) -> None:
    stuck = EmulatorOptions(
        recognizer="markers", faults=(Fault(action=Stall(seconds=0.5 if not seconds else 0), phase=Phase.START),)
    )
    async with (
        running_emulator(stuck) as slow,
        running_emulator(EmulatorOptions(recognizer="markers")) as other,
        open_gateway(
            dashscope_url=slow.url,
            dashscope_api_key="sk-1",
            embedded_workers=0,
            backlog_speed=1000.0,
            hedge_after_seconds=seconds,
            endpoints={"elsewhere": {"url": other.url, "api_key": "sk-1"}},
            models=[{"name": "second", "like": V2, "vendor_model": V2, "endpoint": "elsewhere"}],
            aliases={"default": [V2, "second"]},
        ) as (_, stub),
    ):
        outcome = await recognize(stub, [config(), *SPEECH])
        assert (outcome.code, outcome.texts) == (grpc.StatusCode.OK, ["w0 w1 w2 w3 w4"])
        model = "second" if seconds else V2
        assert outcome.responses[0].started.model == model
        assert sum(journal.audio_ms for journal in slow.journals) == (0 if seconds else 1500)
        assert [journal.outcome for journal in other.journals] == (["finished"] if seconds else [])
