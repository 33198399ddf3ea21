"""What stands around the pods: who may reach them, how many there are, and how callers find them."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Final

import pytest

from charts import Manifest, Values, deployment, environment, every, merged, objects, only, pod, value

KEYED: Final[Values] = {"dashscope": {"existingSecret": "vendor"}}
SCALED: Final[Values] = {"autoscaling": {"enabled": True}}
KEDA: Final[Values] = {"keda": {"enabled": True, "serverAddress": "http://prometheus.monitoring:9090"}}


# Scaling -----------------------------------------------------------------------------------------------------------


def test_two_pods_are_the_default() -> None:
    assert deployment()["spec"]["replicas"] == 2


def test_open_calls_and_cpu_scale() -> None:
    calls, cpu = only(objects(KEYED, SCALED), "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert calls["pods"]["metric"]["name"] == "asrgateway_streams_active"
    assert calls["pods"]["target"] == {"type": "AverageValue", "averageValue": "325"}
    assert cpu["containerResource"]["target"] == {"type": "Utilization", "averageUtilization": 70}


def test_the_cpu_of_a_sidecar_does_not_scale_nor_does_one_without_a_request_stop_it() -> None:
    """A metric of whole pods is unknown as soon as one container of theirs asks for no CPU."""
    _, of_hpa = only(objects(SCALED), "HorizontalPodAutoscaler")["spec"]["metrics"]
    _, of_keda = only(objects(KEDA), "ScaledObject")["spec"]["triggers"]
    assert of_hpa["type"] == "ContainerResource"
    assert {of_hpa["containerResource"]["container"], of_keda["metadata"]["containerName"]} == {"gateway"}


@pytest.mark.parametrize(
    ("calls", "quantity", "threshold"),
    [
        (1, "650m", "0.65"),
        (2, "1300m", "1.3"),
        (3, "1950m", "1.95"),
        (7, "4550m", "4.55"),
        (20, "13", "13"),
        (500, "325", "325"),
        (2000, "1300", "1300"),
    ],
)
def test_scaling_aims_at_65_percent_of_what_a_pod_takes(calls: int, quantity: str, threshold: str) -> None:
    """In thousandths: with a whole 1 as the target of a pod that takes one call no pod is ever added."""
    limits = {"limits": {"maxStreams": calls}}
    of_hpa = only(objects(limits, SCALED), "HorizontalPodAutoscaler")["spec"]["metrics"][0]
    of_keda = only(objects(limits, KEDA), "ScaledObject")["spec"]["triggers"][0]
    assert of_hpa["pods"]["target"]["averageValue"] == quantity
    assert of_keda["metadata"]["threshold"] == threshold


@pytest.mark.parametrize(("target", "quantity"), [(1, "1"), (1.25, "1250m"), (300, "300")])
def test_scaling_can_aim_at_fractions_of_a_call(target: float, quantity: str) -> None:
    values = [KEYED, SCALED, value("autoscaling.activeStreams.target", target)]
    metric = only(objects(*values), "HorizontalPodAutoscaler")["spec"]["metrics"][0]
    assert metric["pods"]["target"]["averageValue"] == quantity


def test_metrics_and_triggers_of_ones_own_come_last() -> None:
    metric = {"type": "External", "external": {"metric": {"name": "{{ .Release.Name }}"}, "target": {}}}
    trigger = {"type": "cron", "metadata": {"desiredReplicas": "6"}}
    of_hpa = only(objects(SCALED, value("autoscaling.extraMetrics", [metric])), "HorizontalPodAutoscaler")["spec"]
    of_keda = only(objects(KEDA, value("keda.extraTriggers", [trigger])), "ScaledObject")["spec"]
    assert of_hpa["metrics"][2]["external"]["metric"]["name"] == "asr"
    assert of_keda["triggers"][2] == trigger


def test_keda_can_scale_at_a_pace_of_its_own() -> None:
    spec = only(objects(KEDA, value("keda.behavior", {"scaleUp": {"selectPolicy": "Disabled"}})), "ScaledObject")[
        "spec"
    ]
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior == {"scaleUp": {"selectPolicy": "Disabled"}}


def test_keda_asks_for_the_calls_of_this_release_and_falls_back_when_prometheus_is_away() -> None:
    spec = only(objects(KEDA), "ScaledObject")["spec"]
    metadata = spec["triggers"][0]["metadata"]
    assert re.fullmatch(r'sum\(asrgateway_streams_active\{namespace="speech",pod=~".+"\}\)', metadata["query"])
    assert metadata["ignoreNullValues"] == "false"
    assert spec["fallback"] == {"failureThreshold": 3, "replicas": 4}


def test_keda_does_not_count_the_calls_of_a_sibling_whose_name_begins_the_same() -> None:
    """Pods are named after their ReplicaSet: ten letters and digits at most, then five."""
    query = only(objects(KEDA), "ScaledObject")["spec"]["triggers"][0]["metadata"]["query"]
    (pattern,) = re.findall(r'pod=~"(.+?)"', query)
    assert re.fullmatch(pattern, "asr-asr-gateway-7c9f8d5b6d-x2x4z")
    assert re.fullmatch(pattern, "asr-asr-gateway-5d4c-bbbbb")
    assert not re.fullmatch(pattern, "asr-asr-gateway-eu-7c9f8d5b6d-x2x4z")
    assert not re.fullmatch(pattern, "asr-asr-gateway-test-health")


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
    ("endpoint", "port"),
    [
        ("http://collector.monitoring:4318", 4318),
        ("http://collector.monitoring", 80),
        ("https://collector.example.com", 443),
        ("https://collector.example.com/v1:8080/", 443),
        ("http://[2001:db8::1]:4318", 4318),
        ("http://[2001:db8::4318]/traces", 80),
        ("https://user:8080@collector.example.com", 443),
        ("https://user:8080@[2001:db8::1]:4317/traces", 4317),
    ],
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


def test_pods_that_stop_are_still_scraped() -> None:
    """Without it a stopping pod is no endpoint any more; what it cuts would never be seen."""
    assert only(objects(), "Service", "-metrics")["spec"]["publishNotReadyAddresses"] is True


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


def test_a_host_can_share_its_name_with_others_by_path() -> None:
    ingress = {"enabled": True, "hosts": ["example.com"], "path": "/asrgateway.v1.", "pathType": "Exact"}
    (path,) = only(objects({"ingress": ingress}), "Ingress")["spec"]["rules"][0]["http"]["paths"]
    assert (path["path"], path["pathType"]) == ("/asrgateway.v1.", "Exact")


def test_a_load_balancer_lets_in_whom_the_values_name() -> None:
    service = {
        "type": "LoadBalancer",
        "nodePort": 30443,
        "loadBalancerSourceRanges": ["203.0.113.0/24"],
        "internalTrafficPolicy": "Local",
    }
    spec = next(one for one in every(objects({"service": service}), "Service", "-gateway"))["spec"]
    assert spec["loadBalancerSourceRanges"] == ["203.0.113.0/24"]
    assert spec["internalTrafficPolicy"] == "Local"
    assert spec["ports"][0]["nodePort"] == 30443


def test_every_service_has_the_address_families_that_are_asked_for() -> None:
    service = {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6", "IPv4"]}
    services = every(objects({"service": service, "listenHost": "[::]"}), "Service")
    assert [one["spec"]["ipFamilies"] for one in services] == [["IPv6", "IPv4"]] * 3
    assert {one["spec"]["ipFamilyPolicy"] for one in services} == {"RequireDualStack"}
    assert [key for one in every(objects(), "Service") for key in one["spec"] if key.startswith("ipFam")] == []


def test_a_certificate_has_the_key_and_its_secret_the_annotations_that_are_asked_for() -> None:
    manager = {
        "enabled": True,
        "issuerRef": {"name": "internal"},
        "privateKey": {"algorithm": "ECDSA"},
        "secretTemplate": {"annotations": {"copy-to": "{{ .Release.Name }}"}},
    }
    spec = only(objects({"tls": {"enabled": True, "certManager": manager}}), "Certificate")["spec"]
    assert spec["privateKey"] == {"algorithm": "ECDSA", "rotationPolicy": "Always"}
    assert spec["secretTemplate"] == {"annotations": {"copy-to": "asr"}}


def test_a_certificate_names_both_services() -> None:
    issued = {"tls": {"enabled": True, "certManager": {"enabled": True, "issuerRef": {"name": "internal"}}}}
    manifests = objects(issued)
    names = only(manifests, "Certificate")["spec"]["dnsNames"]
    volumes = only(manifests, "Deployment")["spec"]["template"]["spec"]["volumes"]
    (secret,) = (one["secret"]["secretName"] for one in volumes if one["name"] == "tls")
    assert {"asr-asr-gateway.speech.svc", "asr-asr-gateway-headless.speech.svc"} <= set(names)
    assert secret == only(manifests, "Certificate")["spec"]["secretName"]


# Browsers -------------------------------------------------------------------------------------------------------------

WEB: Values = {"web": {"enabled": True}}


def test_browsers_are_let_in_only_where_that_is_wanted() -> None:
    assert every(objects(), "Service", "-web") == []
    assert "ASRGATEWAY_WEB_LISTEN" not in environment(pod())
    assert environment(pod(WEB))["ASRGATEWAY_WEB_LISTEN"] == "0.0.0.0:8080"


def test_origins_reach_the_gateway_as_a_list() -> None:
    origins = ["https://app.example.com", "*"]
    assert json.loads(environment(pod(WEB, value("web.origins", origins)))["ASRGATEWAY_WEB_ORIGINS"]) == origins


def test_the_ingress_of_browsers_leads_to_their_service() -> None:
    ingress = value("web.ingress", {"enabled": True, "hosts": ["captions.example.com"]})
    manifests = objects(WEB, ingress)
    (path,) = only(manifests, "Ingress", "-web")["spec"]["rules"][0]["http"]["paths"]
    service = only(manifests, "Service", "-web")
    assert path["backend"]["service"] == {"name": service["metadata"]["name"], "port": {"name": "web"}}
    assert service["spec"]["ports"][0]["targetPort"] == "web"


def test_those_who_may_call_may_do_so_from_browsers_too() -> None:
    callers: list[Values] = [{"podSelector": {}}]
    clients = policy(WEB, value("networkPolicy.ingressFrom", callers))["ingress"][0]
    assert [port["port"] for port in clients["ports"]] == ["grpc", "web"]
    assert clients["from"] == callers
