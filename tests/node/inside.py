"""The first process in the namespaces: it makes the cluster, does each step to it, and prints the figures."""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from cluster.api import Api
from node import network, quick_start, steps
from node.control_plane import control_plane, kube_proxy
from node.isolation import HIDDEN, control_groups_inside
from node.machines import machine
from node.open_calls import open_calls
from node.release import Release, until
from node.report import Report
from node.steps import Cluster

_QUICK_START: Final = "quick_start"
#: What `--only` may name.
STEPS: Final = (_QUICK_START, *(step.__name__ for step in steps.STEPS))
_READY_SECONDS: Final = 120
#: What a kubelet would set for the whole machine, and expects: here it finds it already.
_SETTINGS: Final = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--only", action="append", default=[])
    given = parser.parse_args()
    _hide(given.folder / "machine")
    report = Report()
    try:
        asyncio.run(_run(given.folder, given.images, given.only, report))
    finally:
        print(f"\n{report.table()}", flush=True)  # noqa: T201 what the command is for


def _hide(folder: Path) -> None:
    """Put what is private in the place of what belongs to the machine."""
    control_groups_inside()
    for place in HIDDEN:
        _bind(folder / place[1:], Path(place))
    for name, value in _SETTINGS.items():
        file = folder / name.replace("/", ".")
        file.write_text(f"{value}\n", encoding="ascii")
        _bind(file, Path("/proc/sys") / name)
    _mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/dev/shm")  # noqa: S108 podman's locks
    network.set_up()
    network.set_resolver(folder.parent)


def _bind(ours: Path, place: Path) -> None:
    if not ours.is_file():
        ours.mkdir(parents=True)
    _mount("--bind", str(ours), str(place))


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, timeout=10)


async def _run(folder: Path, images: Sequence[Path], only: Sequence[str], report: Report) -> None:
    if not only or _QUICK_START in only:
        with report.step("quick start"):
            texts = quick_start.try_out(folder)
            report.add("the README's quick start in a container, by podman", " / ".join(texts))
    with ExitStack() as stack:
        with report.step("control plane"):
            api = stack.enter_context(control_plane(folder))
        with report.step("nodes"):
            numbers = range(len(network.NODES))
            machines = [stack.enter_context(machine(number, folder, api, images)) for number in numbers]
            stack.enter_context(kube_proxy(folder, api))
            await until(lambda: _ready_nodes(api) == len(machines), within_seconds=_READY_SECONDS)
        stack.enter_context(open_calls(api, folder / "custom-metrics"))
        release = Release(api=api, folder=folder / "release")
        with report.step("helm install"):
            await release.install()
            _check_cache()
        cluster = Cluster(release=release, machines=machines, report=report)
        for step in steps.STEPS:
            if not only or step.__name__ in only:
                with report.step(step.__name__.replace("_", " ")):
                    await step(cluster)


def _check_cache() -> None:
    """Check that Helm keeps what it knows of the server where it should."""
    assert any(Path(os.environ["KUBECACHEDIR"]).iterdir())


def _ready_nodes(api: Api) -> int:
    conditions = [node["status"]["conditions"] for node in api.ask("GET", "/api/v1/nodes").body["items"]]
    return sum(one["type"] == "Ready" and one["status"] == "True" for some in conditions for one in some)


if __name__ == "__main__":
    main()
