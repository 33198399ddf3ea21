"""``make bench``: gateway, official SDK, bare client and floor side by side, in one run on one machine."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench import measure
from benchmarks.figures import Figures
from benchmarks.processes import ChildFailed
from benchmarks.report import as_json, as_markdown, as_text, this_machine
from benchmarks.schedule import FULL, QUICK, Schedule


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; return 0, 1 if it could not be finished, or 130 when it was interrupted."""
    options = _parser().parse_args(arguments)
    try:
        figures = asyncio.run(_run(QUICK if options.quick else FULL))
    except ChildFailed as failure:
        print(f"bench: {failure}", file=sys.stderr)  # noqa: T201 a command line
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    machine = this_machine()
    print(f"{machine}; {figures.seconds:.0f} s\n\n{as_text(figures)}")  # noqa: T201 a command line
    if options.json:
        options.json.write_text(json.dumps(as_json(figures, machine), indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(as_markdown(figures, machine))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few streams for a second each: no figures to quote")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the section of the README")
    return parser


async def _run(schedule: Schedule) -> Figures:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with tempfile.TemporaryDirectory(prefix="asrgateway-bench-") as folder:
        return await measure(schedule, Path(folder), _progress)


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 a command line


if __name__ == "__main__":
    sys.exit(main())
