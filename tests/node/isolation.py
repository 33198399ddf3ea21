"""Namespaces, control groups and folders of their own: what runs in them ends with them, and touches nothing else."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

_CONTROL_GROUPS: Final = Path("/sys/fs/cgroup")
_END_SECONDS: Final = 30
#: Folders of the machine in whose place programs have folders of their own.
HIDDEN: Final = ("/run", "/var/lib", "/var/log", "/var/tmp")  # noqa: S108 whose place they take
#: Where containerd, kubelets and podman write if nobody names another place.
_OUTSIDE: Final = (
    Path("/opt/containerd"),
    Path("/usr/libexec/kubernetes"),
    Path("/dev/shm/libpod_lock"),  # noqa: S108 which must not be written
)
#: Ends a program when we do, even if we are killed.
_WITH_US: Final = ("setpriv", "--pdeathsig=KILL")

#: Puts folders of its own over those of this machine, then becomes the command.
_PRIVATE: Final = """
for folder in $FOLDERS; do
    mkdir -p "$ROOT$folder"
    mount --bind "$ROOT$folder" "$folder"
done
exec "$@"
"""
#: Goes into its control groups, then into namespaces of its own, whose first process the command is.
_ENTER: Final = """
for group in $GROUPS_OF_ITS_OWN; do echo $$ > "$group/cgroup.procs"; done
exec unshare --cgroup --ipc --mount --net --pid --uts --fork --kill-child --mount-proc "$@"
"""


def replace_folders(root: Path, folders: tuple[str, ...], *command: str) -> list[str]:
    """The command with folders below `root` in the place of those of this machine, in a mount namespace of its own."""
    variables = (f"ROOT={root}", f"FOLDERS={' '.join(folders)}")
    return ["unshare", "--mount", "env", *variables, "sh", "-ec", _PRIVATE, "sh", *command]


def isolate(root: Path, *command: str) -> list[str]:
    """The command with nothing left of it when it ends: no process, no mount, nothing outside of `root`."""
    namespaces = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return [*_WITH_US, *namespaces, *replace_folders(root, ("/var/lib", "/var/tmp"), *command)]  # noqa: S108 whose place it takes


@contextmanager
def control_groups(name: str) -> Iterator[list[Path]]:
    """A group of this name below the present one in each hierarchy, until everything in them has ended."""
    groups = [parent / name for parent in present_control_groups()]
    with ExitStack() as stack:
        for group in groups:
            group.mkdir()
            stack.callback(_remove, group)
            make_usable(group)
        yield groups


def make_usable(group: Path) -> None:
    """Let processes into a new group of the hierarchy that divides processors and memory."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        if (group / file).exists():
            (group / file).write_text((group.parent / file).read_text(encoding="utf-8"), encoding="utf-8")


def present_control_groups() -> Iterator[Path]:
    """The present control group in each hierarchy."""
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        name = controllers.removeprefix("name=") or "unified"
        if (_CONTROL_GROUPS / name).is_dir():
            yield _CONTROL_GROUPS / name / path.lstrip("/")


def _remove(group: Path) -> None:
    """Remove a group with all below it; processes that were killed leave it a moment later."""
    end = time.monotonic() + _END_SECONDS
    while group.exists():
        try:
            for folder, _, _ in os.walk(group, topdown=False):
                Path(folder).rmdir()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def start_in(groups: list[Path], *command: str) -> subprocess.Popen[bytes]:
    """Start a command in the groups and in namespaces of its own; all that runs there ends with it, and it with us."""
    variables = os.environ | {"GROUPS_OF_ITS_OWN": " ".join(map(str, groups))}
    return subprocess.Popen([*_WITH_US, "sh", "-ec", _ENTER, "sh", *command], env=variables)


def control_groups_inside() -> None:
    """Mount the hierarchies anew, so that the groups entered are the whole of them."""
    hierarchies = [line.split(":")[1] for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()]
    _mount("umount", "--recursive", "--lazy", "/sys")
    _mount("mount", "-t", "sysfs", "sysfs", "/sys")
    _mount("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(_CONTROL_GROUPS))
    for controllers in filter(None, hierarchies):
        name = controllers.removeprefix("name=")
        (_CONTROL_GROUPS / name).mkdir()
        options = f"none,{controllers}" if name != controllers else controllers
        _mount("mount", "-t", "cgroup", "-o", options, "cgroup", str(_CONTROL_GROUPS / name))


def _mount(*command: str) -> None:
    subprocess.run(command, check=True, timeout=10)


def left_over(name: str) -> list[str]:
    """What is left of a run whose folder and control groups have this name, which should be nothing."""
    found = [f"control group {parent / name}" for parent in present_control_groups() if (parent / name).exists()]
    for mounts in Path("/proc").glob("[0-9]*/mountinfo"):
        # Whatever runs there sees folders below ours in the place of the machine's.
        with contextlib.suppress(OSError):
            if name in mounts.read_text(encoding="utf-8"):
                found.append(f"process {mounts.parent.name}")
    return found


def outside() -> dict[Path, int]:
    """What lies at the places where programs of Kubernetes write by themselves, with its time in nanoseconds."""
    found = {}
    for place in _OUTSIDE:
        for file in (place, *place.rglob("*")):
            # Somebody else's may vanish.
            with contextlib.suppress(OSError):
                found[file] = file.stat().st_mtime_ns
    return found


def changed(before: Mapping[Path, int]) -> list[str]:
    """What was written there since."""
    return [f"written: {file}" for file, at in outside().items() if before.get(file) != at]
