"""The pods: safe by default, probed where the server answers, given time to drain, and told settings it knows."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
import yaml

from all_settings import Settings
from asrgateway_server.grpc_api.health import LIVENESS, READINESS
from asrgateway_server.settings import CONFIG_VARIABLE, PREFIX, parse_address
from asrgateway_server.vendors.dashscope.settings import KEY_FILE_VARIABLE
from charts import (
    FILES,
    Manifest,
    Values,
    container,
    deployment,
    environment,
    every,
    merged,
    objects,
    objects_of,
    only,
    pod,
    value,
)
from dashscope_emulator import Knobs

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.removesuffix("-values.yaml"))

KEYED: Final[Values] = {"dashscope": {"existingSecret": "vendor"}}


def pods_of(file: Path) -> list[Manifest]:
    """The specs of all pods that a file of values gives."""
    manifests = objects_of(file)
    templated = [one["spec"]["template"]["spec"] for one in manifests if one["kind"] == "Deployment"]
    return templated + [one["spec"] for one in manifests if one["kind"] == "Pod"]


def containers_of(spec: Manifest) -> list[Manifest]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def gateway_pod_of(file: Path) -> Manifest:
    spec: Manifest = only(objects_of(file), "Deployment")["spec"]["template"]["spec"]
    return spec


# Pod Security ------------------------------------------------------------------------------------------------------


def violations(spec: Manifest) -> list[str]:
    """What the profile `restricted` of Pod Security refuses.

    Source: kubernetes.io/docs/concepts/security/pod-security-standards/, the controls of `baseline` and `restricted`.
    """
    of_pod = spec.get("securityContext", {})
    volumes = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    found = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    found += [f"volume {one['name']}" for one in spec.get("volumes", []) if not set(one) - {"name"} <= volumes]
    found += ["sysctls"] if of_pod.get("sysctls") else []
    for one in containers_of(spec):
        own = one.get("securityContext", {})
        both = of_pod | own
        capabilities = own.get("capabilities", {})
        wrong = {
            "privileged": own.get("privileged", False) is not False,
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is not False,
            "capabilities.drop": "ALL" not in capabilities.get("drop", []),
            "capabilities.add": not set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
            "runAsNonRoot": both.get("runAsNonRoot") is not True,
            "runAsUser": both.get("runAsUser") == 0,
            "seccompProfile": both.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"},
            "procMount": own.get("procMount", "Default") != "Default",
            "hostPort": any(port.get("hostPort") for port in one.get("ports", [])),
        }
        found += [f"{one['name']}: {control}" for control, is_wrong in wrong.items() if is_wrong]
    return found


@each_file
def test_every_pod_passes_the_restricted_profile(file: Path) -> None:
    assert [violations(spec) for spec in pods_of(file)] == [[]] * len(pods_of(file))


def test_the_profile_is_checked() -> None:
    loose = pod({"securityContext": {"allowPrivilegeEscalation": True, "capabilities": None}})
    assert violations(loose) == ["gateway: allowPrivilegeEscalation", "gateway: capabilities.drop"]
    assert violations({"hostNetwork": True, "containers": []}) == ["hostNetwork"]


@each_file
def test_nothing_but_tmp_can_be_written(file: Path) -> None:
    spec = gateway_pod_of(file)
    gateway = container(spec)
    memory = [volume["name"] for volume in spec["volumes"] if volume.get("emptyDir", {}).get("medium") == "Memory"]
    writable = [(mount["name"], mount["mountPath"]) for mount in gateway["volumeMounts"] if not mount.get("readOnly")]
    assert gateway["securityContext"]["readOnlyRootFilesystem"] is True
    assert writable == [("tmp", "/tmp")]  # noqa: S108 the mount's path
    assert memory == ["tmp"]


def test_pods_get_neither_a_token_nor_the_addresses_of_services() -> None:
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["enableServiceLinks"] is False
    assert only(objects(), "ServiceAccount")["automountServiceAccountToken"] is False


def test_the_image_runs_as_a_number_that_the_pod_names() -> None:
    context = pod()["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (10001, 10001, 10001)


def test_a_registry_of_all_charts_wins() -> None:
    image = {"registry": "registry.example.com", "tag": "1"}
    values = {"image": image, "global": {"imageRegistry": "mirror.example.com", "of": "other charts"}}
    manifests = objects(values)
    test = only(manifests, "Pod")["spec"]["containers"][0]
    assert container(pod(values))["image"] == test["image"] == "mirror.example.com/asr-gateway:1"


def test_the_scheduler_and_the_way_to_names_can_be_chosen() -> None:
    spec = pod({"schedulerName": "packing", "dnsPolicy": "Default"})
    assert (spec["schedulerName"], spec["dnsPolicy"]) == ("packing", "Default")
    assert {"schedulerName", "dnsPolicy"} & set(pod()) == set()


def test_annotations_of_the_deployment_restart_no_pod() -> None:
    before, after = deployment(), deployment({"deploymentAnnotations": {"reload": "{{ .Release.Name }}"}})
    assert after["metadata"]["annotations"] == {"reload": "asr"}
    assert after["spec"] == before["spec"]


def test_a_digest_wins_over_a_tag() -> None:
    digest = f"sha256:{'0' * 64}"
    image = {"registry": "registry.example.com", "repository": "gateway", "tag": "1"}
    assert container(pod({"image": image}))["image"] == "registry.example.com/gateway:1"
    assert container(pod({"image": image | {"digest": digest}}))["image"] == f"registry.example.com/gateway@{digest}"


# Settings ----------------------------------------------------------------------------------------------------------


@each_file
def test_every_setting_is_one_that_the_server_knows(file: Path) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {CONFIG_VARIABLE}
    assert {name for name in environment(gateway_pod_of(file)) if name.startswith(PREFIX)} - known == set()


@each_file
def test_the_server_accepts_every_number_and_address(file: Path) -> None:
    of_files = ("_FILE", "_CONFIG")
    given = environment(gateway_pod_of(file))
    plain = {name: text for name, text in given.items() if name.startswith(PREFIX) and not name.endswith(of_files)}
    callers = {"ASRGATEWAY_ALLOW_ANONYMOUS": "true"}
    settings = Settings.from_environment(callers | plain)
    assert str(settings.listen) == plain["ASRGATEWAY_LISTEN"]


@each_file
def test_every_file_that_a_setting_names_is_mounted(file: Path) -> None:
    spec = gateway_pod_of(file)
    mounts = {mount["mountPath"] for mount in container(spec)["volumeMounts"]}
    files = {text for text in environment(spec).values() if text.startswith("/etc/")}
    assert {path.rpartition("/")[0] for path in files} <= mounts


@pytest.mark.parametrize(
    ("pods", "share"),
    [
        ({"replicaCount": 1}, 20),
        ({"replicaCount": 3}, 20 / 3),
        ({"replicaCount": 0}, 20),
        ({"replicaCount": 2, "autoscaling": {"enabled": True, "maxReplicas": 8}}, 2.5),
        ({"replicaCount": None, "keda": {"enabled": True, "serverAddress": "http://p:9090", "maxReplicas": 40}}, 0.5),
    ],
)
def test_pods_share_the_starts_of_tasks_that_the_vendor_allows(pods: Values, share: float) -> None:
    given = environment(pod({"limits": {"taskStartsPerSecond": 20}}, pods))["ASRGATEWAY_MAX_TASK_STARTS_PER_SECOND"]
    assert float(given) == pytest.approx(share)


def test_without_a_number_each_pod_has_the_gateways_own_limit() -> None:
    assert "ASRGATEWAY_MAX_TASK_STARTS_PER_SECOND" not in environment(pod())


def test_what_has_no_value_of_its_own_goes_into_the_file() -> None:
    config = {"max_utterance_seconds": 12.5, "aliases": {"default": ["fun-asr-realtime", "embedded"]}}
    manifests = objects({"config": config})
    spec = only(manifests, "Deployment")["spec"]["template"]["spec"]
    volume = next(one for one in spec["volumes"] if one["name"] == "config")
    name = volume["configMap"]["name"]
    assert environment(spec)[CONFIG_VARIABLE] == "/etc/asr-gateway/config/gateway.yaml"
    assert yaml_of(only(manifests, "ConfigMap", name)) == config


def yaml_of(config_map: Manifest) -> object:
    return yaml.safe_load(config_map["data"]["gateway.yaml"])


@pytest.mark.parametrize(
    "change",
    [{"config": {"backlog_speed": 2}}, {"dashscope": {"demoKey": "other"}}],
    ids=["config", "key"],
)
def test_a_change_of_what_pods_read_at_the_start_restarts_them(change: Values) -> None:
    before, after = (
        deployment({"podAnnotations": {}}, values)["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
        for values in ({}, change)
    )
    assert before != after


def test_a_new_chart_with_the_same_image_restarts_no_pod() -> None:
    labels = deployment()["spec"]["template"]["metadata"]["labels"]
    assert "helm.sh/chart" not in labels


@pytest.mark.parametrize("change", [{"commonLabels": {"a": "b"}}, {"podLabels": {"a": "b"}}, {"image": {"tag": "2"}}])
def test_selectors_never_change(change: Values) -> None:
    selector = deployment(change)["spec"]["selector"]["matchLabels"]
    assert selector == {
        "app.kubernetes.io/name": "asr-gateway",
        "app.kubernetes.io/instance": "asr",
        "app.kubernetes.io/component": "gateway",
    }
    assert selector.items() <= deployment(change)["spec"]["template"]["metadata"]["labels"].items()


# Keys --------------------------------------------------------------------------------------------------------------


def test_the_vendors_key_is_a_file_by_default() -> None:
    spec = pod(KEYED)
    volume = next(one for one in spec["volumes"] if one["name"] == "dashscope")
    assert environment(spec)[KEY_FILE_VARIABLE] == "/etc/asr-gateway/dashscope/api-key"
    assert volume["secret"]["secretName"] == "vendor"
    assert volume["secret"]["defaultMode"] == 0o440


def test_the_vendors_key_can_be_a_variable_from_a_secret() -> None:
    (variable,) = (
        one for one in container(pod(KEYED, value("dashscope.mountAsFile", False)))["env"] if "valueFrom" in one
    )
    assert variable == {
        "name": "DASHSCOPE_API_KEY",
        "valueFrom": {"secretKeyRef": {"name": "vendor", "key": "api-key"}},
    }


def test_a_key_for_a_demonstration_stands_in_a_secret_only() -> None:
    showing = [one["kind"] for one in objects({"dashscope": {"demoKey": "sk-demonstration"}}) if "sk-demo" in str(one)]
    assert showing == ["Secret"]


def test_callers_keys_are_mounted_and_nobody_is_anonymous() -> None:
    variables = environment(pod({"auth": {"existingSecret": "callers"}}))
    assert variables["ASRGATEWAY_API_KEYS_FILE"] == "/etc/asr-gateway/auth/api-keys"
    assert "ASRGATEWAY_ALLOW_ANONYMOUS" not in variables


def test_certificates_of_callers_do_in_place_of_keys() -> None:
    tls = {"enabled": True, "existingSecret": "tls", "clientCA": {"existingSecret": "authority"}}
    variables = environment(pod({"tls": tls, "auth": {"allowAnonymous": False}}))
    assert {"ASRGATEWAY_API_KEYS_FILE", "ASRGATEWAY_ALLOW_ANONYMOUS"} & set(variables) == set()


def test_callers_show_certificates_only_when_an_authority_is_named() -> None:
    tls = {"tls": {"enabled": True, "existingSecret": "tls"}}
    alone, mutual = (
        environment(pod(merged(tls, value("tls.clientCA.existingSecret", secret)))) for secret in ("", "authority")
    )
    assert "ASRGATEWAY_TLS_CLIENT_CA_FILE" not in alone
    assert mutual["ASRGATEWAY_TLS_CLIENT_CA_FILE"] == "/etc/asr-gateway/client-ca/ca.crt"


# Ports and probes --------------------------------------------------------------------------------------------------


@each_file
def test_probes_ask_the_health_port_for_services_that_it_serves(file: Path) -> None:
    gateway = container(gateway_pod_of(file))
    health = parse_address(environment(gateway_pod_of(file))["ASRGATEWAY_HEALTH_LISTEN"])
    probes = {name: gateway[f"{name}Probe"]["grpc"] for name in ("startup", "liveness", "readiness")}
    assert {probe["port"] for probe in probes.values()} == {health.port}
    assert {name: probe["service"] for name, probe in probes.items()} == {name: name for name in probes}
    assert set(probes) <= {*READINESS, LIVENESS}


def test_the_ports_are_the_servers_own() -> None:
    ports = {port["name"]: port["containerPort"] for port in container(pod())["ports"]}
    fields = {"grpc": "listen", "health": "health_listen", "metrics": "http_listen"}
    assert ports == {name: Settings.model_fields[field].default.port for name, field in fields.items()}


@each_file
def test_every_port_of_a_service_is_a_port_of_the_pod(file: Path) -> None:
    ports = {port["name"]: port["containerPort"] for port in container(gateway_pod_of(file))["ports"]}
    listening = {
        int(text.rpartition(":")[2]) for name, text in environment(gateway_pod_of(file)).items() if "LISTEN" in name
    }
    targets = {port["targetPort"] for one in every(objects_of(file), "Service") for port in one["spec"]["ports"]}
    assert targets <= set(ports)
    assert set(ports.values()) <= listening


def test_metrics_stay_inside_the_pod_when_they_are_off() -> None:
    manifests = objects({"metrics": {"enabled": False}})
    spec = only(manifests, "Deployment")["spec"]["template"]["spec"]
    assert environment(spec)["ASRGATEWAY_HTTP_LISTEN"] == "127.0.0.1:9464"
    assert every(manifests, "Service", "-metrics") == []


@pytest.mark.parametrize(("is_tls", "protocol"), [(False, "kubernetes.io/h2c"), (True, "https")])
def test_proxies_are_told_what_the_port_speaks(is_tls: bool, protocol: str) -> None:
    manifests = objects({"tls": {"enabled": is_tls, "existingSecret": "tls"}} if is_tls else {})
    (port,) = only(manifests, "Service", "gateway")["spec"]["ports"]
    assert port["appProtocol"] == protocol


# Drain -------------------------------------------------------------------------------------------------------------


@each_file
def test_a_pod_has_time_for_everything_it_does_at_its_end(file: Path) -> None:
    spec = gateway_pod_of(file)
    variables = environment(spec)
    sleep = container(spec).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    drain = int(variables["ASRGATEWAY_DRAIN_SECONDS"]) + int(variables["ASRGATEWAY_DRAIN_FINALIZE_SECONDS"])
    last_scrape = int(variables["ASRGATEWAY_LAST_SCRAPE_SECONDS"])
    assert spec["terminationGracePeriodSeconds"] >= sleep + drain + last_scrape + 10


def test_the_time_is_counted_by_default() -> None:
    assert pod()["terminationGracePeriodSeconds"] == 5 + 300 + 5 + 20 + 10
    assert pod(value("drain.timeoutSeconds", 3600))["terminationGracePeriodSeconds"] == 5 + 3600 + 5 + 20 + 10
    assert pod({"terminationGracePeriodSeconds": 400})["terminationGracePeriodSeconds"] == 400


def test_a_pre_stop_handler_of_ones_own_takes_the_place_of_the_sleep() -> None:
    handler = {"exec": {"command": ["python", "-c", "pass"]}}
    assert container(pod({"lifecycle": {"preStop": handler}}))["lifecycle"] == {"preStop": handler}


def test_a_rollout_takes_no_pod_away_before_another_one_is_ready() -> None:
    assert deployment()["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": "25%"}


def test_pods_can_also_be_replaced_all_at_once() -> None:
    assert deployment({"strategy": {"type": "Recreate"}})["spec"]["strategy"] == {"type": "Recreate"}


# Resources ---------------------------------------------------------------------------------------------------------


def mebibytes(*overrides: Values) -> int:
    """The memory that pods ask for, which must be what they may take."""
    resources = container(pod(*overrides))["resources"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    return int(resources["limits"]["memory"].removesuffix("Mi"))


def test_memory_counts_every_embedded_worker() -> None:
    """105 MB each, as docs/settings.md tells."""
    limits = {"limits": {"maxStreams": 1}}
    one, four = (mebibytes(limits, {"embeddedWorkers": workers}) for workers in (1, 4))
    assert (four - one) * 2**20 >= 3 * 105_000_000


def test_memory_counts_the_open_calls_and_tmp() -> None:
    assert mebibytes(KEYED) == 192 + 500 + 64
    assert mebibytes(KEYED, {"limits": {"maxStreams": 100}, "tmp": {"sizeLimit": "16Mi"}}) == 192 + 100 + 16


def test_memory_counts_the_decoders_of_the_emulator() -> None:
    """As many as it takes calls, each of them a process like a worker, and 64 MiB for the rest of it."""
    decoders = Knobs().decoders
    alone, beside = (mebibytes({"extraArgs": arguments}) for arguments in ([], ["--emulator"]))
    assert beside - alone == decoders * 112 + 64 + decoders


def test_a_pod_with_the_emulator_takes_as_many_calls_as_both_do() -> None:
    variables = environment(pod({"extraArgs": ["--emulator"]}))
    assert variables["ASRGATEWAY_MAX_STREAMS"] == str(2 + Knobs().decoders)


@pytest.mark.parametrize(
    ("given", "requests", "limits"),
    [
        ({}, {"cpu": "450m", "memory": "480Mi"}, {"memory": "480Mi"}),
        ({"limits": {"memory": "1Gi"}}, {"cpu": "450m", "memory": "1Gi"}, {"memory": "1Gi"}),
        ({"requests": {"memory": "1Gi"}}, {"cpu": "450m", "memory": "1Gi"}, {"memory": "1Gi"}),
        ({"requests": {"cpu": "2"}}, {"cpu": "2", "memory": "480Mi"}, {"memory": "480Mi"}),
        ({"limits": {"cpu": 2}}, {"cpu": 2, "memory": "480Mi"}, {"cpu": 2, "memory": "480Mi"}),
        (
            {"requests": {"memory": "256Mi"}, "limits": {"memory": "1Gi"}},
            {"cpu": "450m", "memory": "256Mi"},
            {"memory": "1Gi"},
        ),
        (
            {"requests": {"ephemeral-storage": "64Mi"}, "limits": {"ephemeral-storage": "256Mi"}},
            {"cpu": "450m", "memory": "480Mi", "ephemeral-storage": "64Mi"},
            {"memory": "480Mi", "ephemeral-storage": "256Mi"},
        ),
    ],
    ids=["nothing", "limit", "request", "cpu", "limit of cpu", "both", "storage"],
)
def test_what_resources_leave_open_is_counted(given: Values, requests: Values, limits: Values) -> None:
    """No request is ever above its limit, which Kubernetes would refuse."""
    assert container(pod({"resources": given}))["resources"] == {"requests": requests, "limits": limits}


def test_cpu_is_asked_for_and_not_limited() -> None:
    resources = container(pod({"embeddedWorkers": 4}))["resources"]
    assert resources["requests"]["cpu"] == "650m"
    assert "cpu" not in resources["limits"]


@pytest.mark.parametrize(
    ("values", "workers", "calls"),
    [
        ({}, "2", "2"),
        (KEYED, "0", "500"),
        ({"embeddedWorkers": 6}, "6", "6"),
        (KEYED | {"embeddedWorkers": 1}, "1", "500"),
        ({"config": {"endpoints": {"sales": {"api_key_variable": "SALES"}}}}, "0", "500"),
        (KEYED | {"config": {"aliases": {"default": ["fun-asr-realtime", "embedded"]}}}, "2", "500"),
        (KEYED | {"config": {"aliases": {"offline": "embedded"}}}, "2", "500"),
        (KEYED | {"config": {"default_model": "embedded"}}, "2", "500"),
        (KEYED | {"config": {"aliases": {"default": ["fun-asr-realtime", "not-embedded"]}}}, "0", "500"),
    ],
    ids=["no key", "key", "workers", "both", "key of an endpoint", "route", "alias", "default", "another"],
)
def test_a_pod_without_a_key_takes_as_many_calls_as_it_has_workers(values: Values, workers: str, calls: str) -> None:
    variables = environment(pod(values))
    assert (variables["ASRGATEWAY_EMBEDDED_WORKERS"], variables["ASRGATEWAY_MAX_STREAMS"]) == (workers, calls)
