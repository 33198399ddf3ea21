from __future__ import annotations

import re

import grpc
import pytest
from prometheus_client import CollectorRegistry

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.metrics import METHODS, SERVICE, Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def test_every_metric_bears_our_name_or_a_standard_one(metrics: Metrics) -> None:
    names = {family.name for family in metrics.registry.collect()}
    assert [name for name in names if not re.match(r"(asrgateway|grpc_server|process|python)_", name)] == []


def test_every_metric_says_what_it_is(metrics: Metrics) -> None:
    assert [family.name for family in metrics.registry.collect() if not family.documentation] == []


def test_the_methods_are_those_of_the_contract() -> None:
    service = pb.DESCRIPTOR.services_by_name["SpeechRecognitionService"]
    assert service.full_name == SERVICE
    assert set(METHODS) == {method.name for method in service.methods}


@pytest.mark.parametrize("code", [code.name for code in grpc.StatusCode])
@pytest.mark.parametrize(("method", "kind"), METHODS.items())
def test_the_first_error_of_a_kind_is_a_step_from_zero(metrics: Metrics, method: str, kind: str, code: str) -> None:
    labels = {"grpc_type": kind, "grpc_service": SERVICE, "grpc_method": method, "grpc_code": code}
    assert metrics.registry.get_sample_value("grpc_server_handled_total", labels) == 0


def test_a_models_metrics_are_looked_up_once(metrics: Metrics) -> None:
    assert metrics.of_model("embedded") is metrics.of_model("embedded")


def test_models_are_counted_apart(metrics: Metrics) -> None:
    metrics.of_model("one").final_results.inc()
    metrics.of_model("two").final_results.inc(2)
    value = metrics.registry.get_sample_value
    assert value("asrgateway_results_total", {"model": "one", "kind": "final"}) == 1
    assert value("asrgateway_results_total", {"model": "two", "kind": "final"}) == 2


def test_two_gateways_in_one_process_count_apart(metrics: Metrics) -> None:
    other = Metrics(CollectorRegistry())
    metrics.worker_restarts.inc()
    assert other.registry.get_sample_value("asrgateway_worker_restarts_total") == 0
