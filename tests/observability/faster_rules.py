"""The rules that the chart installs, with all of their durations made shorter, so that no test waits for hours.

What an expression compares with a time of its own, such as the days that a certificate has left, stays as it is.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import yaml

from charts import Values, every, objects
from observability.prometheus import Json

#: So many times shorter.
SPEED: Final = 60
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
#: One that is made shorter.
RANGE: Final = re.compile(r"\[(\d+[smhd])\]")


def write_faster_rules(folder: Path, values: Values) -> Path:
    """Write the file of rules that values of the chart give, all faster."""
    path = folder / "faster-rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [faster(group) for group in rendered_groups(values)]}), encoding="utf-8")
    return path


def rendered_groups(values: Values) -> list[Json]:
    """The groups of rules that the chart installs."""
    manifests = every(objects({"prometheusRule": {"enabled": True}}, values), "PrometheusRule")
    return [group for manifest in manifests for group in manifest["spec"]["groups"]]


def faster(group: Json) -> Json:
    return group | {"rules": [_faster_rule(rule) for rule in group["rules"]]}


def _faster_rule(rule: Json) -> Json:
    expression = RANGE.sub(lambda match: f"[{_shorter(match[1])}]", rule["expr"])
    return rule | {"expr": expression} | ({"for": _shorter(rule["for"])} if "for" in rule else {})


def _shorter(duration: str) -> str:
    return f"{int(duration[:-1]) * _SECONDS[duration[-1]] * 1_000 // SPEED}ms"
