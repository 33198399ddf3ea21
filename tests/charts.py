"""The Helm chart, rendered by Helm's own engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import helm_python
import yaml

from calls import ROOT

CHART: Final = ROOT / "helm" / "asr-gateway"
#: One file for each way of using the chart.
FILES: Final = sorted((CHART / "ci").glob("*-values.yaml"))
NAMESPACE: Final = "speech"

# Any: values of YAML.
Values: TypeAlias = dict[str, Any]
Manifest: TypeAlias = dict[str, Any]

ANONYMOUS: Final[Values] = {"auth": {"allowAnonymous": True}}


class Refused(Exception):
    """The chart does not accept the values; the message says why."""


@cache
def chart() -> helm_python.Chart:
    return helm_python.Chart.load(CHART)


@cache
def values_in(file: Path) -> Values:
    values: Values = yaml.safe_load(file.read_text(encoding="utf-8"))
    return values


def templates(values: Values, name: str = "asr") -> dict[str, str]:
    """Render as `helm install asr` would: by template, what it says; notes among them."""
    try:
        chart().validate_schema(values)
        rendered = chart().render(values, name=name, namespace=NAMESPACE)
    except (helm_python.HelmValuesError, helm_python.HelmRenderError) as error:
        raise Refused(str(error)) from None
    return {path.partition("/templates/")[2]: text for path, text in rendered.items()}


@cache
def texts_of(file: Path) -> dict[str, str]:
    """The manifests that a file of values gives, as text by template."""
    return manifests(templates(values_in(file)))


def manifests(rendered: Mapping[str, str]) -> dict[str, str]:
    """What is left of rendered templates without the notes and what has nothing to say."""
    return {path: text for path, text in rendered.items() if path.endswith(".yaml") and text.strip()}


def parsed(texts: Mapping[str, str]) -> list[Manifest]:
    """The objects of manifests."""
    return [manifest for text in texts.values() for manifest in yaml.safe_load_all(text) if manifest]


@cache
def objects_of(file: Path) -> list[Manifest]:
    """The objects that a file of values gives."""
    return parsed(texts_of(file))


def objects(*overrides: Values) -> list[Manifest]:
    """The objects that values give, with anonymous callers unless `auth` says otherwise."""
    values = merged(*overrides)
    values.setdefault("auth", ANONYMOUS["auth"])
    return parsed(manifests(templates(values)))


def only(manifests: Iterable[Manifest], kind: str, suffix: str = "") -> Manifest:
    """The one object of a kind whose name ends so."""
    (found,) = every(manifests, kind, suffix)
    return found


def every(manifests: Iterable[Manifest], kind: str, suffix: str = "") -> list[Manifest]:
    return [one for one in manifests if one["kind"] == kind and one["metadata"]["name"].endswith(suffix)]


def deployment(*overrides: Values) -> Manifest:
    return only(objects(*overrides), "Deployment")


def pod(*overrides: Values) -> Manifest:
    """The spec of the gateway's pods."""
    spec: Manifest = deployment(*overrides)["spec"]["template"]["spec"]
    return spec


def container(spec: Manifest) -> Manifest:
    """The gateway's own container of a pod."""
    (found,) = (one for one in spec["containers"] if one["name"] == "gateway")
    result: Manifest = found
    return result


def environment(spec: Manifest) -> dict[str, str]:
    """The variables of the gateway whose values stand in the manifest."""
    return {one["name"]: one["value"] for one in container(spec)["env"] if "value" in one}


def merged(*layers: Values) -> Values:
    """One tree of values, of which a later one wins."""
    result: Values = {}
    for layer in layers:
        for key, value in layer.items():
            old = result.get(key)
            result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def value(path: str, content: object) -> Values:
    """One value by its path with dots."""
    for key in reversed(path.split(".")):
        content = {key: content}
    assert isinstance(content, dict)
    return content


def without(values: Values, path: str) -> Values:
    """The values less one."""
    key, _, rest = path.partition(".")
    if rest:
        return values | {key: without(values[key], rest)}
    return {name: content for name, content in values.items() if name != key}


def at(values: object, path: str) -> Iterator[object]:
    """The value at a path, if it is there."""
    key, _, rest = path.partition(".")
    if isinstance(values, dict) and key in values:
        yield from at(values[key], rest) if rest else [values[key]]
