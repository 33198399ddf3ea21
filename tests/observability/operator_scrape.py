"""Scrape configurations as prometheus-operator writes them for our ServiceMonitor and our PodMonitor.

Where the operator lets Kubernetes find pods, targets are named, with the labels that Kubernetes would give them.

Source: prometheus-operator, pkg/prometheus/promcfg.go, what it writes for each kind of monitor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from charts import NAMESPACE, Manifest, objects, only

_SERVICE: Final = "asr-asr-gateway-metrics"
_DISCOVERED: Final = {
    "cluster": "test",
    "__meta_kubernetes_namespace": NAMESPACE,
    "__meta_kubernetes_pod_container_name": "gateway",
    "__meta_kubernetes_pod_phase": "Running",
}
_DISCOVERED_BY_SERVICE: Final = {
    "__meta_kubernetes_endpoint_port_name": "metrics",
    "__meta_kubernetes_endpoint_address_target_kind": "Pod",
    "__meta_kubernetes_service_name": _SERVICE,
}
_DISCOVERED_BY_POD: Final = {"__meta_kubernetes_pod_container_port_name": "metrics"}

#: What the label `job` says of what each monitor finds.
JOBS: Final = {"ServiceMonitor": _SERVICE, "PodMonitor": f"{NAMESPACE}/asr-asr-gateway"}
#: Labels that the operator gives targets; a metric's own label of such a name becomes `exported_…`.
TARGET_LABELS: Final = frozenset({"namespace", "pod", "container", "service", "endpoint", "node", "job", "instance"})


def scrape_configs(*targets: str) -> list[Manifest]:
    """Return one for each kind of monitor that the chart has; both find each of the targets, a pod of its own."""
    service_monitor = only(objects({"serviceMonitor": {"enabled": True}}), "ServiceMonitor")
    pod_monitor = only(objects({"podMonitor": {"enabled": True}}), "PodMonitor")
    return [_of_service_monitor(service_monitor, targets), _of_pod_monitor(pod_monitor, targets)]


def _of_service_monitor(monitor: Manifest, targets: Sequence[str]) -> Manifest:
    (endpoint,) = monitor["spec"]["endpoints"]
    return _scrape("serviceMonitor", monitor, endpoint, targets, _DISCOVERED_BY_SERVICE) | {
        "relabel_configs": [
            _copied("job", "__tmp_prometheus_job_name"),
            _filtered("keep", "__meta_kubernetes_endpoint_port_name", endpoint["port"]),
            _target_of_kind("Node", "node"),
            _target_of_kind("Pod", "pod"),
            _copied("__meta_kubernetes_namespace", "namespace"),
            _copied("__meta_kubernetes_service_name", "service"),
            _copied("__meta_kubernetes_pod_name", "pod"),
            _copied("__meta_kubernetes_pod_container_name", "container"),
            _filtered("drop", "__meta_kubernetes_pod_phase", "(Failed|Succeeded)"),
            _copied("__meta_kubernetes_service_name", "job"),
            _constant("endpoint", endpoint["port"]),
        ]
    }


def _of_pod_monitor(monitor: Manifest, targets: Sequence[str]) -> Manifest:
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    metadata = monitor["metadata"]
    return _scrape("podMonitor", monitor, endpoint, targets, _DISCOVERED_BY_POD) | {
        "relabel_configs": [
            _copied("job", "__tmp_prometheus_job_name"),
            _filtered("drop", "__meta_kubernetes_pod_phase", "(Failed|Succeeded)"),
            _filtered("keep", "__meta_kubernetes_pod_container_port_name", endpoint["port"]),
            _copied("__meta_kubernetes_namespace", "namespace"),
            _copied("__meta_kubernetes_pod_container_name", "container"),
            _copied("__meta_kubernetes_pod_name", "pod"),
            _constant("job", f"{metadata['namespace']}/{metadata['name']}"),
            _constant("endpoint", endpoint["port"]),
        ]
    }


def _scrape(
    kind: str, monitor: Manifest, endpoint: Manifest, targets: Sequence[str], discovered: dict[str, str]
) -> Manifest:
    metadata = monitor["metadata"]
    pods = [f"asr-asr-gateway-5d4f8b7c9-{number:05}" for number in range(len(targets))]
    return {
        "job_name": f"{kind}/{metadata['namespace']}/{metadata['name']}/0",
        "honor_labels": endpoint["honorLabels"],
        "metrics_path": endpoint["path"],
        "static_configs": [
            {"targets": [target], "labels": _DISCOVERED | discovered | _of_pod(pod)}
            for target, pod in zip(targets, pods, strict=True)
        ],
    }


def _of_pod(name: str) -> dict[str, str]:
    sources = ("__meta_kubernetes_pod_name", "__meta_kubernetes_endpoint_address_target_name")
    return dict.fromkeys(sources, name)


def _copied(source: str, label: str) -> Manifest:
    return {"source_labels": [source], "target_label": label}


def _constant(label: str, value: str) -> Manifest:
    return {"target_label": label, "replacement": value}


def _filtered(action: str, source: str, pattern: str) -> Manifest:
    return {"action": action, "source_labels": [source], "regex": pattern}


def _target_of_kind(kind: str, label: str) -> Manifest:
    sources = ["__meta_kubernetes_endpoint_address_target_kind", "__meta_kubernetes_endpoint_address_target_name"]
    return {"source_labels": sources, "separator": ";", "regex": f"{kind};(.*)", "target_label": label}
