"""Every way of using the chart that a file or a page shows suits Kubernetes where Pod Security is `restricted`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import helm_python
import pytest
import yaml

from calls import ROOT
from charts import ANONYMOUS, CHART, FILES, Values, merged, values_in
from cluster.api import Api, RefusedByKubernetes
from cluster.releases import installed, pods, rendered, upgrade

#: A change that gives a Deployment new pods.
CHANGED: Final[Values] = {"podAnnotations": {"example.com/changed": "true"}}


def examples() -> list[Values]:
    """The values that the chart's README shows."""
    text = (CHART / "README.md").read_text(encoding="utf-8")
    found = [yaml.safe_load(example) for example in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    known = set(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")))
    return [example for example in found if set(example) <= known]


def typed(page: Path) -> Values:
    """The values of the `helm install` that a page shows."""
    (command,) = re.findall(r"helm install (?:.*\\\n)*.*", page.read_text(encoding="utf-8"))
    return merged(*(helm_python.parse_set_string(one) for one in re.findall(r"--set (\S+)", command)))


WAYS: Final = {
    **{file.name.removesuffix("-values.yaml"): values_in(file) for file in FILES},
    **{f"example of {'-'.join(example)}": merged(ANONYMOUS, example) for example in examples()},
    "README": typed(ROOT / "README.md"),
    "the chart's README": typed(CHART / "README.md"),
    "emulator": merged(ANONYMOUS, helm_python.parse_set_string("extraArgs={--emulator}")),
}
each_way = pytest.mark.parametrize("values", WAYS.values(), ids=WAYS)


@each_way
def test_it_installs_and_upgrades(api: Api, namespace: str, values: Values) -> None:
    with installed(api, namespace, values) as helm:
        upgrade(helm, namespace, merged(values, CHANGED))
        assert [one["status"] for one in helm.history("asr")] == ["superseded", "deployed"]


@each_way
def test_its_pods_pass_pod_security(api: Api, namespace: str, values: Values) -> None:
    with installed(api, namespace, values) as helm:
        found = list(pods(rendered(helm, namespace, values)))
        assert found
        assert [warning for one in found for warning in api.warnings(one)] == []


@each_way
def test_kubernetes_knows_every_field_and_warns_of_none(api: Api, namespace: str, values: Values) -> None:
    with api.helm(namespace) as helm:
        assert [warning for one in rendered(helm, namespace, values) for warning in api.warnings(one, namespace)] == []


def test_a_release_can_go_from_each_way_to_the_next(api: Api, namespace: str) -> None:
    first, *others = WAYS.values()
    with installed(api, namespace, first) as helm:
        for values in (*others, first):
            upgrade(helm, namespace, values)
        assert helm.history("asr")[-1]["status"] == "deployed"


def test_nothing_stays_once_a_release_is_gone(api: Api, namespace: str) -> None:
    with installed(api, namespace, ANONYMOUS):
        assert len(left_over(api, namespace)) > 1
    assert left_over(api, namespace) == ["default"]


def left_over(api: Api, namespace: str) -> list[str]:
    """Names of the Deployments, Services and accounts of a namespace."""
    base = {"deployments": "/apis/apps/v1", "services": "/api/v1", "serviceaccounts": "/api/v1"}
    answers = [api.ask("GET", f"{group}/namespaces/{namespace}/{kind}") for kind, group in base.items()]
    return [one["metadata"]["name"] for answer in answers for one in answer.body["items"]]


def test_pods_that_pod_security_forbids_are_refused_here(api: Api, namespace: str) -> None:
    """Otherwise the tests above would say nothing."""
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root", "namespace": namespace}}
    containers = [{"name": "root", "image": "root"}]
    with pytest.raises(RefusedByKubernetes, match="violates PodSecurity"):
        api.warnings(manifest | {"spec": {"containers": containers}})
