"""How many workers there are, and when they are loaded."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from all_settings import Settings
from asrgateway_server.backends.worker_process import WorkerPool
from asrgateway_server.metrics import Metrics
from asrgateway_server.vendors.pocketsphinx.vendor import PocketSphinx, loaded_workers
from catalogues import WITHOUT_KEY, served

KEY = {"dashscope_api_key": "sk-1"}


@pytest.mark.parametrize(
    ("values", "is_wanted"),
    [
        ({}, True),
        (KEY, False),
        (KEY | {"default_model": "embedded"}, True),
        (KEY | {"aliases": {"offline": "embedded"}}, True),
        (KEY | {"aliases": {"default": ["paraformer-realtime-v2", "embedded"]}}, True),
        (KEY | {"aliases": {"default": "paraformer-realtime-v2"}}, False),
    ],
)
def test_workers_are_loaded_where_the_embedded_model_is_the_default_or_has_an_alias(
    values: dict[str, Any], *, is_wanted: bool
) -> None:
    settings = Settings(**values)
    assert settings.worker_count > 0
    assert loaded_workers(settings, served(**values)) == (settings.worker_count if is_wanted else 0)


@pytest.mark.parametrize("count", [0, 3])
def test_the_operators_number_of_workers_counts(count: int) -> None:
    values: dict[str, Any] = KEY | {"embedded_workers": count}
    settings = Settings(**values)
    assert (settings.worker_count, loaded_workers(settings, served(**values))) == (count, count)


async def test_the_settings_decide_how_many_workers_there_are() -> None:
    settings = Settings(embedded_workers=2)
    async with PocketSphinx().open(settings, WITHOUT_KEY, Metrics(CollectorRegistry())) as backends:
        pool = backends["pocketsphinx"]
        assert isinstance(pool, WorkerPool)
        assert len(set(pool.pids)) == 2


def test_more_workers_need_more_files() -> None:
    few, many = (PocketSphinx().open_files(Settings(embedded_workers=workers)) for workers in (0, 10))
    assert many > few


def test_with_the_emulator_workers_are_loaded_as_without_a_key() -> None:
    tried = PocketSphinx().at_emulator(Settings(), "ws://127.0.0.1:1")
    assert tried.embedded_workers == tried.worker_count


@pytest.mark.parametrize(
    ("values", "is_wanted"),
    [
        ({"default_model": "embedded"}, True),
        ({"default_model": "fast"}, False),
        ({"aliases": {"default": ("fast", "embedded")}}, True),
        ({"aliases": {"default": ("fast",), "offline": ("embedded",)}}, True),
        ({"aliases": {"default": ("fast",)}}, False),
    ],
)
def test_with_the_emulator_a_route_without_the_embedded_model_loads_no_workers(
    values: dict[str, Any], *, is_wanted: bool
) -> None:
    tried = PocketSphinx().at_emulator(Settings(**values), "ws://127.0.0.1:1")
    assert (tried.embedded_workers is not None) == is_wanted
