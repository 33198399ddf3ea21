from __future__ import annotations

import re

import grpc
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.metrics import MAX_ENDPOINTS, MAX_MODELS, METHODS, OTHER, REJECTIONS, SERVICE, Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def test_every_metric_bears_our_name_or_a_standard_one(metrics: Metrics) -> None:
    names = {family.name for family in metrics.registry.collect()}
    assert [name for name in names if not re.match(r"(asrgateway|grpc_server|process|python)_", name)] == []


def test_every_metric_says_what_it_is(metrics: Metrics) -> None:
    assert [family.name for family in metrics.registry.collect() if not family.documentation] == []


def test_no_label_is_one_that_prometheus_gives_a_target(metrics: Metrics) -> None:
    metrics.of_model("model")
    metrics.of_endpoint("dashscope")
    metrics.audio_received_bytes.labels("LINEAR16")
    of_targets = {"job", "instance", "namespace", "pod", "container", "service", "endpoint", "node", "cluster"}
    assert {label for _, labels in series(metrics) for label in labels} & of_targets == set()


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
    metrics.draining.inc()
    assert other.registry.get_sample_value("asrgateway_draining") == 0


def series(metrics: Metrics) -> list[tuple[str, dict[str, str]]]:
    return [(sample.name, sample.labels) for family in metrics.registry.collect() for sample in family.samples]


def test_five_models_in_use_make_less_than_a_thousand_series(metrics: Metrics) -> None:
    for model in ("embedded", "one", "two", "three", "four"):
        metrics.of_model(model)
    metrics.of_endpoint("dashscope")
    assert 500 < len(series(metrics)) < 1_000


def test_a_label_has_about_ten_values(metrics: Metrics) -> None:
    for number in range(50):
        metrics.of_model(f"model-{number}")
        metrics.of_endpoint(f"endpoint-{number}")
    values: dict[str, set[str]] = {}
    for _, labels in series(metrics):
        for label, value in labels.items():
            values.setdefault(label, set()).add(value)
    counted = {label: len(found) for label, found in values.items() if label not in {"le", "grpc_code"}}
    assert max(counted.values()) <= 13
    assert len(values["grpc_code"]) == len(grpc.StatusCode)


def test_models_beyond_the_first_ones_count_as_one(metrics: Metrics) -> None:
    for number in range(MAX_MODELS):
        metrics.of_model(f"model-{number}")
    metrics.of_model("late").final_results.inc()
    metrics.of_model("later").final_results.inc()
    assert metrics.registry.get_sample_value("asrgateway_results_total", {"model": OTHER, "kind": "final"}) == 2
    assert metrics.of_model("model-0") is not metrics.of_model("late")


def test_endpoints_beyond_the_first_ones_count_as_one(metrics: Metrics) -> None:
    for number in range(MAX_ENDPOINTS):
        metrics.of_endpoint(f"endpoint-{number}")
    metrics.of_endpoint("late").connects["ok"].inc()
    metrics.of_endpoint("later").connects["ok"].inc()
    labels = {"upstream": OTHER, "result": "ok"}
    assert metrics.registry.get_sample_value("asrgateway_upstream_connects_total", labels) == 2


def test_a_model_without_calls_has_no_series(metrics: Metrics) -> None:
    metrics.of_model("embedded")
    assert {labels["model"] for _, labels in series(metrics) if "model" in labels} == {"embedded"}


def test_a_served_model_without_calls_has_no_open_calls(metrics: Metrics) -> None:
    metrics.serve(["embedded", "fun-asr-realtime"])
    assert metrics.registry.get_sample_value("asrgateway_streams_active", {"model": "fun-asr-realtime"}) == 0
    assert {name for name, labels in series(metrics) if "model" in labels} == {"asrgateway_streams_active"}


def test_a_circuit_is_asked_when_it_is_read(metrics: Metrics) -> None:
    is_open = [False]
    metrics.watch_circuit("embedded", lambda: is_open[0])
    value = metrics.registry.get_sample_value
    assert value("asrgateway_upstream_circuit_open", {"model": "embedded"}) == 0
    is_open[0] = True
    assert value("asrgateway_upstream_circuit_open", {"model": "embedded"}) == 1


def test_the_first_failover_is_a_step_from_zero(metrics: Metrics) -> None:
    metrics.expect_failovers([("a", "b")])
    labels = {"from_model": "a", "to_model": "b"}
    assert metrics.registry.get_sample_value("asrgateway_upstream_failovers_total", labels) == 0


def test_nothing_tells_when_a_series_began(metrics: Metrics) -> None:
    metrics.of_model("embedded")
    assert [name for name, _ in series(metrics) if name.endswith("_created")] == []
    encode, _ = choose_encoder("application/openmetrics-text; version=1.0.0")
    assert b"_created" not in encode(metrics.registry)


@pytest.mark.parametrize("reason", REJECTIONS)
def test_the_first_refusal_is_a_step_from_zero(metrics: Metrics, reason: str) -> None:
    assert metrics.registry.get_sample_value("asrgateway_streams_rejected_total", {"reason": reason}) == 0


def test_backlogs_are_asked_for_when_they_are_read(metrics: Metrics) -> None:
    value = metrics.registry.get_sample_value
    waiting = [1.0, 2.5]
    with metrics.backlog_of(lambda: waiting[0]), metrics.backlog_of(lambda: waiting[1]):
        assert value("asrgateway_backlog_audio_seconds") == 3.5
        waiting[0] = 4.0
        assert value("asrgateway_backlog_audio_max_seconds") == 4.0
    assert value("asrgateway_backlog_audio_seconds") == 0
    assert value("asrgateway_backlog_audio_max_seconds") == 0


def test_an_unknown_code_of_the_vendor_counts_as_another_one(metrics: Metrics) -> None:
    metrics.of_endpoint("dashscope").failed("NeverSeen")
    labels = {"upstream": "dashscope", "upstream_code": OTHER}
    assert metrics.registry.get_sample_value("asrgateway_upstream_errors_total", labels) == 1
