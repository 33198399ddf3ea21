"""What stands around the pods: who may reach them, how many there are, and how callers find them."""

from __future__ import annotations

import ipaddress
from typing import Final

import pytest

from charts import Manifest, Values, deployment, every, merged, objects, only, value

KEYED: Final[Values] = {"dashscope": {"existingSecret": "vendor"}}
SCALED: Final[Values] = {"autoscaling": {"enabled": True}}
KEDA: Final[Values] = {"keda": {"enabled": True, "serverAddress": "http://prometheus.monitoring:9090"}}


# Scaling -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [SCALED, KEDA, {"replicaCount": None}], ids=["hpa", "keda", "null"])
def test_the_chart_leaves_the_replicas_to_whoever_scales(values: Values) -> None:
    assert "replicas" not in deployment(values)["spec"]


def test_two_pods_are_the_default() -> None:
    assert deployment()["spec"]["replicas"] == 2


def test_open_calls_and_cpu_scale() -> None:
    calls, cpu = only(objects(KEYED, SCALED), "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert calls["pods"]["metric"]["name"] == "asrgateway_streams_active"
    assert calls["pods"]["target"] == {"type": "AverageValue", "averageValue": "325"}
    assert cpu["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}


@pytest.mark.parametrize(
    ("values", "target"),
    [({}, "1"), (KEYED, "325"), ({"limits": {"maxStreams": 100}}, "65")],
    ids=["workers", "key", "own"],
)
def test_scaling_aims_below_what_a_pod_takes(values: Values, target: str) -> None:
    spec = only(objects(values, KEDA), "ScaledObject")["spec"]
    assert spec["triggers"][0]["metadata"]["threshold"] == target


def test_keda_asks_for_the_calls_of_this_release_and_falls_back_when_prometheus_is_away() -> None:
    spec = only(objects(KEDA), "ScaledObject")["spec"]
    metadata = spec["triggers"][0]["metadata"]
    assert metadata["query"] == 'sum(asrgateway_streams_active{namespace="speech",pod=~"asr-asr-gateway-.+"})'
    assert metadata["ignoreNullValues"] == "false"
    assert spec["fallback"] == {"failureThreshold": 3, "replicas": 4}


@pytest.mark.parametrize("values", [SCALED, KEDA], ids=["hpa", "keda"])
def test_pods_go_away_slowly(values: Values) -> None:
    scaler = only(objects(values), "ScaledObject" if values is KEDA else "HorizontalPodAutoscaler")["spec"]
    behavior = scaler["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] if values is KEDA else scaler["behavior"]
    assert behavior["scaleDown"] == {
        "stabilizationWindowSeconds": 600,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 300}],
        "selectPolicy": "Min",
    }


@pytest.mark.parametrize(
    "values",
    [
        {"replicaCount": 1},
        merged(SCALED, value("autoscaling.minReplicas", 1)),
        merged(KEDA, value("keda.minReplicas", 1)),
    ],
    ids=["fixed", "hpa", "keda"],
)
def test_a_lone_pod_does_not_block_its_node(values: Values) -> None:
    assert every(objects(values), "PodDisruptionBudget") == []


def test_of_several_pods_one_may_be_evicted_at_once() -> None:
    spec = only(objects(), "PodDisruptionBudget")["spec"]
    assert spec["maxUnavailable"] == 1
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert spec["selector"] == deployment()["spec"]["selector"]


# Network -----------------------------------------------------------------------------------------------------------


def policy(*overrides: Values) -> Manifest:
    spec: Manifest = only(objects({"networkPolicy": {"enabled": True}}, *overrides), "NetworkPolicy")["spec"]
    return spec


def ports(rule: Manifest) -> set[tuple[str, object]]:
    return {(port["protocol"], port["port"]) for port in rule["ports"]}


def test_pods_reach_dns_and_public_https_only() -> None:
    dns, https = policy()["egress"]
    (target,) = https["to"]
    assert ports(dns) == {("UDP", 53), ("TCP", 53)}
    assert ports(https) == {("TCP", 443)}
    assert target["ipBlock"]["cidr"] == "0.0.0.0/0"
    for private in ("10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200"):
        assert any(ipaddress.ip_address(private) in ipaddress.ip_network(one) for one in target["ipBlock"]["except"])


@pytest.mark.parametrize(
    ("endpoint", "port"), [("http://collector.monitoring:4318", 4318), ("https://collector.example.com", 443)]
)
def test_pods_reach_the_collector_that_they_send_traces_to(endpoint: str, port: int) -> None:
    assert ports(policy(value("tracing.otlpEndpoint", endpoint))["egress"][-1]) == {("TCP", port)}


def test_callers_reach_the_grpc_port_only() -> None:
    callers = [{"namespaceSelector": {"matchLabels": {"speech": "true"}}}]
    grpc, metrics, health = policy(value("networkPolicy.ingressFrom", callers))["ingress"]
    assert (ports(grpc), grpc["from"]) == ({("TCP", "grpc")}, callers)
    assert ports(metrics) == {("TCP", "metrics")}
    assert ports(health) == {("TCP", "health")}


def test_the_test_of_the_chart_may_ask_for_health() -> None:
    test = only(objects(), "Pod", "-test-health")
    (peer,) = policy()["ingress"][-1]["from"]
    assert peer["podSelector"]["matchLabels"].items() <= test["metadata"]["labels"].items()


# Finding the pods --------------------------------------------------------------------------------------------------


def test_no_service_sends_calls_to_the_pod_of_the_test() -> None:
    labels = only(objects(), "Pod", "-test-health")["metadata"]["labels"]
    assert [one for one in every(objects(), "Service") if one["spec"]["selector"].items() <= labels.items()] == []


def test_the_test_asks_where_the_headless_service_is() -> None:
    (service,) = every(objects(), "Service", "-headless")
    target = only(objects(), "Pod", "-test-health")["spec"]["containers"][0]["command"][-1]
    assert target == f"{service['metadata']['name']}.speech.svc:50052"
    assert service["spec"]["clusterIP"] == "None"


def test_a_monitor_finds_the_service_of_the_metrics_alone() -> None:
    manifests = objects({"serviceMonitor": {"enabled": True}})
    wanted = only(manifests, "ServiceMonitor")["spec"]["selector"]["matchLabels"]
    found = [one for one in every(manifests, "Service") if wanted.items() <= one["metadata"]["labels"].items()]
    assert [one["metadata"]["name"] for one in found] == ["asr-asr-gateway-metrics"]


def test_a_hostname_with_a_star_stays_text() -> None:
    host = "*.speech.example.com"
    manifests = objects(
        {
            "ingress": {"enabled": True, "hosts": [host]},
            "grpcRoute": {"enabled": True, "parentRefs": [{"name": "public"}], "hostnames": [host]},
        }
    )
    assert only(manifests, "Ingress")["spec"]["rules"][0]["host"] == host
    assert only(manifests, "GRPCRoute")["spec"]["hostnames"] == [host]


def test_a_certificate_names_both_services() -> None:
    issued = {"tls": {"enabled": True, "certManager": {"enabled": True, "issuerRef": {"name": "internal"}}}}
    manifests = objects(issued)
    names = only(manifests, "Certificate")["spec"]["dnsNames"]
    volumes = only(manifests, "Deployment")["spec"]["template"]["spec"]["volumes"]
    (secret,) = (one["secret"]["secretName"] for one in volumes if one["name"] == "tls")
    assert {"asr-asr-gateway.speech.svc", "asr-asr-gateway-headless.speech.svc"} <= set(names)
    assert secret == only(manifests, "Certificate")["spec"]["secretName"]
