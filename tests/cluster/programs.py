"""etcd and API servers of Kubernetes, built from their Go modules and kept in the user's cache folder.

A module that says in its go.mod that parts of it lie in a folder beside
it cannot be installed by `go install`: here each such part is the module that was published with it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

_DOWNLOAD_SECONDS: Final = 300
_BUILD_SECONDS: Final = 1800


class NotBuilt(Exception):
    """A program or a module cannot be had here; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A version of a Go module.

    Attributes:
        path: As it is imported.
        version: With the `v`.
        checksum: Of its content, as a go.sum has it.
    """

    path: str
    version: str
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program of a module.

    Attributes:
        name: What it is called.
        module: Where it comes from.
        package: Its folder there.
        parts: Version of the modules that a folder beside go.mod stands for; empty: the version that go.mod requires.
        flags: More arguments of the linker.
    """

    name: str
    module: Module
    package: str
    parts: str = ""
    flags: str = ""


def _kubernetes(version: str, checksum: str) -> Module:
    return Module(path="k8s.io/kubernetes", version=f"v{version}", checksum=checksum)


def _of_kubernetes(name: str, module: Module) -> Program:
    return Program(
        name=name,
        module=module,
        package=f"./cmd/{name}",
        parts=module.version.replace("v1.", "v0.", 1),
        flags=f"-X k8s.io/component-base/version.gitVersion={module.version}",
    )


ETCD: Final = Program(
    name="etcd",
    module=Module(
        path="go.etcd.io/etcd/server/v3",
        version="v3.7.3",
        checksum="h1:KcTZ/aEZrOiQe0/kdr7iYYcvyfbEoOwDOacHkz8xwZc=",
    ),
    package=".",
)
#: The Kubernetes that the chart supports from, and the newest.
OLDEST: Final = _kubernetes("1.30.14", "h1:MrlKXh9uhLIJpyxOeXhcndzRVSvwiV9iJ8NgH8nqPsg=")
NEWEST: Final = _kubernetes("1.37.2", "h1:A2VDEiObzkYqFTKhSsn0ZEb0RlLEXpHWj93gi2HqEwE=")
API_SERVERS: Final = tuple(_of_kubernetes("kube-apiserver", module) for module in (OLDEST, NEWEST))
#: What `make cluster` runs.
_NODES: Final = OLDEST
API_SERVER: Final = _of_kubernetes("kube-apiserver", _NODES)
CONTROLLER_MANAGER: Final = _of_kubernetes("kube-controller-manager", _NODES)
SCHEDULER: Final = _of_kubernetes("kube-scheduler", _NODES)
KUBELET: Final = _of_kubernetes("kubelet", _NODES)
PROXY: Final = _of_kubernetes("kube-proxy", _NODES)
DNS: Final = Program(
    name="coredns",
    module=Module(
        path="github.com/coredns/coredns",
        version="v1.14.7",
        checksum="h1:UPDkn4QN+xyNfjz3U5ldgoLszDYpMZEJoy3+ze9au4Q=",
    ),
    package=".",
)


def folder() -> Path:
    """Where all of it is kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "asr-gateway" / "cluster"


def path_of(program: Program) -> Path:
    """Where the program lies once it is built."""
    return folder() / f"{program.name}-{program.module.version}"


@cache
def source(module: Module) -> Path:
    """The folder of a module, downloaded where it is not there yet.

    Raises:
        NotBuilt: There is no Go, or no such module.
    """
    go = shutil.which("go")
    if go is None:
        raise NotBuilt("go is not installed")
    command = [go, "mod", "download", "-json", f"{module.path}@{module.version}"]
    # Outside of any module, whose go.mod would have a say.
    result = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS, check=False)
    found = json.loads(result.stdout or "{}")
    if "Dir" not in found:
        raise NotBuilt(f"{module.path} {module.version}: {found.get('Error') or result.stderr}")
    if found["Sum"] != module.checksum:
        raise NotBuilt(f"{module.path} {module.version} has the checksum {found['Sum']}, not {module.checksum}")
    return Path(found["Dir"])


def build(program: Program) -> Path:
    """Build a program, unless it is there.

    Raises:
        NotBuilt: There is no Go, or an older one than the program needs, or a module cannot be had.
    """
    built = path_of(program)
    if built.exists():
        return built
    module = source(program.module)
    built.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=built.parent) as made:
        module_file = Path(made) / "go.mod"
        module_file.write_text(_published(module, program.parts), encoding="utf-8")
        shutil.copyfile(module / "go.sum", module_file.with_suffix(".sum"))
        # Debugging information is a third of the work.
        command = ["go", "build", f"-modfile={module_file}", "-mod=mod", "-trimpath", "-gcflags=all=-dwarf=false"]
        command += [f"-ldflags=-s -w {program.flags}", f"-o={made}/{program.name}", program.package]
        environ = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": ""}
        result = subprocess.run(
            command, cwd=module, env=environ, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
        )
        if result.returncode:
            raise NotBuilt(f"{program.name} {program.module.version}: {result.stderr}")
        (Path(made) / program.name).replace(built)
    return built


def _published(module: Path, version: str) -> str:
    """The module's go.mod without the folders beside it."""
    text = (module / "go.mod").read_text(encoding="utf-8")
    if version:
        # Programs need none of the samples, and not every version of those can be had.
        text = re.sub(r"^.*k8s\.io/sample-.*\n", "", text, flags=re.MULTILINE)
        return re.sub(r"=> \./staging/src/(\S+)", rf"=> \1 {version}", text)
    return re.sub(r"^(replace )?\s*\S+ => \.\.?/.*\n", "", text, flags=re.MULTILINE)
