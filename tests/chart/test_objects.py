"""What the chart renders is accepted: by Helm, by every Kubernetes it is for, by the operators, and by linters."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import helm_python
import pytest
import yaml
from kubernetes_validate import utils as kubernetes_schemas
from yamllint import linter
from yamllint.config import YamlLintConfig

from calls import ROOT
from charts import (
    ANONYMOUS,
    CHART,
    FILES,
    NAMESPACE,
    Manifest,
    every,
    objects,
    objects_of,
    only,
    templates,
    texts_of,
    values_in,
)

SCHEMAS: Final = Path(__file__).parent / "schemas"
#: Kinds that an operator brings, and that are rendered only when a value asks for them.
CUSTOM_KINDS: Final = {schema.stem for schema in SCHEMAS.glob("*.json")}
OLDEST: Final = "1.30"
VERSIONS: Final = [
    version
    for version in dict.fromkeys(map(kubernetes_schemas.major_minor, kubernetes_schemas.all_versions()))
    if tuple(map(int, version.split("."))) >= tuple(map(int, OLDEST.split(".")))
]

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.removesuffix("-values.yaml"))


@pytest.fixture(scope="module", autouse=True)
def schemas_are_read_once() -> Iterator[None]:
    """The package reads megabytes for each object."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kubernetes_schemas, "schema_contents", cache(kubernetes_schemas.schema_contents))
        yield


def built_in(file: Path) -> list[Manifest]:
    return [manifest for manifest in objects_of(file) if manifest["kind"] not in CUSTOM_KINDS]


# Helm --------------------------------------------------------------------------------------------------------------


def test_each_way_of_use_has_a_file() -> None:
    names = {file.name.removesuffix("-values.yaml") for file in FILES}
    assert names == {"default", "minimal", "tls", "keda", "gateway", "everything"}


@each_file
def test_helm_finds_nothing_to_complain_about(file: Path) -> None:
    report = helm_python.lint(CHART, values_in(file), strict=True, namespace=NAMESPACE, kube_version=f"v{OLDEST}.0")
    assert report["errors"] == []
    assert [message for message in report["messages"] if message["error"] != "icon is recommended"] == []


def test_the_package_renders_as_the_folder_does(tmp_path: Path) -> None:
    archive = helm_python.package(CHART, destination=tmp_path)
    with helm_python.Chart.load(archive) as packaged:
        rendered = packaged.render(ANONYMOUS, name="asr", namespace=NAMESPACE)
        files = {file["name"] for file in packaged.files}
    assert sorted(rendered.values()) == sorted(templates(ANONYMOUS).values())
    assert not [name for name in files if name.startswith("ci/")]
    assert {path.relative_to(CHART).as_posix() for path in (CHART / "files").rglob("*.*")} <= files


def test_the_chart_has_the_version_of_the_gateway() -> None:
    with (CHART / "Chart.yaml").open(encoding="utf-8") as file:
        chart = yaml.safe_load(file)
    assert f'version = "{chart["appVersion"]}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert chart["kubeVersion"] == f">={OLDEST}.0-0"


def test_every_template_is_rendered_by_some_file() -> None:
    written = {path.relative_to(CHART / "templates").as_posix() for path in (CHART / "templates").rglob("*.yaml")}
    rendered = {path for file in FILES for path in texts_of(file)}
    assert written - rendered == {"validate.yaml"}


# Kubernetes and operators ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@each_file
def test_kubernetes_accepts_every_object(file: Path, version: str) -> None:
    validated = [kubernetes_schemas.validate(manifest, version, strict=True) for manifest in built_in(file)]
    assert set(validated) == {version}


def test_the_newest_kubernetes_is_among_those_tried() -> None:
    assert len(VERSIONS) >= 8
    assert VERSIONS[0] == OLDEST


@pytest.mark.parametrize("kind", sorted(CUSTOM_KINDS))
def test_operators_accept_their_objects(kind: str, tmp_path: Path) -> None:
    found = [manifest for file in FILES for manifest in objects_of(file) if manifest["kind"] == kind]
    paths = [tmp_path / f"{number}.json" for number in range(len(found))]
    for path, manifest in zip(paths, found, strict=True):
        path.write_text(json.dumps(manifest), encoding="utf-8")
    check = [str(Path(sys.executable).with_name("check-jsonschema")), "--schemafile", str(SCHEMAS / f"{kind}.json")]
    assert paths
    result = subprocess.run([*check, *map(str, paths)], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "ok -- validation done\n")


def test_objects_of_operators_are_off_by_default() -> None:
    kinds = sorted(manifest["kind"] for manifest in objects())
    assert kinds == [
        "Deployment",
        "Pod",
        "PodDisruptionBudget",
        "Service",
        "Service",
        "Service",
        "ServiceAccount",
    ]


# All objects -------------------------------------------------------------------------------------------------------


@each_file
def test_no_object_has_the_name_of_another(file: Path) -> None:
    names = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in objects_of(file)]
    assert len(set(names)) == len(names)


@each_file
def test_every_object_tells_its_namespace_and_its_origin(file: Path) -> None:
    ours = [one for one in objects_of(file) if not one["metadata"]["name"].endswith(("-more", "-text"))]
    origin = {"name", "instance", "component", "version", "part-of", "managed-by"}
    expected = {f"app.kubernetes.io/{label}" for label in origin} | {"helm.sh/chart"}
    assert [one["metadata"]["name"] for one in ours if not one["metadata"].get("namespace")] == []
    assert [one["metadata"]["name"] for one in ours if not expected <= set(one["metadata"]["labels"])] == []


@each_file
def test_manifests_are_tidy(file: Path) -> None:
    assert [problem for text in texts_of(file).values() for problem in lint(text.strip("\n") + "\n")] == []


@pytest.mark.parametrize(
    "path",
    [*CHART.glob("*.yaml"), *CHART.glob("ci/*.yaml"), *CHART.glob("files/**/*.yaml")],
    ids=lambda path: path.name,
)
def test_files_are_tidy(path: Path) -> None:
    assert lint(path.read_text(encoding="utf-8")) == []


def lint(text: str) -> list[str]:
    return [str(problem) for problem in linter.run(text, yamllint_config())]


@cache
def yamllint_config() -> Any:  # Any: the package is not typed
    return YamlLintConfig(file=str(Path(__file__).parent / "yamllint.yaml"))


# Files -------------------------------------------------------------------------------------------------------------


def test_rules_and_dashboards_arrive_unchanged() -> None:
    manifests = objects({"prometheusRule": {"enabled": True}, "dashboard": {"enabled": True}})
    rules = {path: only(manifests, "PrometheusRule", path.stem) for path in CHART.glob("files/rules/*.yaml")}
    boards = {path: only(manifests, "ConfigMap", path.stem) for path in CHART.glob("files/dashboards/*.json")}
    assert rules
    assert boards
    for path, rule in rules.items():
        text = path.read_text(encoding="utf-8").replace("runbook_url: ", "runbook: ")
        assert rule["spec"] == yaml.safe_load(text)
    for path, board in boards.items():
        assert json.loads(board["data"][path.name]) == json.loads(path.read_text(encoding="utf-8"))


def test_rules_read_what_the_values_record() -> None:
    manifests = objects({"prometheusRule": {"enabled": True, "costBudgetCnyPerDay": 1500}})
    (group,) = only(manifests, "PrometheusRule", "-values")["spec"]["groups"]
    recorded = {rule["record"]: rule["expr"] for rule in group["rules"]}
    texts = [path.read_text(encoding="utf-8") for path in CHART.glob("files/*/*")]
    read = {name for text in texts for name in re.findall(r"(?<![:\w])asrgateway:\w+", text)}
    assert read == set(recorded)
    assert recorded["asrgateway:cost_budget_cny_per_day"] == "vector(1500)"
    assert recorded["asrgateway:slo_objective"] == "vector(0.995)"


def alerts(**values: object) -> list[Manifest]:
    """The alerts that `prometheusRule` with these values gives."""
    manifests = objects({"prometheusRule": {"enabled": True, **values}})
    groups = [group for one in every(manifests, "PrometheusRule") for group in one["spec"]["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def test_alerts_link_to_where_the_pages_are() -> None:
    found = [one["annotations"] for one in alerts(runbookUrl="https://example.com/runbooks/")]
    assert found
    assert [one for one in found if not one["runbook_url"].startswith("https://example.com/runbooks/AsrGateway")] == []
    assert [one for one in found if "runbook" in one] == []


def test_alerts_have_no_link_that_leads_nowhere() -> None:
    """Nobody publishes the pages for you: until you do, an alert names the file."""
    found = [one["annotations"] for one in alerts()]
    assert [one for one in found if "runbook_url" in one] == []
    assert [one["runbook"] for one in found if not (ROOT / one["runbook"]).is_file()] == []


def test_an_alert_can_be_left_out() -> None:
    without = [one["alert"] for one in alerts(alerts={"AsrGatewayErrorBudgetBurn": {"enabled": False}})]
    assert {one["alert"] for one in alerts()} - set(without) == {"AsrGatewayErrorBudgetBurn"}


@pytest.mark.parametrize(
    ("alert", "threshold", "end"),
    [
        ("AsrGatewayStreamSaturation", 0.7, "(asrgateway_streams_limit) > 0.7"),
        ("AsrGatewayEventLoopLag", 1, "[5m]))) > 1"),
        ("AsrGatewayCertificateExpiringSoon", 30, "- time() < 30 * 86400"),
    ],
)
def test_an_alert_can_have_another_threshold(alert: str, threshold: float, end: str) -> None:
    changed = alerts(alerts={alert: {"threshold": threshold, "for": "1m"}})
    (rule,) = (one for one in changed if one["alert"] == alert)
    assert rule["expr"].endswith(end)
    assert rule["for"] == "1m"
    assert [one for one in changed if one["alert"] != alert] == [one for one in alerts() if one["alert"] != alert]


def test_of_two_labels_that_of_the_alert_wins() -> None:
    own = {"AsrGatewayAbsent": {"labels": {"severity": "page", "team": "night"}}}
    changed = {
        one["alert"]: one["labels"] for one in alerts(alertLabels={"team": "day", "severity": "info"}, alerts=own)
    }
    assert changed["AsrGatewayAbsent"] == {"severity": "page", "team": "night"}
    assert changed["AsrGatewayVersionSkew"] == {"severity": "warning", "team": "day"}


def test_what_stands_in_a_namespace_of_all_is_named_after_its_own() -> None:
    """Releases of the same name in two namespaces would fight over it otherwise."""
    elsewhere = {"enabled": True, "namespace": "monitoring"}
    manifests = objects({"serviceMonitor": elsewhere, "prometheusRule": elsewhere, "dashboard": elsewhere})
    there = [one["metadata"]["name"] for one in manifests if one["metadata"]["namespace"] == "monitoring"]
    monitor = only(manifests, "ServiceMonitor")
    assert len(there) == 5
    assert [name for name in there if not name.startswith("speech-asr-asr-gateway")] == []
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["speech"]}
    assert only(objects({"podMonitor": elsewhere}), "PodMonitor")["metadata"]["namespace"] == "monitoring"


def test_every_object_but_no_pod_has_the_common_annotations() -> None:
    values = {"commonAnnotations": {"owner": "{{ .Release.Name }}", "tier": "all"}}
    manifests = objects(values, {"service": {"annotations": {"tier": "edge"}}})
    pod = only(manifests, "Deployment")["spec"]["template"]["metadata"]
    assert [one["kind"] for one in manifests if one["metadata"]["annotations"]["owner"] != "asr"] == []
    assert only(manifests, "Service", "asr-gateway")["metadata"]["annotations"]["tier"] == "edge"
    assert set(pod["annotations"]) == {"checksum/config"}


# The test ----------------------------------------------------------------------------------------------------------


def test_the_test_stays_until_its_log_is_read() -> None:
    """Helm 3 reads the log after it has deleted what `hook-succeeded` names."""
    annotations = only(objects(), "Pod")["metadata"]["annotations"]
    assert annotations == {"helm.sh/hook": "test", "helm.sh/hook-delete-policy": "before-hook-creation"}


def test_the_test_runs_where_the_gateway_does_unless_told_otherwise() -> None:
    toleration = {"key": "dedicated", "operator": "Exists"}
    gateway = {"nodeSelector": {"pool": "speech"}, "tolerations": [toleration]}
    follows = only(objects(gateway), "Pod")["spec"]
    own = only(objects(gateway, {"test": {"nodeSelector": {"pool": "tests"}, "tolerations": []}}), "Pod")["spec"]
    assert (follows["nodeSelector"], follows["tolerations"]) == ({"pool": "speech"}, [toleration])
    assert own["nodeSelector"] == {"pool": "tests"}
    assert "tolerations" not in own


def test_the_test_can_be_left_out() -> None:
    assert every(objects({"test": {"enabled": False}}), "Pod") == []


def test_the_test_fails_with_a_sentence() -> None:
    command = only(objects(), "Pod")["spec"]["containers"][0]["command"]
    program = command[2].replace("timeout=30", "timeout=0.2")
    result = subprocess.run([sys.executable, "-c", program, "127.0.0.1:9"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == "liveness: no answer from 127.0.0.1:9 (DEADLINE_EXCEEDED). Are the pods ready?\n"
