"""What Grafana is given: every panel shows something, and says when that is bad."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from observability.load import Observed
from observability.operator_scrape import JOBS
from observability.prometheus import DASHBOARDS, metrics_in, rules
from observability.queries import filled_in

Json = dict[str, Any]


def dashboard(path: Path) -> Json:
    found: Json = json.loads(path.read_text(encoding="utf-8"))
    return found


def panels() -> list[Json]:
    return [panel for path in DASHBOARDS for panel in dashboard(path)["panels"] if panel["type"] != "row"]


def queries() -> list[Any]:
    return [
        pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
        for panel in panels()
        for target in panel["targets"]
    ]


def legends() -> list[Any]:
    return [
        pytest.param(target["expr"], re.findall(r"{{(\w+)}}", target["legendFormat"]), id=panel["title"])
        for panel in panels()
        for target in panel["targets"]
        if "{{" in target.get("legendFormat", "")
    ]


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
@pytest.mark.parametrize("query", queries())
def test_every_panel_shows_something(observed: Observed, query: str, job: str) -> None:
    assert observed.prometheus.query(filled_in(query, {"$job": job}), observed.at)


@pytest.mark.parametrize(("query", "labels"), legends())
def test_every_label_of_a_legend_is_there(observed: Observed, query: str, labels: list[str]) -> None:
    """All but what stands for nothing, such as `vector(0)`."""
    found = [series["metric"] for series in observed.prometheus.query(filled_in(query), observed.at)]
    assert [metric for metric in found if metric and not metric.keys() >= set(labels)] == []


@pytest.mark.parametrize("query", queries())
def test_every_panel_asks_for_what_is_exported(observed: Observed, query: str) -> None:
    assert metrics_in(query) - observed.exported == set()


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_every_panel_has_a_unit_and_says_what_is_bad(panel: Json) -> None:
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert "Bad: " in panel["description"]


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_every_panel_lets_the_reader_choose_the_pods(panel: Json) -> None:
    for target in panel["targets"]:
        for name in ("$cluster", "$namespace", "$job", "$pod"):
            assert name in target["expr"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_a_dashboard_can_be_imported(path: Path) -> None:
    made = dashboard(path)
    assert made["uid"] == path.stem
    assert "id" not in made
    ids = [panel["id"] for panel in made["panels"]]
    assert len(set(ids)) == len(ids)
    names = [variable["name"] for variable in made["templating"]["list"]]
    assert names == ["datasource", "cluster", "namespace", "job", "pod", "model"]
    assert {panel["datasource"]["uid"] for panel in made["panels"] if panel["type"] != "row"} == {"${datasource}"}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_panels_do_not_overlap(path: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard(path)["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + column, place["y"] + line) for column in range(place["w"]) for line in range(place["h"])}
        assert not cells & taken
        assert max(column for column, _ in cells) < 24
        taken |= cells


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_variables_and_annotations_are_answered(observed: Observed, path: Path) -> None:
    made = dashboard(path)
    asked = [filled_in(variable["query"]["query"]) for variable in made["templating"]["list"][1:]]
    for query in asked:
        series, _, label = query.removeprefix("label_values(").removesuffix(")").rpartition(", ")
        assert [found for found in observed.prometheus.query(series, observed.at) if found["metric"].get(label)]
    started, draining = [filled_in(annotation["expr"]) for annotation in made["annotations"]["list"]]
    assert observed.prometheus.query(started, observed.at)
    assert observed.prometheus.query(draining, observed.at) == []


def test_every_recorded_series_is_used_or_shown() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    asked = " ".join([rule["expr"] for rule in rules()])
    assert [name for name in recorded if name not in asked] == []
