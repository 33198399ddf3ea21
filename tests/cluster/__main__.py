"""Build and download what the tests of this folder need, before them. Run by `make cluster-test`."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from cluster.operators import definitions
from cluster.programs import API_SERVERS, ETCD, NotBuilt, build, path_of


def main() -> None:
    """Make it all; where something cannot be had, say why, and exit 1 in CI: the tests skip then, or fail."""
    try:
        for program in (ETCD, *API_SERVERS):
            began = time.monotonic()
            build(program)
            print(f"{path_of(program).name}: {time.monotonic() - began:.0f} s")  # noqa: T201 what the command is for
        list(definitions())
    except (NotBuilt, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1 if os.environ.get("CI") else 0)


main()
