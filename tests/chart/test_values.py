"""Every value is documented, does something, and is refused with a sentence when it cannot be right."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import helm_python
import pytest
import yaml

from calls import ROOT
from charts import (
    ANONYMOUS,
    CHART,
    FILES,
    Refused,
    Values,
    at,
    manifests,
    merged,
    parsed,
    templates,
    texts_of,
    value,
    values_in,
    without,
)

# Any: JSON Schema.
Schema = dict[str, Any]

DEFAULTS: Final[Values] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA: Final[Schema] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
KEYED: Final[Values] = {"auth": {"existingSecret": "callers"}}


def groups(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """The maps whose keys are ours, by path."""
    if schema.get("additionalProperties") is False:
        yield path, schema
        for key, inner in schema["properties"].items():
            yield from groups(inner, f"{path}.{key}".lstrip("."))


GROUPS: Final = dict(groups(SCHEMA))


def table() -> dict[str, str]:
    """The README's table: each value's default; empty for the heading of a group."""
    text = (CHART / "README.md").read_text(encoding="utf-8").partition("\n## Values\n")[2]
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return {row[0].strip("| `"): row[1].strip() for row in rows}


# Documentation -----------------------------------------------------------------------------------------------------


def test_the_table_of_values_is_fresh() -> None:
    check = [sys.executable, str(ROOT / "docs" / "generate_values.py"), "--check"]
    assert subprocess.run(check, capture_output=True, text=True, check=False).stderr == ""


def test_every_value_is_documented() -> None:
    paths = [f"{path}.{key}".lstrip(".") for path, schema in GROUPS.items() for key in schema["properties"]]
    there = {path for path in paths if list(at(DEFAULTS, path)) and not re.match(r"probes\.\w+\.", path)}
    assert there - set(table()) == set()


@pytest.mark.parametrize("page", [CHART / "README.md", ROOT / "README.md"], ids=["chart", "project"])
def test_every_value_that_a_command_sets_is_there(page: Path) -> None:
    named = set(re.findall(r"--set '?([\w.]+)=", page.read_text(encoding="utf-8")))
    assert named
    assert named - set(table()) == set()


def test_every_example_of_values_renders() -> None:
    text = (CHART / "README.md").read_text(encoding="utf-8")
    examples = [yaml.safe_load(example) for example in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    of_the_chart = [example for example in examples if set(example) <= set(DEFAULTS)]
    assert len(of_the_chart) == 5
    assert all(templates(merged(ANONYMOUS, example)) for example in of_the_chart)


# Schema ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", GROUPS, ids=lambda path: path or "top")
def test_the_schema_knows_the_values_that_there_are(path: str) -> None:
    (defaults,) = at(DEFAULTS, path) if path else [DEFAULTS]
    assert isinstance(defaults, dict)
    of_any_chart_or_left_out = {"global", "name", "kind", "group", "initialDelaySeconds", "successThreshold"}
    assert set(defaults) <= set(GROUPS[path]["properties"])
    assert set(GROUPS[path]["properties"]) - set(defaults) <= of_any_chart_or_left_out


@pytest.mark.parametrize("path", GROUPS, ids=lambda path: path or "top")
def test_a_misspelt_value_is_refused(path: str) -> None:
    with pytest.raises(Refused, match="misspelt"):
        templates(merged(ANONYMOUS, value(f"{path}.misspelt".lstrip("."), 1)))


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("image.digest", "sha256:0123"),
        ("image.pullPolicy", "Sometimes"),
        ("logLevel", "debug"),
        ("embeddedWorkers", -1),
        ("limits.maxStreams", 0),
        ("limits.maxMessageBytes", 1),
        ("limits.taskStartsPerSecond", -1),
        ("drain.timeoutSeconds", 7200),
        ("replicaCount", "two"),
        ("tmp.sizeLimit", "1Gi"),
        ("service.type", "ExternalName"),
        ("service.port", 65536),
        ("service.trafficDistribution", "PreferFar"),
        ("service.ipFamilies", ["IPv5"]),
        ("service.loadBalancerSourceRanges", ["203.0.113.7"]),
        ("strategy.type", "Recreated"),
        ("probes.liveness.successThreshold", 2),
        ("commonLabels", {"team": "speech and text"}),
        ("serviceMonitor.labels", {"a/b/c": "d"}),
        ("ingress.path", "speech"),
        ("dnsPolicy", "Nobody"),
        ("prometheusRule.alerts", {"AsrGatewayAbsent": {"treshold": 1}}),
        ("ingress.hosts", ["https://speech.example.com"]),
        ("prometheusRule.slo.objective", 99.5),
        ("tracing.otlpEndpoint", "collector:4318"),
        ("keda.serverAddress", "prometheus:9090"),
        ("serviceMonitor.interval", "15"),
        ("networkPolicy.egress.cidrs", ["dashscope.aliyuncs.com"]),
        ("pdb.minAvailable", "half"),
        ("pdb.maxUnavailable", "101%"),
        ("auth.existingSecretKey", "..data"),
        ("serviceAccount.name", "Speech"),
        ("priorityClassName", "very important"),
        ("nodeSelector", {"pool": "speech and text"}),
        ("podAnnotations", {"a b": "c"}),
        ("service.appProtocol", "grpc web"),
        ("service.loadBalancerClass", "a/b/c"),
        ("service.loadBalancerSourceRanges", ["203.0.113.0/33"]),
        ("networkPolicy.egress.except", ["0.0.0.0/0"]),
        ("ingress.hosts", ["Speech.example.com"]),
        ("ingress.className", "Nginx"),
        ("grpcRoute.hostnames", ["192.0.2.1"]),
        ("grpcRoute.parentRefs", [{"namespace": "gateways"}]),
        ("tolerations", [{"key": "pool", "effect": "Never"}]),
        ("hostAliases", [{"ip": "192.0.2.256"}]),
        ("dnsConfig", {"nameservers": ["dns.example.com"]}),
        ("topologySpreadConstraints", [{"maxSkew": 0, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]),
        ("extraEnv", [{"name": "POD_NUMBER", "value": 1}]),
        ("extraVolumes", [{"name": "My_volume", "emptyDir": {}}]),
        ("sidecars", [{"name": "beside"}]),
        ("lifecycle", {"preStop": {"sleep": {"seconds": 1}, "exec": {"command": ["sync"]}}}),
        ("resources", {"limits": {"memory": "1GB"}}),
        ("strategy", {"rollingUpdate": {"maxUnavailable": "150%"}}),
        ("revisionHistoryLimit", 1 << 31),
        ("autoscaling.behavior", {"scaleDown": {"stabilizationWindowSeconds": 3601}}),
        ("autoscaling.extraMetrics", [{"type": "Calls"}]),
        ("keda.extraTriggers", [{"type": "cron"}]),
        ("serviceMonitor.scrapeTimeout", "1s1m"),
        ("dashboard.label", "a b"),
        ("keda.authenticationRef", {"kind": "Secret", "name": "a"}),
        ("ingress.tls", [{"host": ["speech.example.com"]}]),
        ("prometheusRule.additionalRules", [{"rules": []}]),
        ("extraObjects", [{"kind": "ConfigMap", "metadata": {"name": "more"}}]),
        ("networkPolicy.ingressFrom", [{}]),
        ("resources", {"limits": {"cpus": 1}}),
        ("tls.certManager.privateKey", {"algorithm": "DSA"}),
    ],
)
def test_a_value_out_of_range_is_refused(path: str, content: object) -> None:
    with pytest.raises(Refused, match=path.rpartition(".")[2]):
        templates(merged(ANONYMOUS, value(path, content)))


# Contradictions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "name a Secret with clients' keys in auth.existingSecret, or an authority"),
        (merged(KEYED, ANONYMOUS), "auth.existingSecret and auth.allowAnonymous exclude each other"),
        (
            {"dashscope": {"existingSecret": "vendor", "demoKey": "key"}},
            "dashscope.existingSecret and dashscope.demoKey exclude each other",
        ),
        (
            {"config": {"backlog_speed": 2}, "existingConfigMap": "own"},
            "config and existingConfigMap exclude each other",
        ),
        ({"fullnameOverride": "2nd"}, "fullnameOverride"),
        ({"config": {"drain_seconds": 5}}, "config.drain_seconds is set by a value of the chart"),
        ({"config": {"otlp_endpoint": "x"}}, "config.otlp_endpoint is set by a value of the chart"),
        ({"config": {"dashscope_api_key": "x"}}, "config.dashscope_api_key would show the key in a ConfigMap"),
        (
            {"extraEnv": [{"name": "ASRGATEWAY_LISTEN", "value": "x"}]},
            "extraEnv sets ASRGATEWAY_LISTEN, which is set by a value of the chart",
        ),
        (
            {"extraEnv": [{"name": "ASRGATEWAY_TLS_CERT_FILE", "value": "x"}]},
            "extraEnv sets ASRGATEWAY_TLS_CERT_FILE, which is set by a value of the chart",
        ),
        (
            {"existingConfigMap": "own", "extraEnv": [{"name": "ASRGATEWAY_CONFIG", "value": "x"}]},
            "extraEnv sets ASRGATEWAY_CONFIG, which is set by config and existingConfigMap",
        ),
        (
            {"dashscope": {"existingSecret": "vendor"}, "extraEnv": [{"name": "DASHSCOPE_API_KEY", "value": "x"}]},
            "extraEnv sets DASHSCOPE_API_KEY, which is set by dashscope.existingSecret",
        ),
        (
            {"extraEnv": [{"name": "HTTPS_PROXY", "value": "a"}, {"name": "HTTPS_PROXY", "value": "b"}]},
            "extraEnv sets HTTPS_PROXY, which it already sets",
        ),
        ({"extraVolumes": [{"name": "tmp", "emptyDir": {}}]}, "extraVolumes has tmp, a name that the chart uses"),
        (
            {"extraVolumeMounts": [{"name": "own", "mountPath": "/tmp"}]},  # noqa: S108 the mount's path
            "extraVolumeMounts has /tmp, a path that the chart uses",
        ),
        ({"sidecars": [{"name": "gateway", "image": "a"}]}, "sidecars has gateway, a name that the chart uses"),
        (
            {"sidecars": [{"name": "x", "image": "a"}], "initContainers": [{"name": "x", "image": "a"}]},
            "initContainers has x, a name that the chart uses itself or that comes twice",
        ),
        (
            {"extraVolumeMounts": [{"name": "models", "mountPath": "/models"}]},
            "extraVolumeMounts mounts models, which is no volume: add it to extraVolumes",
        ),
        (
            {"extraEnv": [{"name": "POD", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
            "extraEnv gives POD a value and a valueFrom: choose one",
        ),
        (
            {"tolerations": [{"operator": "Exists", "value": "speech"}]},
            "tolerations has the operator Exists and the value speech: leave one out",
        ),
        (
            {"resources": {"requests": {"memory": "1.5Gi"}, "limits": {"memory": "1500M"}}},
            "resources.requests.memory is 1.5Gi, above its limit of 1500M: raise the limit, or lower the request",
        ),
        (
            {"ingress": {"enabled": True, "hosts": ["a.example.com"], "path": "/a/../b"}},
            "ingress.path is /a/../b, but one that is compared has no //",
        ),
        (
            {"dashboard": {"enabled": True, "folder": "Speech", "folderAnnotation": ""}},
            "dashboard.folder needs dashboard.folderAnnotation",
        ),
        (
            {"tracing": {"otlpEndpoint": "http://collector:65536"}},
            "tracing.otlpEndpoint has the port 65536: the highest is 65535",
        ),
        ({"dnsPolicy": "None"}, "dnsPolicy None needs dnsConfig.nameservers"),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": 0}}},
            "strategy.rollingUpdate allows neither one pod more nor one pod less",
        ),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": "0%", "maxUnavailable": "0%"}}},
            "strategy.rollingUpdate allows neither one pod more nor one pod less",
        ),
        (
            {"progressDeadlineSeconds": 60, "minReadySeconds": 60},
            "progressDeadlineSeconds must be above minReadySeconds",
        ),
        (
            {"service": {"externalTrafficPolicy": "Local"}},
            "service.externalTrafficPolicy is for the types NodePort and LoadBalancer",
        ),
        ({"service": {"nodePort": 30000}}, "service.nodePort is for the types NodePort and LoadBalancer"),
        (
            {"service": {"type": "NodePort", "loadBalancerSourceRanges": ["203.0.113.0/24"]}},
            "service.loadBalancerSourceRanges is for the type LoadBalancer",
        ),
        ({"service": {"loadBalancerClass": "own"}}, "service.loadBalancerClass is for the type LoadBalancer"),
        (
            {"listenHost": "[::]", "service": {"ipFamilies": ["IPv4", "IPv6"]}},
            "service.ipFamilies has two: set service.ipFamilyPolicy",
        ),
        ({"service": {"ipFamilyPolicy": "PreferDualStack"}}, "service uses IPv6, but listenHost is 0.0.0.0"),
        (
            {"autoscaling": {"enabled": True, "activeStreams": {"target": 2}}},
            "autoscaling.activeStreams.target is 2, but a pod takes 2 calls",
        ),
        (
            {"prometheusRule": {"alerts": {"AsrGatewayMisspelt": {"enabled": False}}}},
            "prometheusRule.alerts.AsrGatewayMisspelt is not an alert of the chart; its alerts are: AsrGatewayAbsent, ",
        ),
        (
            {"prometheusRule": {"alerts": {"AsrGatewayErrorBudgetBurn": {"threshold": 1}}}},
            "prometheusRule.alerts.AsrGatewayErrorBudgetBurn.threshold: this alert has no threshold of its own",
        ),
        ({"tls": {"enabled": True}}, "tls.enabled needs a certificate"),
        (
            {"tls": {"enabled": True, "certManager": {"enabled": True}}},
            "tls.certManager.enabled needs tls.certManager.issuerRef.name",
        ),
        (
            {"tls": {"enabled": True, "existingSecret": "tls", "certManager": {"enabled": True}}},
            "tls.existingSecret and tls.certManager.enabled exclude each other",
        ),
        ({"tls": {"existingSecret": "tls"}}, "tls has a certificate or an authority but is off"),
        (
            {"terminationGracePeriodSeconds": 339},
            "terminationGracePeriodSeconds is 339, but the drain needs 340",
        ),
        (
            {"autoscaling": {"enabled": True}, "keda": {"enabled": True, "serverAddress": "http://prometheus"}},
            "autoscaling.enabled and keda.enabled exclude each other",
        ),
        ({"keda": {"enabled": True}}, "keda.enabled needs keda.serverAddress"),
        (
            {"autoscaling": {"enabled": True, "minReplicas": 11}},
            "autoscaling.minReplicas is above autoscaling.maxReplicas",
        ),
        (
            {
                "autoscaling": {
                    "enabled": True,
                    "activeStreams": {"enabled": False},
                    "cpu": {"targetUtilization": None},
                }
            },
            "autoscaling has nothing to measure",
        ),
        (
            {"pdb": {"minAvailable": 1, "maxUnavailable": 1}},
            "pdb.minAvailable and pdb.maxUnavailable exclude each other",
        ),
        (
            {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}},
            "serviceMonitor.enabled and podMonitor.enabled exclude each other",
        ),
        ({"podMonitor": {"enabled": True}, "metrics": {"enabled": False}}, "a monitor needs metrics.enabled"),
        ({"metrics": {"port": 50052}}, "metrics.port is taken"),
        ({"grpcRoute": {"enabled": True}}, "grpcRoute.enabled needs grpcRoute.parentRefs"),
        ({"ingress": {"enabled": True}}, "ingress.enabled needs ingress.hosts"),
        ({"web": {"enabled": True, "port": 9464}}, "web.port is taken"),
        ({"web": {"ingress": {"enabled": True, "hosts": ["a.example"]}}}, "web.ingress.enabled needs web.enabled"),
        (
            {"limits": {"taskStartsPerSecond": 20}, "replicaCount": None},
            "limits.taskStartsPerSecond is divided by the number of pods",
        ),
        (
            {"limits": {"taskStartsPerSecond": 20}, "config": {"max_task_starts_per_second": 5}},
            "config.max_task_starts_per_second is set by a value of the chart",
        ),
    ],
    ids=lambda argument: argument if isinstance(argument, str) else "",
)
def test_what_contradicts_itself_is_refused_with_a_sentence(values: Values, sentence: str) -> None:
    auth = {} if not values else ANONYMOUS
    with pytest.raises(Refused) as refused:
        templates(merged(auth, values))
    assert sentence in str(refused.value)


def test_a_key_of_an_endpoint_reaches_no_config_map() -> None:
    endpoint = {"url": "wss://dashscope-intl.aliyuncs.com", "api_key": "sk-in-the-values"}
    with pytest.raises(Refused, match="put the key into a Secret, and name its file in api_key_file") as refused:
        templates(merged(ANONYMOUS, {"config": {"endpoints": {"abroad": endpoint}}}))
    assert "sk-in-the-values" not in str(refused.value)


def test_the_templates_refuse_it_too_where_the_schema_is_skipped() -> None:
    sentence = SCHEMA["properties"]["config"]["properties"]["endpoints"]["additionalProperties"]["properties"]
    endpoint = {"url": "wss://dashscope-intl.aliyuncs.com", "api_key": sentence["api_key"]["const"]}
    with pytest.raises(Refused, match=r"config\.endpoints\.abroad\.api_key would show the key in a ConfigMap"):
        templates(merged(ANONYMOUS, {"config": {"endpoints": {"abroad": endpoint}}}))


@pytest.mark.parametrize(
    "values",
    [{"config": {"listen_offset": 10}}, {"extraEnv": [{"name": "ASRGATEWAY_LISTEN_OFFSET", "value": "10"}]}],
    ids=["config", "extraEnv"],
)
def test_the_ports_of_a_pod_do_not_move(values: dict[str, object]) -> None:
    with pytest.raises(Refused, match="would move the ports away from those of the Services"):
        templates(merged(ANONYMOUS, values))


@pytest.mark.parametrize("release", ["asr.prod", "2asr", "asr.v1-asr-gateway"])
def test_a_release_whose_services_kubernetes_would_refuse_is_refused(release: str) -> None:
    """Helm takes dots and a digit in front; the name of a Service may have neither."""
    with pytest.raises(Refused, match="Choose another name for the release, or set fullnameOverride"):
        templates(ANONYMOUS, name=release)
    assert templates(merged(ANONYMOUS, {"fullnameOverride": "asr"}), name=release)


def test_a_name_that_is_cut_ends_with_a_letter() -> None:
    rendered = parsed(manifests(templates(ANONYMOUS, name=f"{'a' * 40}-----b")))
    names = {one["metadata"]["name"] for one in rendered if one["kind"] == "Deployment"}
    assert names == {"a" * 40}


def test_variables_that_only_look_like_settings_may_be_set() -> None:
    variables = [{"name": name, "value": "x"} for name in ("LISTEN", "LOG_LEVEL", "DASHSCOPE_API_KEY")]
    assert templates(merged(ANONYMOUS, {"extraEnv": variables}))


@pytest.mark.parametrize(("version", "is_known"), [("v1.33.9", False), ("v1.34.0", True), ("v1.36.3", True)])
def test_a_value_that_the_cluster_is_too_old_for_is_refused(
    version: str, is_known: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """PreferSameZone and PreferSameNode have been there by default since 1.34. Of `fail` a linter only takes note."""
    values = merged(ANONYMOUS, {"service": {"trafficDistribution": "PreferSameZone"}})
    helm_python.lint(CHART, values, namespace="speech", kube_version=version)
    sentence = f"is not known to Kubernetes {version}, only from 1.34 on: use PreferClose"
    assert (sentence in capfd.readouterr().err) is not is_known


def test_all_contradictions_are_told_at_once() -> None:
    with pytest.raises(Refused) as refused:
        templates({"keda": {"enabled": True}, "ingress": {"enabled": True}})
    assert str(refused.value).count("needs") == 2
    assert "auth.allowAnonymous" in str(refused.value)


# Effect ------------------------------------------------------------------------------------------------------------


def test_every_value_does_something() -> None:
    """A value is left out of a file that sets it: the manifests change, or it was needed."""
    values = [path for path, default in table().items() if default]
    idle = [path for path in values if not any(does_something(path, file) for file in FILES)]
    assert sorted(idle) == []


def does_something(path: str, file: Path) -> bool:
    values = values_in(file)
    if not list(at(values, path)):
        return False
    try:
        rendered = templates(without(values, path))
    except Refused:
        return True
    return manifests(rendered) != texts_of(file)


def test_every_file_tells_what_it_is_for() -> None:
    assert [file.name for file in FILES if not file.read_text(encoding="utf-8").startswith("# ")] == []
    assert all(texts_of(file) for file in FILES)
