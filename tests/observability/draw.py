"""Draw panels of the dashboard from what a real Prometheus answers, for docs/images.

    PYTHONPATH=tests .venv/bin/python -m observability.draw

A gateway is put under the load of the tests for a while, in front of the emulator; nothing is made up.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from calls import ROOT
from emulated_vendor import vendor_and_gateway
from observability.load import FAULTS, SETTINGS, call_every_model
from observability.operator_scrape import scrape_configs
from observability.prometheus import DASHBOARDS, Json, Prometheus, running_prometheus
from observability.queries import filled_in

PICTURE: Final = ROOT / "docs" / "images" / "dashboard.svg"
PANELS: Final = (
    "Calls ended, by status",
    "Failures, by cause",
    "First package, client",
    "Result lag",
    "Connects, by result",
    "Silence, by audio sent",
)
SECONDS: Final = 90.0
_COLUMNS: Final = 3
_WIDTH, _HEIGHT, _LEFT, _TOP, _LEGEND = 320, 200, 44, 26, 44
_COLOURS: Final = ("#3274d9", "#e0752d", "#37872d", "#c4162a", "#8f3bb8", "#b8860b", "#56a6a6")

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """What one panel shows.

    Attributes:
        title: Its title.
        unit: Its unit, as Grafana calls it.
        lines: Points in time of each line, by its name.
    """

    title: str
    unit: str
    lines: Mapping[str, Points]


async def observed_panels() -> list[Panel]:
    """Run the load, and return what the panels show of it."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _, gateway, stub = await stack.enter_async_context(vendor_and_gateway(emulator={"faults": FAULTS}, **SETTINGS))
        prometheus = await stack.enter_async_context(
            running_prometheus(folder, scrape_configs(str(gateway.http_address)))
        )
        began = time.time()
        while time.time() - began < SECONDS:
            await call_every_model(stub)
        return await asyncio.to_thread(lambda: [_panel(prometheus, panel, began) for panel in _chosen()])


def _chosen() -> list[Json]:
    panels = json.loads(DASHBOARDS[0].read_text(encoding="utf-8"))["panels"]
    return [next(panel for panel in panels if panel["title"] == title) for title in PANELS]


def _panel(prometheus: Prometheus, panel: Json, began: float) -> Panel:
    lines: dict[str, Points] = {}
    for target in panel["targets"]:
        query = filled_in(target["expr"], {"$__rate_interval": "20s"})
        for series in prometheus.get("query_range", query=query, start=began + 15, end=time.time(), step=2)["result"]:
            name = target["legendFormat"]
            for label, value in series["metric"].items():
                name = name.replace("{{" + label + "}}", value)
            points = [(float(at) - began, float(value)) for at, value in series["values"]]
            lines[name] = [(at, value) for at, value in points if math.isfinite(value)]
    # What stands for nothing has no labels.
    shown = {name: points for name, points in lines.items() if points and "{{" not in name}
    return Panel(title=panel["title"], unit=panel["fieldConfig"]["defaults"]["unit"], lines=shown)


def picture(panels: Sequence[Panel]) -> str:
    """Return an SVG with all panels."""
    rows = math.ceil(len(panels) / _COLUMNS)
    parts = [
        f'<g transform="translate({index % _COLUMNS * _WIDTH},{24 + index // _COLUMNS * (_HEIGHT + _LEGEND)})">'
        f"{''.join(_drawn(panel))}</g>"
        for index, panel in enumerate(panels)
    ]
    width, height = _COLUMNS * _WIDTH, 24 + rows * (_HEIGHT + _LEGEND)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="10"><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="10" y="16" fill="#666">Answers of a real Prometheus to the queries of six panels. Load: '
        f"the emulator on one machine, {SECONDS:.0f} s of calls at full speed, some made to fail.</text>"
        f"{''.join(parts)}</svg>\n"
    )


def _drawn(panel: Panel) -> Iterable[str]:
    every = list(itertools.chain.from_iterable(panel.lines.values()))
    top = max((value for _, value in every), default=1.0) * 1.1 or 1.0
    right, bottom = _WIDTH - 12, _HEIGHT - 18
    yield f'<text x="10" y="16" font-size="12" font-weight="bold">{escape(panel.title)}</text>'
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * (bottom - _TOP)
        yield f'<path d="M{_LEFT} {y:.0f}H{right}" stroke="#ddd"/>'
        yield f'<text x="{_LEFT - 4}" y="{y + 3:.0f}" text-anchor="end">{_told(top * share, panel.unit)}</text>'
    for at in (30, 60, 90):
        x = _LEFT + at / SECONDS * (right - _LEFT)
        yield f'<text x="{x:.0f}" y="{bottom + 13}" text-anchor="middle">{at} s</text>'
    for index, (name, points) in enumerate(panel.lines.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        path = " ".join(
            f"{_LEFT + at / SECONDS * (right - _LEFT):.1f},{bottom - value / top * (bottom - _TOP):.1f}"
            for at, value in points
        )
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        x, y = 10 + index % 2 * (_WIDTH // 2), _HEIGHT + 8 + index // 2 * 12
        yield f'<text x="{x}" y="{y}" fill="{colour}">{escape(name)}</text>'


def _told(value: float, unit: str) -> str:
    match unit:
        case "percentunit":
            return f"{value:.0%}"
        case "s":
            return f"{value:.2g} s"
        case "reqps" | "ops":
            return f"{value:.2g}/s"
    return f"{value:.3g}"


def main() -> None:
    """Write the picture."""
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture(asyncio.run(observed_panels())), encoding="utf-8")


if __name__ == "__main__":
    main()
