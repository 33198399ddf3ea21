"""Make two Kubernetes nodes on this machine, install the chart on them, and count what its clients notice.

    PYTHONPATH=tests .venv/bin/python -m node

`make cluster` runs it. Everything is in namespaces, control groups and a folder of its own, and ends with it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from cluster import programs
from cluster.programs import NotBuilt
from node.images import NAME, PAUSE, Builder, NoImage
from node.inside import STEPS
from node.isolation import changed, control_groups, left_over, outside, start_in
from node.missing import NotHere, check_machine, check_namespaces, missing_programs
from node.report import Report

_PROGRAMS: Final = (
    programs.ETCD,
    programs.API_SERVER,
    programs.CONTROLLER_MANAGER,
    programs.SCHEDULER,
    programs.KUBELET,
    programs.PROXY,
    programs.DNS,
)
#: For everything but the first build of Kubernetes.
_SECONDS: Final = 1200
_END_SECONDS: Final = 30


def main() -> None:
    """Do it, or say why not: exit code 0 then, but in CI 1 where something could be installed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], choices=STEPS, help="one step")
    steps: list[str] = parser.parse_args().only
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    try:
        check_machine()
        if missing := missing_programs():
            _not_run(f"`.ci/install-tools cluster` installs what is missing: {', '.join(missing)}", _code_in_ci())
        check_namespaces()
        for program in _PROGRAMS:
            programs.build(program)
    except NotHere as error:
        _not_run(str(error), 0)
    except (NotBuilt, subprocess.TimeoutExpired) as error:
        _not_run(str(error), _code_in_ci())
    sys.exit(_run(steps))


def _code_in_ci() -> int:
    return 1 if os.environ.get("CI") else 0


def _not_run(reason: str, code: int) -> NoReturn:
    sys.stderr.write(f"not run: {reason}\n")
    sys.exit(code)


def _run(steps: Sequence[str]) -> int:
    """Build the images, and do the steps in namespaces; return the exit code."""
    end = time.monotonic() + _SECONDS
    before = outside()
    # Wherever TMPDIR is, the nodes see this folder.
    folder = Path(tempfile.mkdtemp(prefix="asr-gateway-node-", dir="/tmp"))
    try:
        code = _in_namespaces(folder, _images(folder, end), steps, end)
    except NoImage as error:
        sys.stderr.write(f"{error}\n")
        code = 1
    finally:
        _remove(folder)
    found = left_over(folder.name) + changed(before)
    sys.stderr.write("".join(f"left over: {one}\n" for one in found))
    return code or int(bool(found))


def _remove(folder: Path) -> None:
    """Remove it with all below it, where processes that were killed may write a moment longer."""
    end = time.monotonic() + _END_SECONDS
    while folder.exists():
        try:
            shutil.rmtree(folder)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def _images(folder: Path, end: float) -> list[Path]:
    report, builder = Report(), Builder(folder=folder, end=end)
    with report.step("base image"):
        digest = builder.base()
    with report.step("image, from the Dockerfile as it is"):
        builder.image(digest)
    with report.step("images for the nodes"):
        builder.pause()
        return [builder.saved(name) for name in (NAME, PAUSE)]


def _in_namespaces(folder: Path, images: Sequence[Path], steps: Sequence[str], end: float) -> int:
    with control_groups(folder.name) as groups:
        chosen = [f"--only={step}" for step in steps]
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # What is tried out fails at first, and is counted.
        os.environ["PYTHONFAULTHANDLER"] = "1"  # gRPC and Helm are native code.
        os.environ["KUBECACHEDIR"] = str(folder / "helm")  # Helm reads it when its library is loaded.
        process = start_in(groups, sys.executable, "-m", "node.inside", *chosen, str(folder), *map(str, images))
        try:
            return process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            sys.stderr.write(f"not done within {_SECONDS} s\n")
            return 1
        finally:
            process.kill()
            process.wait()


main()
