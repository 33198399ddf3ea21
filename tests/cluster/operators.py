"""The kinds that operators bring, as their projects publish them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from cluster.programs import Module, source

# Any: values of YAML.
Manifest = dict[str, Any]

#: The folder of each module that has its definitions, and those that the chart or its examples use.
_PUBLISHED: Final = (
    (
        Module(
            path="github.com/prometheus-operator/prometheus-operator",
            version="v0.85.0",
            checksum="h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        ),
        "example/prometheus-operator-crd/monitoring.coreos.com_{}.yaml",
        ("servicemonitors", "podmonitors", "prometheusrules"),
    ),
    (
        Module(
            path="github.com/kedacore/keda/v2",
            version="v2.21.0",
            checksum="h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
        ),
        "config/crd/bases/keda.sh_{}.yaml",
        ("scaledobjects",),
    ),
    (
        Module(
            path="sigs.k8s.io/gateway-api",
            version="v1.5.0",
            checksum="h1:duoo14Ky/fJXpjpmyMISE2RTBGnfCg8zICfTYLTnBJA=",
        ),
        "config/crd/standard/gateway.networking.k8s.io_{}.yaml",
        ("grpcroutes",),
    ),
    (
        Module(
            path="github.com/cert-manager/cert-manager",
            version="v1.21.2",
            checksum="h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",
        ),
        "deploy/crds/cert-manager.io_{}.yaml",
        ("certificates",),
    ),
)

#: Cilium's module is a hundred times the size of the rest: of its kind only the name is known here.
_CILIUM: Final[Manifest] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "ciliumnetworkpolicies.cilium.io"},
    "spec": {
        "group": "cilium.io",
        "scope": "Namespaced",
        "names": {"kind": "CiliumNetworkPolicy", "plural": "ciliumnetworkpolicies", "singular": "ciliumnetworkpolicy"},
        "versions": [
            {
                "name": "v2",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


def definitions() -> Iterator[Manifest]:
    """Every CustomResourceDefinition.

    Raises:
        NotBuilt: A module cannot be had.
    """
    for path in _paths():
        yield yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    yield _CILIUM


def _paths() -> Iterator[Path]:
    for module, pattern, kinds in _PUBLISHED:
        for kind in kinds:
            yield source(module) / pattern.format(kind)
