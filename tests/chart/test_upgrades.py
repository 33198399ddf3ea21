"""An upgrade takes no pod away that an autoscaler has added, nor the ones that run when autoscaling is turned on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

import helm_python
import pytest

from charts import ANONYMOUS, NAMESPACE, Manifest, Values, chart, deployment, manifests, merged, only, parsed

SCALED: Final[Values] = {"autoscaling": {"enabled": True}}
KEDA: Final[Values] = {"keda": {"enabled": True, "serverAddress": "http://prometheus.monitoring:9090"}}
SCALED_ELSEWHERE: Final[Values] = {"replicaCount": None}

DISCOVERY: Final = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": "apps/v1",
    "resources": [{"name": "deployments", "namespaced": True, "kind": "Deployment", "verbs": ["get", "list"]}],
}
DEPLOYMENTS: Final = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/"

each_scaler = pytest.mark.parametrize("values", [SCALED, KEDA, SCALED_ELSEWHERE], ids=["hpa", "keda", "elsewhere"])


@contextmanager
def cluster(**replicas: int) -> Iterator[helm_python.Config]:
    """An API server that knows Deployments by name, each with so many replicas; nothing else."""
    answers: dict[str, Mapping[str, Any]] = {"/apis/apps/v1": DISCOVERY}  # Any: JSON
    for name, number in replicas.items():
        metadata = {"name": name.replace("_", "-"), "namespace": NAMESPACE}
        live = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": number}}
        answers[DEPLOYMENTS + metadata["name"]] = live
    missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(self.path.partition("?")[0])
            self.send_response(404 if answer is None else 200)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer or missing).encode())

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield helm_python.Config(kubeconfig_content=kubeconfig(server.server_port), namespace=NAMESPACE)
        finally:
            server.shutdown()
            thread.join()


def kubeconfig(port: int) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "nobody"}}],
            "current-context": "fake",
        }
    )


def upgraded(cluster: helm_python.Config, *overrides: Values) -> Manifest:
    """The spec of the Deployment that `helm upgrade asr` would apply."""
    values = merged(ANONYMOUS, *overrides)
    rendered = cluster.render(chart(), values, name="asr", namespace=NAMESPACE, is_upgrade=True)
    texts = {path.partition("/templates/")[2]: text for path, text in rendered.items()}
    spec: Manifest = only(parsed(manifests(texts)), "Deployment")["spec"]
    return spec


@each_scaler
def test_turning_a_scaler_on_keeps_the_pods_that_run(values: Values) -> None:
    """Without the field Kubernetes puts 1 in its place, and all pods but one go away."""
    with cluster(asr_asr_gateway=6) as api:
        assert upgraded(api, {"replicaCount": 6})["replicas"] == 6
        assert upgraded(api, values)["replicas"] == 6


@each_scaler
def test_an_upgrade_keeps_what_a_scaler_has_made_of_them(values: Values) -> None:
    with cluster(asr_asr_gateway=9) as api:
        assert upgraded(api, values, {"image": {"tag": "2"}})["replicas"] == 9


def test_pods_that_somebody_has_put_to_sleep_stay_asleep() -> None:
    """An autoscaler leaves a Deployment alone that is scaled to nothing."""
    with cluster(asr_asr_gateway=0) as api:
        assert upgraded(api, SCALED)["replicas"] == 0


def test_the_deployment_of_another_release_does_not_count() -> None:
    with cluster(asr_asr_gateway_eu=9) as api:
        assert "replicas" not in upgraded(api, SCALED)


@each_scaler
def test_without_a_cluster_the_replicas_are_left_open(values: Values) -> None:
    """Argo CD for example renders without one and applies it again and again: a number would fight the scaler."""
    assert "replicas" not in deployment(values)["spec"]


def test_without_a_scaler_the_value_counts() -> None:
    with cluster(asr_asr_gateway=9) as api:
        assert upgraded(api)["replicas"] == 2
