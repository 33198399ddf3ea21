"""What the chart takes, Kubernetes takes too; anything else the chart refuses itself, and names the value."""

from __future__ import annotations

from typing import Final

import helm_python
import pytest

from charts import ANONYMOUS, Values, merged, value
from cluster.api import Api
from cluster.releases import install, installed, pods, rendered

NOTHING: Final = {"preStopSeconds": 0, "timeoutSeconds": 0, "finalizeSeconds": 0, "lastScrapeSeconds": 0}
SIDECAR: Final[Values] = {
    "name": "{{ .Release.Name }}-side",
    "image": "registry.example.com/side:1",
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}


def on(group: str, **values: object) -> Values:
    """A part of the chart, turned on."""
    return {group: {"enabled": True, **values}}


ODD: Final[dict[str, Values]] = {
    "names as long as they may be": {"fullnameOverride": "a" * 63, "nameOverride": "b" * 63},
    "nothing of everything": {"replicaCount": 0, "embeddedWorkers": 0, "revisionHistoryLimit": 0, "drain": NOTHING},
    "no waiting": {"minReadySeconds": 0, "progressDeadlineSeconds": 1, "pdb": {"minAvailable": "0%"}},
    "every pod may go": {"pdb": {"maxUnavailable": "100%"}, "strategy": {"rollingUpdate": {"maxUnavailable": "100%"}}},
    "one after the other": {"strategy": {"type": "Recreate"}},
    "another namespace": {"namespaceOverride": "monitoring"},
    "another namespace for monitors": merged(
        on("serviceMonitor", namespace="monitoring"), on("prometheusRule", namespace="monitoring"), on("dashboard")
    ),
    "only IPv6": {"listenHost": "[::]", "service": {"ipFamilies": ["IPv6"]}},
    "both families if there are": {"listenHost": "[::]", "service": {"ipFamilyPolicy": "PreferDualStack"}},
    "only pods of the node": {"service": {"internalTrafficPolicy": "Local", "trafficDistribution": "PreferClose"}},
    "a port of the node": {"service": {"type": "NodePort", "nodePort": 30555, "externalTrafficPolicy": "Local"}},
    "a load balancer for IPv6": {"service": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["2001:db8::/32"]}},
    "ports that were root's": merged(on("web", port=443), value("metrics.port", 80)),
    "labels that the chart sets": {"commonLabels": {"app.kubernetes.io/name": "other"}},
    "labels that select pods": {"podLabels": {"app.kubernetes.io/instance": "other"}},
    "an upper-case annotation": {"podAnnotations": {"Example.com/Owner": "a: b # c"}},
    "a templated annotation": {"commonAnnotations": {"{{ .Release.Name }}/owner": "{{ .Release.Name }}"}},
    "a key with odd letters": {"dashscope": {"demoKey": "a:b #c\n'\"é"}},
    "a configuration with odd letters": {"config": {"aliases": {"é": ["embedded"]}, "x": "{{ nothing }}", "y": None}},
    "an argument with odd letters": {"extraArgs": ["--x=: #'"]},
    "amounts as numbers": {"resources": {"requests": {"cpu": 0.5, "memory": 1e9}, "limits": {"cpu": "1500m"}}},
    "as much as the limit": {"resources": {"requests": {"memory": "1024Mi"}, "limits": {"memory": "1Gi"}}},
    "pods that nothing spreads": {"topologySpreadConstraints": [], "enableServiceLinks": True},
    "every taint": {"tolerations": [{"operator": "Exists"}], "test": {"tolerations": []}},
    "the account of the namespace": {"serviceAccount": {"create": False}},
    "no calls from anywhere": on("networkPolicy", allowDNS=False, egress={"cidrs": []}),
    "calls to any address but some": on("networkPolicy", egress={"cidrs": ["0.0.0.0/0", "::/0"], "except": []}),
    "a collector at an IPv6 address": merged(
        on("networkPolicy"), value("tracing.otlpEndpoint", "http://[2001:db8::1]:4318")
    ),
    "a wildcard and a name": on("ingress", hosts=["*.example.com", "localhost"], tls=[{"hosts": ["a.example.com"]}]),
    "any path": on("ingress", hosts=["a.example.com"], path="/a//b", pathType="ImplementationSpecific"),
    "scaled by calls only": on("autoscaling", minReplicas=1, maxReplicas=1, cpu={"targetUtilization": None}),
    "scaled by a part of a call": on("autoscaling", activeStreams={"target": 0.001}),
    "scaled by Prometheus only": on("keda", serverAddress="http://prometheus", cpu={"targetUtilization": None}),
    "never fewer": on("autoscaling", behavior={"scaleDown": {"selectPolicy": "Disabled"}}),
    "a container beside": {"sidecars": [SIDECAR]},
    "a certificate for one name": {
        "tls": merged(on("certManager", issuerRef={"name": "a", "kind": "Issuer"}), {"enabled": True})
    },
}


@pytest.mark.parametrize("values", ODD.values(), ids=ODD)
def test_odd_values_that_the_chart_takes_install(api: Api, namespace: str, values: Values) -> None:
    values = merged(ANONYMOUS, values)
    with installed(api, namespace, values) as helm:
        assert [warning for one in pods(rendered(helm, namespace, values)) for warning in api.warnings(one)] == []


@pytest.mark.parametrize("name", ["a", "a" * 53, "asr-gateway", "asr-gateway-" + "b" * 41])
def test_a_release_may_have_any_name_that_helm_takes(api: Api, namespace: str, name: str) -> None:
    values = merged(ANONYMOUS, on("serviceMonitor", namespace="monitoring"), on("autoscaling"))
    with installed(api, namespace, values, name) as helm:
        assert helm.history(name)[-1]["status"] == "deployed"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (value("auth.existingSecretKey", "..data"), "existingSecretKey"),
        (value("serviceAccount.name", "Speech"), "serviceAccount/name"),
        (value("priorityClassName", "Not Here"), "priorityClassName"),
        (value("nodeSelector", {"pool": "speech and text"}), "nodeSelector/pool"),
        (value("podAnnotations", {"a b": "c"}), "podAnnotations"),
        (value("service.appProtocol", "grpc web"), "appProtocol"),
        (value("service.loadBalancerSourceRanges", ["203.0.113.0/33"]), "loadBalancerSourceRanges"),
        (value("tolerations", [{"operator": "Exists", "value": "x"}]), "tolerations has the operator Exists"),
        (value("tolerations", [{"key": "x", "effect": "Never"}]), "tolerations/0/effect"),
        (value("hostAliases", [{"ip": "192.0.2.256", "hostnames": ["a"]}]), "hostAliases/0/ip"),
        (value("dnsConfig.nameservers", ["dns.example.com"]), "dnsConfig/nameservers"),
        (value("topologySpreadConstraints", [{"maxSkew": 0}]), "topologySpreadConstraints/0"),
        (value("extraEnv", [{"name": "A", "value": 1}]), "extraEnv/0/value"),
        (value("extraEnv", [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {}}}]), "extraEnv gives A a value"),
        (value("extraVolumes", [{"name": "A_b", "emptyDir": {}}]), "extraVolumes/0/name"),
        (value("extraVolumeMounts", [{"name": "no", "mountPath": "/x"}]), "mounts no, which is no volume"),
        (value("sidecars", [{"name": "x"}]), "missing property 'image'"),
        (
            {"sidecars": [{"name": "x", "image": "a"}], "initContainers": [{"name": "x", "image": "a"}]},
            "initContainers has x, a name that the chart uses itself or that comes twice",
        ),
        (value("lifecycle.preStop", {"sleep": {"seconds": 1}, "exec": {"command": ["x"]}}), "lifecycle/preStop"),
        (value("resources", {"limits": {"memory": "1GB"}}), "resources/limits/memory"),
        (
            value("resources", {"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}}),
            "requests.cpu is 2, above its limit",
        ),
        (value("strategy.rollingUpdate.maxUnavailable", "150%"), "maxUnavailable"),
        (value("pdb.minAvailable", "101%"), "pdb/minAvailable"),
        (value("revisionHistoryLimit", 1 << 31), "revisionHistoryLimit"),
        (on("ingress", hosts=["192.0.2.1"]), "ingress/hosts/0"),
        (on("ingress", hosts=["A.example.com"]), "ingress/hosts/0"),
        (on("ingress", hosts=["a.example.com"], path="/a//b"), "ingress.path is /a//b"),
        (on("ingress", hosts=["a.example.com"], className="Nginx"), "ingress/className"),
        (on("grpcRoute", parentRefs=[{"namespace": "x"}]), "grpcRoute/parentRefs/0"),
        (on("networkPolicy", egress={"except": ["0.0.0.0/0"]}), "networkPolicy/egress/except/0"),
        (merged(on("networkPolicy"), value("tracing.otlpEndpoint", "http://a:65536")), "port 65536"),
        (on("autoscaling", behavior={"scaleDown": {"stabilizationWindowSeconds": 3601}}), "stabilizationWindowSeconds"),
        (on("autoscaling", extraMetrics=[{"type": "Nothing"}]), "extraMetrics/0/type"),
        (on("keda", serverAddress="http://a", extraTriggers=[{"type": "cron"}]), "missing property 'metadata'"),
        (on("serviceMonitor", interval="1s1h"), "serviceMonitor/interval"),
        (on("dashboard", label="a b"), "dashboard/label"),
        (value("tls.certManager.privateKey", {"algorithm": "DSA"}), "privateKey/algorithm"),
    ],
    ids=lambda argument: argument if isinstance(argument, str) else "",
)
def test_what_kubernetes_would_refuse_the_chart_refuses(api: Api, namespace: str, values: Values, named: str) -> None:
    with api.helm(namespace) as helm, pytest.raises(helm_python.HelmError) as refused:
        install(helm, namespace, merged(ANONYMOUS, values))
    assert named in str(refused.value)
