"""Releases of the chart, by Helm's own engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import helm_python

from charts import Manifest, Values, chart, manifests, parsed
from cluster.api import Api

RELEASE: Final = "asr"
_SECONDS: Final = 60


@contextmanager
def installed(api: Api, namespace: str, values: Values, name: str = RELEASE) -> Iterator[helm_python.Config]:
    """Install the chart, and take it away again."""
    with api.helm(namespace) as helm:
        install(helm, namespace, values, name)
        try:
            yield helm
        finally:
            helm.uninstall(name, timeout=_SECONDS)


def install(helm: helm_python.Config, namespace: str, values: Values, name: str = RELEASE) -> None:
    helm.install(chart(), name, values, namespace=namespace, timeout=_SECONDS)


def upgrade(helm: helm_python.Config, namespace: str, values: Values) -> None:
    helm.upgrade(chart(), RELEASE, values, namespace=namespace, timeout=_SECONDS)


def rendered(helm: helm_python.Config, namespace: str, values: Values, name: str = RELEASE) -> list[Manifest]:
    """What the chart renders for this cluster."""
    found = helm.render(chart(), values, name=name, namespace=namespace)
    return parsed(manifests({path.partition("/templates/")[2]: text for path, text in found.items()}))


def pods(objects: Iterable[Manifest]) -> Iterator[Manifest]:
    """A pod of each object that makes some."""
    for one in objects:
        template = _pod_template(one)
        if template is not None:
            metadata = template.get("metadata", {}) | {"name": "a", "namespace": one["metadata"]["namespace"]}
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def _pod_template(one: Manifest) -> Manifest | None:
    match one:
        case {"kind": "Pod"}:
            return one
        case {"kind": "Deployment", "spec": {"template": template}}:
            return dict(template)
        case {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": template}}}}:
            return dict(template)
    return None
