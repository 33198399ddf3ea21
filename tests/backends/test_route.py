from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Final

import pytest
from prometheus_client import CollectorRegistry

from asrgateway_server.backends.base import Upstream
from asrgateway_server.backends.circuit_breaker import CircuitLimits
from asrgateway_server.backends.route import Candidate, Route, Routes
from asrgateway_server.config import RecognitionConfig
from asrgateway_server.errors import UnknownModel
from asrgateway_server.metrics import Metrics
from catalogues import served

CHINESE, ENGLISH, BOTH = "chinese", "english", "both"
FAR: Final = {"backend": "paraformer", "rates_hertz": [16_000]}
CATALOGUE: Final = served(
    dashscope_api_key="sk-1",
    models=[
        {"name": CHINESE, "languages": ["zh"], **FAR},
        {"name": ENGLISH, "languages": ["en"], **FAR},
        {"name": BOTH, "languages": ["zh", "en"], **FAR},
    ],
    aliases={"default": [CHINESE, ENGLISH, BOTH], "other": [BOTH, CHINESE]},
)


class NoBackend:
    def open(self, config: RecognitionConfig) -> AbstractAsyncContextManager[Upstream]:
        raise NotImplementedError


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


@pytest.fixture
def routes(metrics: Metrics) -> Routes:
    backends = {model.backend: NoBackend() for model in CATALOGUE.models.values()}
    return Routes(CATALOGUE, backends, CircuitLimits(failed_calls=1), metrics)


@pytest.fixture
def route(routes: Routes) -> Route:
    return routes.find("")


def names(*candidates: Candidate | None) -> list[str]:
    return [candidate.model.name for candidate in candidates if candidate]


def lose(candidate: Candidate, now: float = 0.0) -> None:
    """Open a candidate's circuit."""
    candidate.circuit.failed(candidate.circuit.begin("a call"), now)


# Order ------------------------------------------------------------------------------------------------------------


def test_a_route_begins_with_its_first_model(route: Route) -> None:
    assert names(*route.candidates) == [CHINESE, ENGLISH, BOTH]
    assert names(route.first(0.0)) == [CHINESE]


def test_a_model_is_a_route_of_its_own(routes: Routes) -> None:
    assert names(*routes.find("embedded").candidates) == ["embedded"]


def test_an_unknown_name_is_refused(routes: Routes) -> None:
    with pytest.raises(UnknownModel, match="known are"):
        routes.find("nothing")


def test_a_model_that_answers_nobody_is_left_out(route: Route) -> None:
    lose(route.candidates[0])
    assert names(route.first(1.0)) == [ENGLISH]
    lose(route.candidates[1])
    assert names(route.first(1.0)) == [BOTH]


@pytest.mark.parametrize(("place", "after"), [(0, [ENGLISH, BOTH]), (1, [BOTH, CHINESE]), (2, [CHINESE, ENGLISH])])
def test_after_a_model_come_those_behind_it_and_then_those_before_it(
    route: Route, place: int, after: list[str]
) -> None:
    assert names(*route.after(route.candidates[place], 0.0)) == after


def test_after_a_model_come_only_those_where_a_task_may_start(route: Route) -> None:
    lose(route.candidates[1])
    assert names(*route.after(route.candidates[0], 1.0)) == [BOTH]


def test_where_no_task_may_start_the_earliest_time_is_known(route: Route) -> None:
    for now, candidate in enumerate(route.candidates):
        lose(candidate, float(now))
    assert route.first(3.0) is None
    assert route.next_start_at(3.0) == 10.0
    assert names(route.first(10.0)) == [CHINESE]
    assert route.next_start_at(10.0) == 10.0


def test_a_model_has_one_circuit_for_all_routes_and_calls(routes: Routes) -> None:
    lose(routes.find("other").candidates[1])
    assert names(routes.find("").first(1.0)) == [ENGLISH]
    assert routes.find(CHINESE).first(1.0) is None


# Languages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("languages", "expected"),
    [
        ((), [CHINESE, ENGLISH, BOTH]),
        (("zh-CN",), [CHINESE, BOTH]),
        (("en-GB",), [ENGLISH, BOTH]),
        (("fr", "en"), [ENGLISH, BOTH]),
        (("zh", "en"), [CHINESE, ENGLISH, BOTH]),
        (("fr",), [CHINESE, ENGLISH, BOTH]),
    ],
)
def test_a_model_without_the_calls_languages_is_no_candidate_unless_none_has_any(
    route: Route, languages: tuple[str, ...], expected: list[str]
) -> None:
    assert names(*route.hearing(languages).candidates) == expected


# Metrics ----------------------------------------------------------------------------------------------------------


def test_every_model_shows_its_circuit(routes: Routes, metrics: Metrics) -> None:
    value = metrics.registry.get_sample_value
    shown = {model: value("asrgateway_upstream_circuit_open", {"model": model}) for model in CATALOGUE.models}
    assert shown == dict.fromkeys(CATALOGUE.models, 0.0)
    lose(routes.find(CHINESE).candidates[0], now=float("inf"))
    assert value("asrgateway_upstream_circuit_open", {"model": CHINESE}) == 1
    assert value("asrgateway_upstream_circuit_open", {"model": BOTH}) == 0


@pytest.mark.usefixtures("routes")
def test_failovers_are_shown_for_the_pairs_of_each_route(metrics: Metrics) -> None:
    (family,) = [one for one in metrics.registry.collect() if one.name == "asrgateway_upstream_failovers"]
    pairs = {(sample.labels["from_model"], sample.labels["to_model"]): sample.value for sample in family.samples}
    assert pairs == {(one, other): 0 for one in (CHINESE, ENGLISH, BOTH) for other in {CHINESE, ENGLISH, BOTH} - {one}}
