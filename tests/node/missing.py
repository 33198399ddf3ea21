"""What a machine must have for nodes of its own, and whether this one has it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from calls import ROOT
from cluster import programs
from node.isolation import HIDDEN, present_control_groups

_PROGRAMS: Final = (
    *("buildah", "cc", "conntrack", "containerd", "ctr", "go", "ip", "iptables", "mmdebstrap", "nsenter", "podman"),
    *("runc", "setpriv", "unshare"),
)
_CNI: Final = Path("/usr/lib/cni")
_CONTROL_GROUPS: Final = Path("/sys/fs/cgroup")
_CONTROLLERS: Final = ("cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids")
_NAMESPACES: Final = ("--cgroup", "--ipc", "--mount", "--net", "--pid", "--uts")


class NotHere(Exception):
    """This machine runs no nodes, whatever is installed; the message says why."""


def missing_programs() -> list[str]:
    """What `.ci/install-tools cluster` installs on Debian."""
    return [*(name for name in _PROGRAMS if shutil.which(name) is None), *_missing_plugins()]


def _missing_plugins() -> Iterator[str]:
    for name in ("bridge", "host-local", "loopback"):
        if not (_CNI / name).exists():
            yield str(_CNI / name)


def check_machine() -> None:
    """Check what nobody installs.

    Raises:
        NotHere: Something is not there.
    """
    if os.geteuid() != 0:
        raise NotHere("only root can make nodes")
    absent = [name for name in _CONTROLLERS if not (_CONTROL_GROUPS / name).is_dir()]
    if absent:
        raise NotHere(f"no control groups of version 1 for {', '.join(absent)}: version 2 has not been tried")
    if "\toverlay\n" not in Path("/proc/filesystems").read_text(encoding="ascii"):
        raise NotHere("the kernel has no overlay file system")
    _check_control_groups()
    check_places()


def _check_control_groups() -> None:
    """A container may see a group of its machine by a path that is not mounted there, or only to read."""
    for group in present_control_groups():
        if not os.access(group, os.W_OK):
            raise NotHere(f"the present control group {group} is not there, or cannot be written")


def check_places() -> None:
    """Check that what the nodes need is not where they have folders of their own.

    Raises:
        NotHere: It is.
    """
    for place in (ROOT, Path(sys.prefix), programs.folder()):
        if hidden := [folder for folder in HIDDEN if place.resolve().is_relative_to(folder)]:
            raise NotHere(f"{place} lies below {hidden[0]}, in whose place the nodes have a folder of their own")
    if not Path("/etc/resolv.conf").is_file():
        raise NotHere("/etc/resolv.conf is not there, over which the nodes put one of their own")


def check_namespaces() -> None:
    """Check that it can be made what everything runs in.

    Raises:
        NotHere: It cannot.
    """
    result = subprocess.run(
        ["unshare", *_NAMESPACES, "--fork", "true"], capture_output=True, text=True, timeout=10, check=False
    )
    if result.returncode:
        raise NotHere(f"no namespaces: {result.stderr.strip()}")
