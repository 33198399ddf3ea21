"""What becomes of hot words, as the catalogue says it."""

from __future__ import annotations

import pytest

from asrgateway_server.vendors.dashscope.catalogue import BLANK_MODELS, DASHSCOPE_MODELS
from asrgateway_server.vendors.dashscope.model import HotwordResource, dashscope_model
from asrgateway_server.vendors.pocketsphinx.catalogue import EMBEDDED

MODELS = {row.name: row for row in DASHSCOPE_MODELS}
TABLE, PHRASES = HotwordResource.TABLE, HotwordResource.PHRASES


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        ("paraformer-realtime-v1", PHRASES),
        ("paraformer-realtime-8k-v1", PHRASES),
        ("paraformer-realtime-v2", TABLE),
        ("paraformer-realtime-8k-v2", TABLE),
        ("fun-asr-realtime", TABLE),
        ("fun-asr-realtime-2025-09-15", TABLE),
        ("fun-asr-flash-8k-realtime", TABLE),
        ("qwen-audio-3.0-asr-flash-streaming", None),
        ("qwen-audio-3.1-asr-flash-streaming", None),
        ("qwen-audio-3.1-asr-flash-message", None),
        ("qwen3-asr-flash-realtime", None),
    ],
)
def test_hot_words_are_compiled_where_the_task_cannot_hold_them(name: str, resource: HotwordResource | None) -> None:
    assert MODELS[name].hotword_resource is resource


def test_hot_words_that_are_not_compiled_go_into_the_task_or_session() -> None:
    as_they_are = [row for row in DASHSCOPE_MODELS if row.hotword_resource is None]
    assert all("vocabulary" in row.switches or row.backend == "qwen3_asr" for row in as_they_are)


def test_every_backend_of_a_row_has_a_blank_row_of_its_own() -> None:
    assert {row.backend for row in DASHSCOPE_MODELS} == {row.backend for row in BLANK_MODELS.values()}
    assert {name: row.backend for name, row in BLANK_MODELS.items()} == {name: name for name in BLANK_MODELS}


def test_a_model_of_another_vendor_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="embedded is no model of this vendor"):
        dashscope_model(EMBEDDED)
